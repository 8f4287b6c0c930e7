package socket

import (
	"io"
	"net"
	"syscall"
)

// unixConn is a client's Unix socket. It makes the calls that never wait in the kernel
// past Go's scheduler: a call that the scheduler is told of wakes its monitor, a thread
// that looks every 20 µs until all goroutines wait again.
// One goroutine at a time may read, and one write.
type unixConn struct {
	*net.UnixConn
	raw syscall.RawConn

	in, out call
	read    func(fd uintptr) bool // in's, made once
	write   func(fd uintptr)      // out's
}

// newUnixConn is conn itself if it is no Unix socket.
func newUnixConn(conn net.Conn) net.Conn {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return conn
	}
	raw := rawConn(u)
	if raw == nil {
		return conn
	}
	c := &unixConn{UnixConn: u, raw: raw, in: call{trap: syscall.SYS_READ}, out: call{trap: syscall.SYS_WRITE}}
	c.read, c.write = c.in.ready, c.out.do
	return c
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
		return 0, err
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
	m, err := c.UnixConn.Write(b[n:]) // finds what was wrong, or waits
	return n + m, err
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

// CloseRead and CloseWrite shut the socket down in one direction.
func (c *unixConn) CloseRead() error  { return c.shutdown(syscall.SHUT_RD) }
func (c *unixConn) CloseWrite() error { return c.shutdown(syscall.SHUT_WR) }

func (c *unixConn) shutdown(how uintptr) error {
	var errno syscall.Errno
	if err := c.raw.Control(func(fd uintptr) {
		_, _, errno = syscall.RawSyscall(syscall.SYS_SHUTDOWN, fd, how, 0)
	}); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
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
