package socket

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testHalfClose(t *testing.T) {
	r := newRig(t, func(c *Config) { c.HalfClosed = 50 * time.Millisecond; c.FlushTimeout = patience })
	d := newFakeDevice()
	id := r.attach(d)
	halfClosed := func(t *testing.T, h *host) *phone {
		p := h.connect(d, id, 1)
		h.write([]byte("request"))
		h.closeWrite()
		p.recv(t, 7)
		p.await(t, "CloseWrite", func() bool { return p.half })
		return p
	}
	t.Run("data still flows, then reset", func(t *testing.T) {
		h := r.dial()
		p := halfClosed(t, h)
		p.send([]byte("answer"))
		h.bytes(fmt.Sprintf("%x", "answer"))
		p.do(func() {
			if p.closed {
				t.Error("closed although the client still reads")
			}
		})
		p.reset()
		h.eof()
		p.awaitClosed(t)
	})
	t.Run("close is noticed without traffic", func(t *testing.T) {
		h := r.dial()
		p := halfClosed(t, h)
		h.Close()
		p.awaitClosed(t)
	})
	t.Run("close at once is a full close", func(t *testing.T) {
		h := r.dial()
		p := h.connect(d, id, 1)
		h.write([]byte("last words"))
		h.Close()
		p.awaitClosed(t)
		p.recv(t, 10)
		p.do(func() {
			if p.half {
				t.Error("a full close was taken for a half-close")
			}
		})
	})
	t.Run("close with unread data", func(t *testing.T) {
		h := r.dial()
		p := h.connect(d, id, 1)
		p.send([]byte("never read"))
		p.await(t, "data taken", func() bool { return len(p.down) == 0 })
		h.write([]byte("last words"))
		h.Close()
		p.awaitClosed(t)
		if got := p.recv(t, 10); string(got) != "last words" {
			t.Errorf("the phone got %q", got)
		}
	})
	t.Run("close of a client that does not read", func(t *testing.T) {
		h := r.dial()
		p := h.connect(d, id, 1)
		p.send(bytes.Repeat([]byte("x"), 4<<20))
		p.await(t, "a first part taken", func() bool { return len(p.down) < 4<<20 })
		h.write([]byte("last words"))
		h.Close()
		p.awaitClosed(t)
		if got := p.recv(t, 10); string(got) != "last words" {
			t.Errorf("the phone got %q", got)
		}
	})
	t.Run("TCP: silence ends it", func(t *testing.T) {
		h := r.dialTCP()
		p := halfClosed(t, h)
		h.eof()
		p.awaitClosed(t)
	})
	t.Run("TCP: close with data from the phone", func(t *testing.T) {
		h := r.dialTCP()
		p := halfClosed(t, h)
		h.Close()
		p.send([]byte("answered by a reset"))
		p.awaitClosed(t)
	})
}

// TestBothShutDown asserts that a client which has shut down sending after the device
// has, and reads on, gets everything and then the end, although some of what it sent
// is never taken: its socket looks as if it were closed.
func TestBothShutDown(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for _, how := range []string{"reset", "unplug"} {
			t.Run(network+" "+how, func(t *testing.T) {
				r := newRig(t, func(c *Config) { c.FlushTimeout = patience })
				d := newFakeDevice()
				id := r.attach(d)
				h, size := r.dial(), 50<<10
				if network == "tcp" { // more than it takes without reading
					h, size = r.dialTCP(), 400<<10
					h.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
				}
				h.t = t
				p := h.connect(d, id, 1)
				clients := 0
				r.until(func() bool { clients = len(r.srv.clients); return true })
				p.do(func() { p.room = 10 })
				h.write(make([]byte, 120<<10))
				p.send(make([]byte, size))
				p.end()
				p.await(t, "data taken", func() bool { return len(p.down) == 0 })
				if network == "unix" {
					h.awaitShutDown()
				}
				h.closeWrite()
				if how == "unplug" {
					r.reg.Detach(id)
				} else {
					p.reset()
				}
				p.awaitClosed(t)
				r.until(func() bool { return len(r.srv.clients) < clients })
				if got, err := io.ReadAll(h); len(got) != size || err != nil {
					t.Errorf("the client got %d bytes of %d, %v", len(got), size, err)
				}
			})
		}
	}
}

// awaitShutDown waits until the server has shut down sending.
func (h *host) awaitShutDown() {
	h.t.Helper()
	raw, err := h.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(poll, int(patience/time.Millisecond)); n != 1 {
			h.t.Errorf("poll = %d, %v", n, err)
		}
	}); err != nil {
		h.t.Fatal(err)
	}
}

