package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// unixConn is a client's Unix socket. It makes the calls that never wait in the kernel
// past Go's scheduler: a call that the scheduler is told of wakes its monitor, a thread
// that looks every 20 µs until it finds all goroutines waiting.
// One goroutine at a time may read, and one write; what the socket takes at once is
// written whatever the deadline.
type unixConn struct {
	file  *os.File // what Go's poller knows of it; never its Fd, which would end that
	raw   syscall.RawConn
	local net.Addr

	in, out call
	read    func(fd uintptr) bool // in's, made once
	write   func(fd uintptr)      // out's
}

// newUnixConn takes over a socket that does not block.
func newUnixConn(fd uintptr, local net.Addr) (*unixConn, error) {
	c := &unixConn{file: os.NewFile(fd, "client"), local: local,
		in: call{trap: syscall.SYS_READ}, out: call{trap: syscall.SYS_WRITE}}
	if c.file.SetDeadline(time.Time{}) != nil { // the poller has not taken it, and NewFile does not say so
		c.file.Close()
		return nil, os.NewSyscallError("epoll_ctl", syscall.ENOMEM)
	}
	var err error
	if c.raw, err = c.file.SyscallConn(); err != nil {
		c.file.Close()
		return nil, err
	}
	c.read, c.write = c.in.ready, c.out.do
	return c, nil
}

// Read implements net.Conn.
func (c *unixConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.in.b = b
	err := c.raw.Read(c.read)
	c.in.b = nil
	switch {
	case err != nil:
		return 0, closedError(err)
	case c.in.errno != 0:
		return 0, c.in.errno
	case c.in.n == 0:
		return 0, io.EOF
	}
	return c.in.n, nil
}

// Write implements net.Conn.
func (c *unixConn) Write(b []byte) (int, error) {
	n := c.tryWrite(b)
	if n == len(b) {
		return n, nil
	}
	m, err := c.file.Write(b[n:]) // finds what was wrong, or waits
	return n + m, closedError(err)
}

// tryWrite writes what the socket takes at once.
func (c *unixConn) tryWrite(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	c.out.b, c.out.n, c.out.errno = b, 0, 0
	_ = c.raw.Control(c.write) // fails on a closed socket only
	c.out.b = nil
	if c.out.errno != 0 {
		return 0
	}
	return c.out.n
}

// closedError is err in the words of package net. The poller's own word for closed
// cannot be compared with; the one other error that it gives is a deadline's.
func closedError(err error) error {
	var number syscall.Errno
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded // a net.Error
	case err == nil, errors.As(err, &number):
		return err
	}
	return net.ErrClosed
}

// CloseRead and CloseWrite shut the socket down in one direction.
func (c *unixConn) CloseRead() error  { return c.shutdown(syscall.SHUT_RD) }
func (c *unixConn) CloseWrite() error { return c.shutdown(syscall.SHUT_WR) }

func (c *unixConn) shutdown(how uintptr) error {
	return c.control(func(fd uintptr) syscall.Errno {
		_, _, errno := syscall.RawSyscall(syscall.SYS_SHUTDOWN, fd, how, 0)
		return errno
	})
}

// SetWriteBuffer asks for a send buffer of so many bytes, which the system may have
// less of.
func (c *unixConn) SetWriteBuffer(bytes int32) error {
	return c.control(func(fd uintptr) syscall.Errno {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF,
			uintptr(unsafe.Pointer(&bytes)), unsafe.Sizeof(bytes), 0)
		return errno
	})
}

func (c *unixConn) control(f func(fd uintptr) syscall.Errno) error {
	var errno syscall.Errno
	if err := c.raw.Control(func(fd uintptr) { errno = f(fd) }); err != nil {
		return closedError(err)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// Close implements net.Conn.
func (c *unixConn) Close() error { return closedError(c.file.Close()) }

// SyscallConn implements syscall.Conn.
func (c *unixConn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// LocalAddr implements net.Conn: the listening socket's.
func (c *unixConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn. Clients have no names.
func (c *unixConn) RemoteAddr() net.Addr { return nameless }

var nameless = &net.UnixAddr{Net: "unix"}

// SetDeadline implements net.Conn, and so do the next two.
func (c *unixConn) SetDeadline(t time.Time) error     { return closedError(c.file.SetDeadline(t)) }
func (c *unixConn) SetReadDeadline(t time.Time) error { return closedError(c.file.SetReadDeadline(t)) }
func (c *unixConn) SetWriteDeadline(t time.Time) error {
	return closedError(c.file.SetWriteDeadline(t))
}

// call is a read or write of a descriptor that does not block.
type call struct {
	trap  uintptr // SYS_READ or SYS_WRITE
	b     []byte
	n     int
	errno syscall.Errno
}

func (c *call) do(fd uintptr) {
	for {
		c.n, c.errno = c.once(fd)
		if c.errno != syscall.EINTR {
			return
		}
	}
}

// ready is do that reports false if it is to be called again when there is more.
func (c *call) ready(fd uintptr) bool {
	c.do(fd)
	return c.errno != syscall.EAGAIN
}
