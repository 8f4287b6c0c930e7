package virtualphone

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

// Addr is one end of a connection over the mux.
type Addr uint16

// Network implements net.Addr.
func (a Addr) Network() string { return "usbmux" }

// String implements net.Addr.
func (a Addr) String() string { return strconv.Itoa(int(a)) }

// Read implements net.Conn. After the host's reset it gives what had arrived,
// then io.EOF; after an unplug ErrUnplugged.
func (k *conn) Read(b []byte) (int, error) {
	k.c.mu.Lock()
	defer k.c.unlock()
	for {
		switch {
		case k.closing:
			return 0, net.ErrClosed
		case k.readEnd.over:
			return 0, os.ErrDeadlineExceeded
		case k.recv.n > 0:
			n := k.recv.read(b)
			k.c.phone.stats.payloadRead.Add(uint64(n))
			k.consumedLocked(n)
			k.enqueueLocked()
			return n, nil
		case errors.Is(k.err, ErrHostGone):
			return 0, io.EOF
		case k.err != nil:
			return 0, k.err
		case len(b) == 0:
			return 0, nil
		}
		k.c.wait(&k.readable)
	}
}

// Write implements net.Conn. It blocks while the host takes nothing.
func (k *conn) Write(b []byte) (int, error) {
	k.c.mu.Lock()
	defer k.c.unlock()
	total := 0
	for {
		switch {
		case k.closing:
			return total, net.ErrClosed
		case k.err != nil:
			return total, k.err
		case k.writeEnd.over:
			return total, os.ErrDeadlineExceeded
		}
		n := k.sent.write(b)
		b, total = b[n:], total+n
		if n > 0 {
			k.enqueueLocked()
		}
		if len(b) == 0 {
			return total, nil
		}
		k.c.wait(&k.writable)
	}
}

// Close implements net.Conn. What was written is still sent, then an RST.
func (k *conn) Close() error { return k.closeWith(k.c.phone.faults.Load().ResetText) }

func (k *conn) closeWith(text string) error {
	k.c.mu.Lock()
	defer k.c.unlock()
	k.readEnd.set(k, time.Time{})
	k.writeEnd.set(k, time.Time{})
	if k.closing {
		return nil
	}
	k.closing = true
	k.resetText = text
	k.consumedLocked(k.recv.n)
	k.recv.free()
	k.readable.Broadcast()
	k.writable.Broadcast()
	k.enqueueLocked()
	return nil
}

// LocalAddr implements net.Conn: the phone's port.
func (k *conn) LocalAddr() net.Addr { return Addr(k.pair.phone) }

// RemoteAddr implements net.Conn: the host's source port.
func (k *conn) RemoteAddr() net.Addr { return Addr(k.pair.host) }

// SetDeadline implements net.Conn.
func (k *conn) SetDeadline(t time.Time) error {
	k.c.mu.Lock()
	defer k.c.unlock()
	k.readEnd.set(k, t)
	k.writeEnd.set(k, t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (k *conn) SetReadDeadline(t time.Time) error {
	k.c.mu.Lock()
	defer k.c.unlock()
	k.readEnd.set(k, t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (k *conn) SetWriteDeadline(t time.Time) error {
	k.c.mu.Lock()
	defer k.c.unlock()
	k.writeEnd.set(k, t)
	return nil
}

// deadline is one of a conn's two time limits, guarded by the cable's lock.
type deadline struct {
	timer *time.Timer
	over  bool
	turn  uint64 // which setting a timer belongs to
}

// set replaces the limit; the zero time removes it. The cable's lock is held.
func (d *deadline) set(k *conn, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.turn++
	d.over = false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.over = true
		k.readable.Broadcast()
		k.writable.Broadcast()
		return
	}
	turn := d.turn
	d.timer = time.AfterFunc(left, func() {
		k.c.mu.Lock()
		defer k.c.unlock()
		if d.turn == turn {
			d.over = true
			k.readable.Broadcast()
			k.writable.Broadcast()
		}
	})
}
