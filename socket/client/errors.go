package client

import (
	"errors"
	"fmt"
	"syscall"

	"gomuxd/socket/address"
)

var (
	// ErrNoDaemon is wrapped if nobody listens at the address.
	ErrNoDaemon = errors.New("no usbmuxd answers")

	// ErrProtocol is wrapped if the peer sends what the protocol does not allow.
	ErrProtocol = errors.New("not the usbmuxd protocol")

	// ErrAddress is wrapped if an address cannot be read.
	ErrAddress = address.ErrMalformed
)

// ResultError is a daemon's refusal: the Number of a Result that is not 0. It
// unwraps to the errno that it is or comes closest to, so that errors.Is works
// with fs.ErrNotExist, fs.ErrPermission and syscall.ECONNREFUSED.
type ResultError struct {
	Request string // MessageType of the request
	Number  uint32
}

// Numbers of a Result. The pair record requests use errno values instead.
const (
	resultBadCommand = 1
	resultBadDevice  = 2
	resultRefused    = 3
	resultBadVersion = 6
)

func (e *ResultError) Error() string {
	return fmt.Sprintf("usbmuxd refuses %s: %s (result %d)", e.Request, e.meaning(), e.Number)
}

func (e *ResultError) meaning() string {
	if e.ofRecord() {
		switch syscall.Errno(e.Number) {
		case syscall.ENOENT:
			return "there is no such pair record"
		case syscall.EINVAL:
			return "it takes the device's id, or the record, for malformed"
		case syscall.EACCES:
			return "it may not read or write its directory of pair records"
		case syscall.EROFS:
			return "its directory of pair records is on a file system without writing"
		case syscall.ENOSPC:
			return "there is no space left for pair records"
		case syscall.ETIMEDOUT:
			return "its directory of pair records does not answer"
		case resultBadCommand: // and EPERM
			return "it does not know this request, or may not carry it out"
		}
		return syscall.Errno(e.Number).Error()
	}
	switch e.Number {
	case resultBadCommand:
		return "it does not know this request"
	case resultBadDevice:
		return "there is no device with this id any more"
	case resultRefused:
		return "the device does not accept connections to this port"
	case resultBadVersion:
		return "it speaks another version of the protocol"
	}
	return "a number without a known meaning"
}

func (e *ResultError) ofRecord() bool {
	switch e.Request {
	case reqReadRecord, reqSaveRecord, reqDeleteRecord, reqReadBUID:
		return true
	}
	return false
}

// Unwrap returns the errno closest to the number, or nil.
func (e *ResultError) Unwrap() error {
	if e.ofRecord() && e.Number != resultBadCommand {
		return syscall.Errno(e.Number)
	}
	switch e.Number {
	case resultBadCommand:
		return syscall.ENOSYS
	case resultBadDevice:
		return syscall.ENODEV
	case resultRefused:
		return syscall.ECONNREFUSED
	case resultBadVersion:
		return syscall.EPROTONOSUPPORT
	}
	return nil
}
