package mux

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// sendRing is how many bytes of a connection wait for the phone at most: one packet's
// worth; of a small one there are smallSendRing.
const (
	sendRing      = MaxPayload
	smallSendRing = 8 << 10
)

var (
	sendRings         = newRingPool(sendRing)
	receiveRings      = newRingPool(window)
	smallSendRings    = newRingPool(smallSendRing)
	smallReceiveRings = newRingPool(smallWindow)
)

// Conn is a connection to a port of the phone. It is a net.Conn; Read and Write
// may each be called by several goroutines, which take turns.
//
// After the phone has reset the connection or gone away, Read gives what has
// arrived and then io.EOF, and Write fails with ErrReset or ErrDeviceGone.
type Conn struct {
	s             *Session
	local, remote uint16
	dialed        time.Time

	readMu, writeMu sync.Mutex // held by the one reader, the one writer

	readable chan struct{} // capacity 1: look again
	writable chan struct{} // capacity 1: look again; Dial waits on it too
	readBy   deadline
	writeBy  deadline

	rest atomic.Pointer[func()] // in Forward, until it is called or stopped
	full func()                 // BeforeWait's; guarded by writeMu

	// Guarded by s.mu.
	tcb     tcb
	tx, rx  ring
	links   [queueCount]queueLink
	sink    *sink         // in Forward and WriteTo: takes data without a stay in rx
	handing bool          // the session's reader writes to sink
	closed  bool          // Close has been called
	noWrite bool          // CloseWrite has been called
	done    chan struct{} // made by Done, closed when ended
	ended   bool          // the session has forgotten it

	linger  *time.Timer // after Close, while the phone has not taken all
	lingers int         // how often it has run out
	lastUna uint32      // what the phone had acknowledged then
}

// Dial opens a connection to a TCP port of the phone. It blocks until the phone
// answers or ctx ends. It fails with ErrRefused on a reset, ErrDialTimeout on
// silence, ErrNoPort, ErrProtocol on a wrong answer, and ErrDeviceGone if the
// session has ended or ends first. The caller must Close the Conn.
func (s *Session) Dial(ctx context.Context, port uint16) (*Conn, error) {
	return s.dial(ctx, port, sendRings, receiveRings)
}

// DialSmall is Dial for a connection that holds 40 KiB at most of what its client and
// the phone do not take, instead of 176, and is slower for it.
func (s *Session) DialSmall(ctx context.Context, port uint16) (*Conn, error) {
	return s.dial(ctx, port, smallSendRings, smallReceiveRings)
}

func (s *Session) dial(ctx context.Context, port uint16, tx, rx *ringPool) (*Conn, error) {
	c := &Conn{
		s:        s,
		remote:   port,
		dialed:   time.Now(),
		readable: make(chan struct{}, 1),
		writable: make(chan struct{}, 1),
	}
	c.tx.pool, c.rx.pool = tx, rx
	c.tcb.window = uint32(rx.size)
	c.tcb.synDue = true

	s.mu.Lock()
	var err error
	switch {
	case s.err != nil:
		err = fmt.Errorf("%w: %w", ErrDeviceGone, s.err)
	case s.closing:
		err = net.ErrClosed
	default:
		c.local, err = s.portLocked()
	}
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	s.conns[c.local] = c
	s.urgent.push(c, queueUrgent)
	due := s.dueLocked()
	s.mu.Unlock()
	if due {
		s.send()
	}

	timeout := time.NewTimer(s.cfg.DialTimeout)
	defer timeout.Stop()
	for {
		select {
		case <-c.writable:
			s.mu.Lock()
			opened, err := c.tcb.opened(), c.tcb.err
			s.mu.Unlock()
			switch {
			case opened: // perhaps reset since: then Read says so, after the data
				return c, nil
			case err != nil:
				c.Close()
				return nil, err
			}
		case <-timeout.C:
			c.Close()
			s.mu.Lock()
			s.count.Unanswered++
			s.mu.Unlock()
			return nil, fmt.Errorf("%w within %v", ErrDialTimeout, s.cfg.DialTimeout)
		case <-ctx.Done():
			c.Close()
			return nil, context.Cause(ctx)
		}
	}
}