func TestCloseWhileThePhoneTakesNothing(t *testing.T) {
	r := newRig(t, func(c *Config) { c.FlushTimeout = 50 * time.Millisecond })
	d := newFakeDevice()
	id := r.attach(d)
	h := r.dial()
	p := h.connect(d, id, 1)
	p.do(func() { p.room = 4 })
	h.write([]byte("more than fits"))
	p.await(t, "a full phone", func() bool { return len(p.up) == 4 })
	h.Close()
	p.awaitClosed(t)
}

// A client that shuts down only its reading side goes on sending, whatever the
// device says meanwhile.
func TestShutdownOfReading(t *testing.T) {
	r := newRig(t, func(c *Config) { c.FlushTimeout = time.Millisecond })
	d := newFakeDevice()
	id := r.attach(d)
	h := r.dial()
	p := h.connect(d, id, 1)
	if err := h.Conn.(*net.UnixConn).CloseRead(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		p.send([]byte("answer that nobody reads"))
		p.await(t, "answer taken", func() bool { return len(p.down) == 0 })
		h.write([]byte("upload"))
		p.recv(t, 6)
	}
	h.Close()
	p.awaitClosed(t)
}

// After a FIN, a reset by the device ends the connection of a client that does
// nothing.
func TestFinThenReset(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	h := r.dial()
	p := h.connect(d, id, 1)
	p.end()
	h.eof()
	p.reset()
	p.awaitClosed(t)
}

func TestTCPHalfCloseKeepsData(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	h := r.dialTCP()
	p := h.connect(d, id, 1)
	h.closeWrite()
	p.await(t, "CloseWrite", func() bool { return p.half })
	p.send([]byte("answer"))
	h.bytes(fmt.Sprintf("%x", "answer"))
	p.reset()
	h.eof()
	p.awaitClosed(t)
}

// A client that leaves while its device is dialled ends the dial.
func TestHangUpWhileConnecting(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	dialling, open, cancelled := d.gate()
	id := r.attach(d)
	for _, tt := range []struct {
		name string
		dial func() *host
		with string
	}{
		{"unix", r.dial, ""},
		{"unix with early payload", r.dial, "early"},
		{"tcp", r.dialTCP, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.dial()
			h.write(append(askConnect(1, id, 1), tt.with...))
			<-dialling
			h.Close()
			select {
			case <-cancelled:
			case <-time.After(patience):
				t.Fatal("the dial was not cancelled")
			}
		})
	}
	t.Run("second attempt", func(t *testing.T) {
		h := r.dial()
		h.write(askConnect(1, id, 1))
		<-dialling
		open(errPhoneReset)
		h.result(1, 3)
		h.write(askConnect(2, id, 1))
		<-dialling
		h.Close()
		<-cancelled
	})
	t.Run("unix half-close goes on", func(t *testing.T) {
		h := r.dial()
		h.write(append(askConnect(1, id, 1), "request"...))
		h.closeWrite()
		<-dialling
		open(nil)
		h.result(1, 0)
		p := d.phone(t)
		p.recv(t, 7)
		p.send([]byte("answer"))
		h.bytes(fmt.Sprintf("%x", "answer"))
	})
	t.Run("tcp half-close with payload goes on", func(t *testing.T) {
		h := r.dialTCP()
		h.write(append(askConnect(1, id, 1), "request"...))
		h.closeWrite()
		<-dialling
		open(nil)
		h.result(1, 0)
		d.phone(t).recv(t, 7)
	})
}

// Close ends every phase of every client.
func TestCloseUnblocks(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	idle := r.dial()
	idle.sync()
	r.dial().write(ask(1, "ListDevices")[:20])
	l := r.dial()
	l.listen(1)
	half := r.dial()
	half.listen(1)
	half.closeWrite()
	for _, dial := range []func() *host{r.dial, r.dialTCP} {
		quiet := dial()
		quiet.connect(d, id, 1)
		hc := dial()
		p := hc.connect(d, id, 2)
		hc.closeWrite()
		p.await(t, "CloseWrite", func() bool { return p.half })
		slow := dial()
		p = slow.connect(d, id, 3)
		p.send(bytes.Repeat([]byte("x"), 8<<20))
		stuck := dial()
		p = stuck.connect(d, id, 4)
		p.do(func() { p.room = 1 })
		stuck.write([]byte("stuck"))
		p.await(t, "a full phone", func() bool { return len(p.up) == 1 })
		fin := dial()
		fin.connect(d, id, 5).end()
		fin.eof()
	}
	dialling, _, _ := d.gate()
	c := r.dial()
	c.write(askConnect(1, id, 6))
	<-dialling
	r.srv.Close()
	r.srv.Close()
	if _, err := r.reg.Attach(networkInfo(), d); err != nil {
		t.Fatal(err)
	}
}
