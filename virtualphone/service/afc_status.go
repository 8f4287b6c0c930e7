package service

import "fmt"

// status is the result of an AFC operation, as it goes over the wire. It is also the
// error of the file system, which has no other user.
//
// Source: the afc_error_t values of the afc.h API page of libimobiledevice.
type status uint64

const (
	statusOK            status = 0
	statusHeaderInvalid status = 2
	statusNoResources   status = 3
	statusInvalidArg    status = 7
	statusNotFound      status = 8
	statusIsDir         status = 9
	statusPermDenied    status = 10
	statusTooMuchData   status = 13
	statusNotSupported  status = 15
	statusExists        status = 16
	statusNoSpace       status = 18
	statusWouldBlock    status = 19
	statusDirNotEmpty   status = 33
)

var statusTexts = map[status]string{
	statusOK:            "ok",
	statusHeaderInvalid: "invalid packet header",
	statusNoResources:   "out of handles or names",
	statusInvalidArg:    "invalid argument",
	statusNotFound:      "no such object",
	statusIsDir:         "object is a directory",
	statusPermDenied:    "permission denied",
	statusTooMuchData:   "too much data",
	statusNotSupported:  "operation not supported",
	statusExists:        "object exists",
	statusNoSpace:       "no space left",
	statusWouldBlock:    "file is locked",
	statusDirNotEmpty:   "directory not empty",
}

// Error makes a status other than statusOK an error.
func (s status) Error() string {
	if text, ok := statusTexts[s]; ok {
		return "afc: " + text
	}
	return fmt.Sprintf("afc: status %d", uint64(s))
}
