package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"gomuxd/control"
	"gomuxd/socket/client"
)

// Exit codes, which the help and the man page tell.
const (
	exitOK        = 0
	exitFailed    = 1
	exitUsage     = 2
	exitNoDaemon  = 3
	exitNoSuch    = 4
	exitForbidden = 5
	exitRefused   = 6
	exitTimeout   = 7
)

// usageError is a mistake in the arguments.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// codeError is an error with an exit code of its own.
type codeError struct {
	code int
	error
}

func (e *codeError) Unwrap() error { return e.error }

func codef(code int, format string, args ...any) error {
	return &codeError{code, fmt.Errorf(format, args...)}
}

// errSilent is wrapped by errors that have been told already.
var errSilent = errors.New("")

func silent(code int) error { return &codeError{code, errSilent} }

func exitCode(err error) int {
	var (
		usage  *usageError
		coded  *codeError
		answer *control.Error
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &answer):
		switch answer.Code {
		case control.CodeNotFound, control.CodeAmbiguous, control.CodeAbsent, control.CodeNoRecord:
			return exitNoSuch
		case control.CodeForbidden:
			return exitForbidden
		case control.CodeBadRequest:
			return exitUsage
		case control.CodeNoMux:
			return exitRefused
		}
		return exitFailed
	case errors.Is(err, control.ErrNoDaemon), errors.Is(err, client.ErrNoDaemon):
		return exitNoDaemon
	case errors.Is(err, client.ErrAddress):
		return exitUsage
	case errors.Is(err, fs.ErrPermission):
		return exitForbidden
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	}
	return exitFailed
}

// advice is an error's text, with what to do if the error does not say it.
func (a *app) advice(err error) string {
	var answer *control.Error
	switch {
	case errors.As(err, &answer):
		return err.Error()
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, fs.ErrPermission):
		return err.Error() + ": try as root, with sudo"
	}
	return err.Error()
}
