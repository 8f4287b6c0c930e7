//go:build race

package socket

import (
	"errors"
	"syscall"
)

// once tells the race detector that a message orders what both ends of a socket do, in
// tests that have both.
func (c *call) once(fd uintptr) (n int, errno syscall.Errno) {
	f := syscall.Read
	if c.trap == syscall.SYS_WRITE {
		f = syscall.Write
	}
	n, err := f(int(fd), c.b)
	errors.As(err, &errno)
	return n, errno
}
