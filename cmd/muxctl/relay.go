package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// link is one connection that is forwarded: what a program here has opened, and
// what leads to the phone.
type link struct {
	local, phone net.Conn
	up, down     atomic.Int64 // bytes to the phone and from it; while running see bytes
}

// run carries data both ways until both have ended, or one end has gone
// altogether, and closes both connections.
//
// An end that shuts down writing is told to the other, which may go on. Whoever
// ends writing may as well have closed: that shows later, by a hang-up of the
// socket, over TCP when a keep-alive probe finds nobody.
func (l *link) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	var copies, watches sync.WaitGroup
	carry := func(dst, src net.Conn, n *atomic.Int64) {
		defer copies.Done()
		if err := l.copy(dst, src, n); err != nil {
			l.close()
			return
		}
		watches.Go(func() {
			if awaitHangUp(src) {
				l.close()
			}
		})
	}
	copies.Add(2)
	go carry(l.phone, l.local, &l.up) // waited for below
	carry(l.local, l.phone, &l.down)
	copies.Wait()
	l.close()
	watches.Wait()
}

func (l *link) close() {
	l.local.Close()
	l.phone.Close()
}

// copy copies until src ends, and tells dst of it. Between a TCP and a Unix socket
// io.Copy has the kernel do it (splice(2)), and n is only right at the end; all
// else goes through a buffer and is counted on the way.
func (l *link) copy(dst, src net.Conn, n *atomic.Int64) error {
	var err error
	if l.spliced() {
		var all int64
		all, err = io.Copy(dst, src)
		n.Store(all)
	} else {
		_, err = io.Copy(counter{dst, n}, struct{ io.Reader }{src})
	}
	if err != nil {
		return err
	}
	if w, ok := dst.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

func (l *link) spliced() bool {
	_, tcp := l.local.(*net.TCPConn)
	switch l.phone.(type) {
	case *net.UnixConn, *net.TCPConn:
		return tcp
	}
	return false
}

// counter counts what is written.
type counter struct {
	io.Writer
	n *atomic.Int64
}

func (c counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// bytes is what has gone to the phone and come from it so far. Of a copy that the
// kernel makes, the kernel knows.
func (l *link) bytes() (up, down int64) {
	up, down = l.up.Load(), l.down.Load()
	if t, ok := l.local.(*net.TCPConn); ok && l.spliced() {
		if raw, err := t.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
					up, down = max(up, int64(info.Bytes_received)), max(down, int64(info.Bytes_acked))
				}
			})
		}
	}
	return up, down
}

// awaitHangUp waits until the other end of a connection, which has ended writing,
// has closed it. It reports false if it cannot know, or conn is closed here.
func awaitHangUp(conn net.Conn) bool {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false // TLS
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	// The poller wakes a reader for each change of the socket, a hang-up too.
	err = raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(p, 0)
		return err != nil && !errors.Is(err, unix.EINTR) || p[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
	})
	return err == nil
}
