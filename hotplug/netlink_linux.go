package hotplug

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Multicast groups of NETLINK_KOBJECT_UEVENT.
const (
	groupKernel = 1
	groupUdev   = 2
)

// receiveBuffer holds a burst of some 20,000 messages while the reader is not
// scheduled. The kernel takes the memory only as messages come.
const receiveBuffer = 16 << 20

// maxMessage is the largest message read. The kernel's have 2 KiB at most and
// some hundred bytes more of head; udevd's grow with what its rules import.
const maxMessage = 64 << 10

// netlink is a uevent socket in Go's poller: a waiting receive costs no thread
// and no wake-up.
type netlink struct {
	file *os.File
	conn syscall.RawConn
	step func(fd uintptr) bool // receiveFD, bound once

	closed atomic.Bool

	buf     [maxMessage]byte
	iov     unix.Iovec
	name    unix.RawSockaddrNetlink
	control struct {
		head unix.Cmsghdr
		cred unix.Ucred
	}
	n     int
	flags int32
	err   error
	lost  bool // messages are missing and the socket is not drained yet
	short int  // for tests: room offered to a message, if not zero
}

// openNetlink subscribes to the kernel's and to udevd's messages.
func openNetlink() (source, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("uevent socket: %w", err)
	}
	s, err := newNetlink(fd)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("uevent socket: %w", err)
	}
	return s, nil
}

// newNetlink binds fd, and owns it unless it returns an error.
func newNetlink(fd int) (*netlink, error) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		// Without CAP_NET_ADMIN the system's limit applies; an overflow is mended.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return nil, fmt.Errorf("buffer: %w", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groupKernel | groupUdev}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	s := &netlink{file: os.NewFile(uintptr(fd), "uevents")}
	s.step = s.receiveFD
	conn, err := s.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	s.conn = conn
	return s, nil
}

func (s *netlink) close() error {
	s.closed.Store(true)
	return s.file.Close()
}

// receive implements source.
func (s *netlink) receive() ([]byte, sender, error) {
	if err := s.conn.Read(s.step); err != nil {
		if s.closed.Load() { // the error of a closed RawConn has no name
			err = os.ErrClosed
		}
		return nil, sender{}, err
	}
	if s.err != nil {
		return nil, sender{}, s.err
	}
	from := sender{port: s.name.Pid, truncated: s.flags&unix.MSG_TRUNC != 0}
	if s.flags&unix.MSG_CTRUNC == 0 && s.control.head.Level == unix.SOL_SOCKET && s.control.head.Type == unix.SCM_CREDENTIALS {
		from.uid, from.creds = s.control.cred.Uid, true
	}
	return s.buf[:s.n], from, nil
}

// receiveFD takes one message off the socket, and reports false to wait for one.
// The system call is made directly as x/sys allocates an address for each message.
func (s *netlink) receiveFD(fd uintptr) bool {
	for {
		s.control.head = unix.Cmsghdr{}
		s.iov.Base = &s.buf[0]
		s.iov.SetLen(len(s.buf))
		if s.short > 0 {
			s.iov.SetLen(s.short)
		}
		h := unix.Msghdr{
			Name:    (*byte)(unsafe.Pointer(&s.name)),
			Namelen: unix.SizeofSockaddrNetlink,
			Iov:     &s.iov,
			Control: (*byte)(unsafe.Pointer(&s.control)),
		}
		h.SetIovlen(1)
		h.SetControllen(int(unsafe.Sizeof(s.control)))
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT)
		runtime.KeepAlive(s)
		s.n, s.flags, s.err = int(n), h.Flags, nil
		switch {
		case errno == 0:
		case errno == unix.EINTR:
			continue
		case errno == unix.ENOBUFS:
			// The kernel says so once and goes on dropping until the socket was empty,
			// so that is told too.
			s.lost = true
			s.err = errLost
		case errno == unix.EAGAIN && s.lost:
			s.lost = false
			s.err = errDrained
		case errno == unix.EAGAIN:
			return false
		default:
			s.err = fmt.Errorf("receive uevent: %w", errno)
		}
		return true
	}
}
