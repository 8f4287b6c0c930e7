package control

import (
	"errors"
	"fmt"
	"net/http"
)

// ErrNoDaemon is wrapped by the Client's errors if nobody answers on the
// control socket.
var ErrNoDaemon = errors.New("no daemon answers")

// statuses are the HTTP statuses of the codes.
var statuses = map[string]int{
	CodeForbidden:  http.StatusForbidden,
	CodeNotFound:   http.StatusNotFound,
	CodeAmbiguous:  http.StatusConflict,
	CodeBadRequest: http.StatusBadRequest,
	CodeNoMux:      http.StatusConflict,
	CodeAbsent:     http.StatusConflict,
	CodeNoRecord:   http.StatusNotFound,
	CodeFailed:     http.StatusInternalServerError,
	CodeUnknown:    http.StatusNotFound,
	CodeBusy:       http.StatusServiceUnavailable,
	CodeSlow:       http.StatusServiceUnavailable,
}

// Errorf returns an Error with the status that belongs to code.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Status: statusOf(code), Code: code, Message: fmt.Sprintf(format, args...)}
}

func statusOf(code string) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// asError turns any error into one that can be sent. An Error that is
// incomplete gets what it lacks.
func asError(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		return Errorf(CodeFailed, "%v", err)
	}
	full := *e
	if full.Code == "" {
		full.Code = CodeFailed
	}
	if full.Status < 400 || full.Status > 599 {
		full.Status = statusOf(full.Code)
	}
	if full.Message == "" {
		full.Message = full.Code
	}
	return &full
}