// Err is why the phone, or its mistake, has ended the connection; nil while it
// has not.
func (c *Conn) Err() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.tcb.err
}

// Reset reports whether the connection was ended by a reset or by the end of
// the device, rather than by this side or by the phone's FIN.
func (c *Conn) Reset() bool { return c.Err() != nil }

// Done is closed when the connection is over in both directions: after a reset
// of either side, or with the session. A FIN of the phone does not close it.
func (c *Conn) Done() <-chan struct{} {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.ended {
			close(c.done)
		}
	}
	return c.done
}

// Acked is how many bytes of what was written the phone has acknowledged,
// modulo 2^32.
func (c *Conn) Acked() uint32 {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.tcb.sndUna - 1 // less the SYN
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.readMu.Lock()
	defer c.readMu.Unlock()
	chunk, err := c.peek(len(b))
	if err != nil {
		return 0, err
	}
	n := copy(b, chunk)
	c.discard(n)
	return n, nil
}

// Write implements net.Conn. It returns when the last byte is queued, not when
// the phone has it.
func (c *Conn) Write(b []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	total := 0
	for total < len(b) {
		room, err := c.reserve()
		if err != nil {
			return total, err
		}
		n := copy(room, b[total:])
		c.commit(n)
		total += n
	}
	return total, nil
}

// CloseWrite says that nothing more will be written. Data from the phone keeps
// flowing. The phone does not learn of it: the protocol has no word for it.
func (c *Conn) CloseWrite() error {
	c.s.mu.Lock()
	c.noWrite = true
	if c.tcb.state == established {
		c.tcb.state = writeClosed
	}
	c.s.mu.Unlock()
	notify(c.writable)
	return nil
}

// CloseRead drops what the phone has sent and will send, so that it never waits
// for this side to read. Writing goes on.
func (c *Conn) CloseRead() error {
	s := c.s
	s.mu.Lock()
	ev := c.tcb.closeRead()
	c.rx.kill()
	s.pushLocked(c, ev)
	due := s.dueLocked()
	s.mu.Unlock()
	if due {
		s.send()
	}
	c.wakeReader()
	return nil
}

// maxLingers bounds the wait of a closed connection for a phone that is slow but
// steady, in units of Config.Linger.
const maxLingers = 10

// Close ends both directions and returns at once. In the background what was
// written still goes to the phone; the reset follows when the phone has
// acknowledged all of it, or has acknowledged nothing for Config.Linger. The
// source port stays in use until then.
func (c *Conn) Close() error {
	s := c.s
	s.mu.Lock()
	if c.closed {
		s.mu.Unlock()
		return nil
	}
	c.closed = true
	ev := c.tcb.close()
	c.rx.kill()
	if c.tcb.state == closing && !c.tcb.drained() && s.err == nil {
		c.lastUna = c.tcb.sndUna
		c.linger = time.AfterFunc(s.cfg.Linger, c.lingered)
	}
	s.pushLocked(c, ev)
	if c.tcb.state == closed && !c.tcb.rstDue {
		s.dropLocked(c)
	}
	due := s.dueLocked()
	s.mu.Unlock()
	if due {
		s.send()
	}
	c.wakeReader()
	notify(c.writable)
	return nil
}

// lingered gives up on a phone that does not take what was sent to it.
func (c *Conn) lingered() {
	s := c.s
	s.mu.Lock()
	c.lingers++
	if c.tcb.state == closing && c.tcb.sndUna != c.lastUna && c.lingers < maxLingers {
		c.lastUna = c.tcb.sndUna
		c.linger.Reset(s.cfg.Linger)
		s.mu.Unlock()
		return
	}
	if c.tcb.state == closing && !c.tcb.drained() {
		s.count.ResetsOut++
	}
	s.pushLocked(c, c.tcb.abort(net.ErrClosed))
	due := s.dueLocked()
	s.mu.Unlock()
	if due {
		s.send()
	}
}

