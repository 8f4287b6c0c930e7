//go:build !race

package socket

import (
	"syscall"
	"unsafe"
)

func (c *call) once(fd uintptr) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(c.trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(c.b))), uintptr(len(c.b)))
	return int(n), errno
}
