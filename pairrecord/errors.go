package pairrecord

import (
	"errors"
	"io/fs"
	"syscall"
)

var (
	// ErrInvalidID is wrapped by the error of every call whose UDID cannot be one.
	ErrInvalidID = errors.New("invalid pair record id")

	// ErrInvalidData is wrapped by the error of a Save whose bytes are no pair record.
	ErrInvalidData = errors.New("invalid pair record data")

	// ErrNotRegular is wrapped where a symbolic link, pipe, directory or device
	// stands in the place of a file.
	ErrNotRegular = errors.New("not a regular file")

	// ErrTooLarge is wrapped by the error of reading a file above MaxSize.
	ErrTooLarge = errors.New("file is too large for a pair record")

	// ErrFull is wrapped by the error of saving one more than MaxRecords records.
	ErrFull = errors.New("too many pair records")
)

// Errno is the number that a usbmuxd Result carries for err: 0 for nil, 22
// (EINVAL) for an id or data of the client's that is no good, 2 (ENOENT) for a
// record that is not there, else the system's own number, such as 13 (EACCES),
// 28 (ENOSPC) or 30 (EROFS), and 5 (EIO) if there is none.
func Errno(err error) int {
	var n syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrInvalidID), errors.Is(err, ErrInvalidData):
		return int(syscall.EINVAL)
	case errors.Is(err, ErrFull):
		return int(syscall.ENOSPC)
	case errors.As(err, &n) && n != 0:
		return int(n)
	case errors.Is(err, fs.ErrNotExist):
		return int(syscall.ENOENT)
	case errors.Is(err, fs.ErrPermission):
		return int(syscall.EACCES)
	}
	return int(syscall.EIO)
}
