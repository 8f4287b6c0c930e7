// Package rawconn reads and writes sockets past Go's scheduler. On a slow, emulated
// machine the scheduler takes the processor from a goroutine that copies some ten KiB
// in a system call and gives it to another thread, which costs more than the copy: a
// virtual phone and a benchmark's client should not be what is measured.
package rawconn

import (
	"errors"
	"io"
	"net"
	"syscall"
	"unsafe"
)

// Conn is a socket. Its Read and Write wait in Go's poller, never in the kernel. As
// before, one goroutine may read while another writes.
type Conn struct {
	net.Conn
	raw syscall.RawConn
}

// New makes one of a connection that has a descriptor.
func New(c net.Conn) (*Conn, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.New("a connection without a descriptor")
	}
	raw, err := sc.SyscallConn()
	return &Conn{c, raw}, err
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	failed := c.raw.Read(func(fd uintptr) bool {
		n, err = call(syscall.SYS_READ, fd, b)
		return !errors.Is(err, syscall.EAGAIN)
	})
	switch {
	case failed != nil:
		return 0, failed
	case n == 0 && err == nil:
		return 0, io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (n int, err error) {
	failed := c.raw.Write(func(fd uintptr) bool {
		for n < len(b) && err == nil {
			var k int
			k, err = call(syscall.SYS_WRITE, fd, b[n:])
			n += k
		}
		if errors.Is(err, syscall.EAGAIN) {
			err = nil
			return false
		}
		return true
	})
	if failed != nil {
		return n, failed
	}
	return n, err
}

func call(trap, fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
