package socket

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hangups tells clients' handlers that the other end has closed its socket,
// without reading from it: while a device is being dialled, after a half-close,
// and while the copy to the device waits for the device. One epoll descriptor
// and one goroutine serve all clients. Data does not wake it, and nothing polls.
type hangups struct {
	epoll *os.File // of Go's poller's kind, so that waiting costs no thread
	raw   syscall.RawConn

	done chan struct{} // closed when run has returned

	mu      sync.Mutex // guards clients
	clients map[uint64]*client
}

func newHangups() (*hangups, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch clients for hang-ups: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch clients for hang-ups: %w", err)
	}
	h := &hangups{
		epoll:   os.NewFile(uintptr(fd), "epoll"),
		done:    make(chan struct{}),
		clients: make(map[uint64]*client),
	}
	if h.raw, err = h.epoll.SyscallConn(); err != nil {
		h.epoll.Close()
		return nil, fmt.Errorf("watch clients for hang-ups: %w", err)
	}
	go h.run() // close waits for it
	return h, nil
}

// watch calls c.hungUp when the other end of c closes, now if it has. It stops
// with forget.
func (h *hangups) watch(c *client) error {
	h.mu.Lock()
	h.clients[c.number] = c
	h.mu.Unlock()
	var err error
	if cerr := c.raw.Control(func(fd uintptr) {
		err = unix.EpollCtl(int(h.fd()), unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{
			Events: unix.EPOLLRDHUP | unix.EPOLLET, // EPOLLHUP and EPOLLERR always come
			Fd:     int32(uint32(c.number)),
			Pad:    int32(uint32(c.number >> 32)),
		})
	}); cerr != nil {
		err = cerr
	}
	if err != nil {
		h.forget(c)
		return fmt.Errorf("watch for hang-up: %w", err)
	}
	return nil
}

// fd returns the epoll descriptor, or one that is refused after close.
func (h *hangups) fd() (fd uintptr) {
	fd = ^uintptr(0)
	_ = h.raw.Control(func(f uintptr) { fd = f })
	return fd
}

// forget ends watch. The kernel forgets the descriptor when it is closed.
func (h *hangups) forget(c *client) {
	h.mu.Lock()
	delete(h.clients, c.number)
	h.mu.Unlock()
}

// run delivers hang-ups until close.
func (h *hangups) run() {
	defer close(h.done)
	var events [64]unix.EpollEvent
	_ = h.raw.Read(func(fd uintptr) bool { // the error says closed
		for {
			// Does not wait, so Go's scheduler need not know.
			n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&events)), uintptr(len(events)), 0, 0, 0)
			switch {
			case errno == unix.EINTR:
				continue
			case errno != 0 || n == 0:
				return false
			}
			for _, e := range events[:n] {
				number := uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32
				h.mu.Lock()
				c := h.clients[number]
				h.mu.Unlock()
				if c != nil {
					c.hungUp(e.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0)
				}
			}
		}
	})
}

// close ends run and waits for it. It may be called again.
func (h *hangups) close() {
	h.epoll.Close()
	<-h.done
}

// closedByPeer reports whether the other end has closed the socket, not just
// its sending direction.
func closedByPeer(raw syscall.RawConn) bool {
	closed := true // as is a socket that cannot be asked
	_ = raw.Control(func(fd uintptr) {
		poll := unix.PollFd{Fd: int32(fd)}
		var now unix.Timespec
		for {
			_, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
			if errno != unix.EINTR {
				break
			}
		}
		closed = poll.Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
	})
	return closed
}

// unread returns how many bytes wait to be read from the socket.
func unread(raw syscall.RawConn) (n int) {
	_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	return n
}

// rawConn returns conn's descriptor access, nil if it is no socket.
func rawConn(conn net.Conn) syscall.RawConn {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
