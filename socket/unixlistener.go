package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// unixListener is a listening Unix socket. It accepts as unixConn reads and writes:
// past Go's scheduler.
type unixListener struct {
	file *os.File
	raw  syscall.RawConn
	addr net.Addr

	path     string // of the file that it has made; "" if somebody else has
	dev, ino uint64

	once sync.Once
	err  error
}

// takeOver makes a unixListener of l, which it closes.
func takeOver(l *net.UnixListener) (*unixListener, error) {
	l.SetUnlinkOnClose(false)
	defer l.Close()
	f, err := l.File()
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &unixListener{file: f, raw: raw, addr: l.Addr()}, nil
}

// FileListener is net.FileListener, for a socket of any kind that Listen opens. f
// stays the caller's.
func FileListener(f *os.File) (net.Listener, error) {
	l, err := net.FileListener(f)
	if u, ok := l.(*net.UnixListener); ok {
		return takeOver(u)
	}
	return l, err
}

// Accept implements net.Listener.
func (l *unixListener) Accept() (net.Conn, error) {
	var fd uintptr
	var errno syscall.Errno
	err := l.raw.Read(func(listening uintptr) bool {
		fd, _, errno = syscall.RawSyscall6(syscall.SYS_ACCEPT4, listening, 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		return errno != syscall.EAGAIN
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("accept on %s: %w", l.addr, closedError(err))
	case errno != 0:
		return nil, os.NewSyscallError("accept", errno)
	}
	return newUnixConn(fd, l.addr)
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
