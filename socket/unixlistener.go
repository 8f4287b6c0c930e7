package socket

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unixListener is a listening Unix socket. It accepts as unixConn reads and writes:
// past Go's scheduler.
type unixListener struct {
	file   *os.File
	raw    syscall.RawConn
	addr   net.Addr
	shared bool // somebody else has it, too, and can make it block

	path     string // of the file that it has made; "" if somebody else has
	dev, ino uint64

	once sync.Once
	err  error
}

// takeOver makes a unixListener of l, which it closes. If it fails, l removes the file
// that it has made.
func takeOver(l *net.UnixListener) (*unixListener, error) {
	defer l.Close()
	f, err := l.File()
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err == nil {
		err = f.SetDeadline(time.Time{}) // fails if the poller has not taken it
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return &unixListener{file: f, raw: raw, addr: l.Addr()}, nil
}

// FileListener is net.FileListener, for a socket of any kind that Listen opens. f
// stays the caller's.
func FileListener(f *os.File) (net.Listener, error) {
	l, err := net.FileListener(f)
	u, ok := l.(*net.UnixListener)
	if !ok {
		return l, err
	}
	own, err := takeOver(u)
	if err != nil {
		return nil, err
	}
	own.shared = true
	return own, nil
}

// Accept implements net.Listener. Its errors are of the types that net/http knows.
func (l *unixListener) Accept() (net.Conn, error) {
	var fd uintptr
	var errno syscall.Errno
	err := l.raw.Read(func(listening uintptr) bool {
		if l.shared && !nonblocking(listening) {
			fd, _, errno = syscall.Syscall6(syscall.SYS_ACCEPT4, listening, 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		} else {
			fd, _, errno = syscall.RawSyscall6(syscall.SYS_ACCEPT4, listening, 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		}
		return errno != syscall.EAGAIN
	})
	switch {
	case err != nil:
		err = closedError(err)
	case errno != 0:
		err = os.NewSyscallError("accept4", errno)
	default:
		var c *unixConn
		if c, err = newUnixConn(fd, l.addr); err == nil {
			return c, nil
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "unix", Addr: l.addr, Err: err}
}

// nonblocking reports whether calls of fd return at once.
func nonblocking(fd uintptr) bool {
	flags, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0)
	return errno == 0 && flags&syscall.O_NONBLOCK != 0
}

// Addr implements net.Listener.
func (l *unixListener) Addr() net.Addr { return l.addr }

// Close closes the socket and removes the file that it has made, unless somebody has
// put another one there.
func (l *unixListener) Close() error {
	l.once.Do(func() {
		if l.path != "" {
			if st, err := lstat(l.path); err == nil && st.Dev == l.dev && st.Ino == l.ino {
				l.err = os.Remove(l.path)
			}
		}
		l.err = errors.Join(l.file.Close(), l.err)
	})
	return l.err
}