// Abort is Close without the wait: what the phone has not taken is lost.
func (c *Conn) Abort() {
	c.Close()
	c.s.mu.Lock()
	c.lingers = maxLingers
	c.s.mu.Unlock()
	c.lingered()
}

// peek waits for data from the phone and returns the first contiguous bytes, at
// most max. A discard must follow unless it fails. The caller holds readMu.
func (c *Conn) peek(max int) ([]byte, error) {
	for {
		expired := c.readBy.wait()
		select {
		case <-expired:
			return nil, os.ErrDeadlineExceeded
		default:
		}
		chunk, err := c.tryPeek(max)
		if chunk != nil || err != nil {
			return chunk, err
		}
		select {
		case <-c.readable:
		case <-expired:
		}
	}
}

func (c *Conn) tryPeek(max int) ([]byte, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch {
	case c.closed:
		return nil, net.ErrClosed
	case c.handing: // the reader says when it is done
	case c.rx.n > 0:
		return c.rx.peek(max), nil
	case c.tcb.err != nil, c.tcb.fin, c.tcb.drop:
		return nil, io.EOF
	}
	return nil, nil
}

// wakeReader has whoever takes what the phone sends look again.
func (c *Conn) wakeReader() {
	if rest := c.rest.Swap(nil); rest != nil {
		go (*rest)()
	}
	notify(c.readable)
}

// discard gives back n of the bytes that peek returned, as taken.
func (c *Conn) discard(n int) {
	s := c.s
	s.mu.Lock()
	c.rx.discard(n)
	if !c.tcb.drop {
		s.pushLocked(c, c.tcb.consumed(n))
	}
	due := s.dueLocked()
	s.mu.Unlock()
	if due {
		s.send()
	}
}

// reserve waits for room in the send ring and returns it. A commit must follow
// unless it fails. The caller holds writeMu.
func (c *Conn) reserve() ([]byte, error) {
	for {
		if err := c.waitRoom(); err != nil {
			return nil, err
		}
		if room, err := c.tryReserve(); room != nil || err != nil {
			return room, err
		}
	}
}

// BeforeWait has f called once: before something written waits for the phone to take
// what was written before.
func (c *Conn) BeforeWait(f func()) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	c.full = f
}

// waitRoom waits for room in the send ring, without taking any.
func (c *Conn) waitRoom() error {
	for {
		expired := c.writeBy.wait()
		select {
		case <-expired:
			return os.ErrDeadlineExceeded
		default:
		}
		c.s.mu.Lock()
		err := c.writeErrLocked()
		full := c.tx.n == c.tx.pool.size
		c.s.mu.Unlock()
		if err != nil || !full {
			return err
		}
		if f := c.full; f != nil {
			c.full = nil
			f()
		}
		select {
		case <-c.writable:
		case <-expired:
		}
	}
}

func (c *Conn) tryReserve() ([]byte, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if err := c.writeErrLocked(); err != nil {
		return nil, err
	}
	return c.tx.reserve(), nil
}

func (c *Conn) writeErrLocked() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.tcb.err != nil:
		return c.tcb.err
	case c.noWrite:
		return io.ErrClosedPipe
	}
	return nil
}

// commit queues the first n reserved bytes for the phone and has them sent.
func (c *Conn) commit(n int) {
	c.queue(n)
	c.s.kick()
}

// queue is commit for those who have more, so that packets get full. A kick must
// follow.
func (c *Conn) queue(n int) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	c.tx.commit(n)
	if n > 0 && !c.tx.dead && !c.closed {
		c.tcb.queued += n
		s.pushLocked(c, evSend)
	}
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	notify(c.readable)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.set(t)
	notify(c.writable)
	return nil
}

// Addr is one end of a Conn: a port of the host's side or of the phone's.
type Addr uint16

// Network implements net.Addr.
func (Addr) Network() string { return "usbmux" }

// String implements net.Addr.
func (a Addr) String() string { return ":" + strconv.Itoa(int(a)) }

// LocalAddr is the source port.
func (c *Conn) LocalAddr() net.Addr { return Addr(c.local) }

// RemoteAddr is the phone's port.
func (c *Conn) RemoteAddr() net.Addr { return Addr(c.remote) }
