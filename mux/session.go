package mux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Pipe is the pair of bulk endpoints of one phone.
//
// Read gives what the phone sent, in order; where it cuts that means nothing,
// and 0 bytes without an error is fine. Write sends exactly one mux packet and
// adds the zero-length transfer that ends it where the length asks for one; it
// returns when the slice may be reused. One goroutine reads, one writes. Close
// unblocks both, which then return net.ErrClosed.
type Pipe interface {
	io.Reader
	io.Writer
	io.Closer
}

// Lender is a Pipe that lends the memory of its transfers. It spares a session the
// copies, and the writer's wake-up for each packet.
type Lender interface {
	Pipe

	// Next is Read without the copy: what it gives is the caller's until Return,
	// which must follow unless Next fails. Return reports whether there is more right
	// away.
	Next() ([]byte, error)
	Return() (more bool)

	// Lend gives memory for the next packet, 48 KiB at least, or nil if Write must
	// be used, as while another packet's memory is lent or waits in Write; Submit
	// sends the first n bytes of it, none for 0, and must follow unless it was nil.
	// Neither waits; the session sees to it that one goroutine at a time sends. An
	// error is the pipe's end.
	Lend() []byte
	Submit(n int) error
}

// Config is how a session behaves. The zero value is right for a phone.
type Config struct {
	// Log gets the phone's messages at warning, info or debug level, and what
	// it does wrong. Nil is no log.
	Log *zap.Logger

	// Tap shows the session's packets to those who watch. Nil is nobody.
	Tap *Tap

	// VersionTimeout bounds the wait for the phone's version. Default 5 s.
	VersionTimeout time.Duration

	// DialTimeout bounds the wait for the answer to a SYN. Default 10 s.
	DialTimeout time.Duration

	// Linger bounds how long a closed Conn waits for a phone that acknowledges
	// nothing of what was written to it before the reset goes out. A phone that
	// is slow but steady gets maxLingers times as long in all. Default 1 s.
	Linger time.Duration

	// Stuck is how long the phone may take nothing of a packet before the session
	// ends with ErrStuck; noticed after twice that at the latest. 0: for ever.
	Stuck time.Duration

	// CloseTimeout bounds how long Close waits for the resets of open
	// connections to leave. Default 100 ms.
	CloseTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Tap == nil {
		c.Tap = new(Tap)
	}
	for _, d := range []struct {
		p   *time.Duration
		def time.Duration
	}{
		{&c.VersionTimeout, 5 * time.Second},
		{&c.DialTimeout, 10 * time.Second},
		{&c.Linger, time.Second},
		{&c.CloseTimeout, 100 * time.Millisecond},
	} {
		if *d.p <= 0 {
			*d.p = d.def
		}
	}
	return c
}

// Session is the multiplexer of one phone. Its methods are safe for concurrent
// use.
type Session struct {
	pipe   Pipe
	lender Lender // pipe, if it is one
	cfg    Config
	log    *zap.Logger

	wake   chan struct{} // capacity 1: writeLoop is to send
	active chan struct{} // closed when the handshake is complete
	idle   chan struct{} // closed when, closing, nothing is left to send
	done   chan struct{} // closed when err is set
	wg     sync.WaitGroup

	in, out Observed // the reader's, the writer's; see Session.Observed
	opened  bool     // the reader's: a Dial has its answer

	start time.Time // of the clock of heard
	stuck stuck
	heard atomic.Int64 // when the last transfer came from the phone, since start; 0: none yet

	// mu guards all below and each Conn's tcb, rings and queue links. Nothing
	// under it waits, logs, calls back or does I/O.
	mu       sync.Mutex
	major    uint32 // the phone's protocol version, 0 until it is known
	err      error  // why the session ended
	closing  bool   // Close has been called
	sending  bool   // somebody sends what there is to send
	greet    greeting
	txSeq    uint16
	rxSeq    uint16
	lastPort uint16
	conns    map[uint16]*Conn // by source port
	urgent   connQueue        // have a SYN, ACK or RST to send
	ready    connQueue        // have data to send
	strays   []segment        // resets for segments of unknown connections
	credit   int              // how many urgent packets may go before the next data
	count    Counters
}

// greeting is what the writer still has to say before anything else.
type greeting uint8

const (
	greetNothing greeting = iota
	greetVersion
	greetSetup
)

// Open starts a session over pipe, which it owns from then on: it greets the
// phone and returns when the phone has answered. It fails with ErrNoVersion on
// silence, ErrProtocol on a version other than 1 and 2, ErrDeviceGone if the
// pipe breaks. The caller must Close the session, also after it has ended.
func Open(ctx context.Context, pipe Pipe, cfg Config) (*Session, error) {
	cfg = cfg.withDefaults()
	s := &Session{
		pipe:   pipe,
		cfg:    cfg,
		log:    cfg.Log,
		start:  time.Now().Add(-1), // so that no instant is 0
		wake:   make(chan struct{}, 1),
		active: make(chan struct{}),
		idle:   make(chan struct{}),
		done:   make(chan struct{}),
		greet:  greetVersion,
		rxSeq:  0xffff,
		conns:  make(map[uint16]*Conn),
	}
	s.lender, _ = pipe.(Lender)
	s.watchWrites()
	s.sending = true                        // writeLoop does
	s.wg.Go(func() { s.end(s.readLoop()) }) // Close closes the pipe, then waits
	s.wg.Go(func() { s.end(s.writeLoop()) })

	timeout := time.NewTimer(cfg.VersionTimeout)
	defer timeout.Stop()
	var err error
	select {
	case <-s.active:
		return s, nil
	case <-s.done:
		err = s.Err()
	case <-timeout.C:
		err = fmt.Errorf("%w within %v", ErrNoVersion, cfg.VersionTimeout)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.end(err)
	s.wg.Wait()
	return nil, err
}

// Version is the major mux version of the phone: 1 or 2.
func (s *Session) Version() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.major)
}

// Done is closed when the session has ended: by Close, or because the device
// has gone or broken the protocol. Err then gives the cause.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is why the session has ended, nil while it has not, net.ErrClosed after
// Close.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close resets all connections, closes the pipe and waits until the session's
// goroutines have ended. What was written and has not left is lost. It takes
// CloseTimeout at most, as long as the pipe's Close keeps its promise.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closing = true
	conns := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		s.pushLocked(c, c.tcb.abort(net.ErrClosed))
		conns = append(conns, c)
	}
	due := s.dueLocked()
	s.mu.Unlock()
	if due {
		s.send()
	}
	notifyAll(conns)

	timeout := time.NewTimer(s.cfg.CloseTimeout)
	defer timeout.Stop()
	select {
	case <-s.idle:
	case <-s.done:
	case <-timeout.C:
	}
	s.end(net.ErrClosed)
	s.wg.Wait()
	return nil
}

// end ends the session with a cause, once, and every connection with it.
func (s *Session) end(cause error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	if s.closing {
		cause = net.ErrClosed
	}
	s.err = cause
	connErr := cause
	if !errors.Is(cause, net.ErrClosed) && !errors.Is(cause, ErrDeviceGone) {
		connErr = fmt.Errorf("%w: %w", ErrDeviceGone, cause)
	}
	conns := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		c.tcb.abort(connErr)
		s.dropLocked(c)
		conns = append(conns, c)
	}
	s.mu.Unlock()

	close(s.done)
	if s.stuck.timer != nil {
		s.stuck.timer.Stop()
	}
	s.pipe.Close()
	notifyAll(conns)
}

// notifyAll wakes whoever waits on conns.
func notifyAll(conns []*Conn) {
	for _, c := range conns {
		c.wakeReader()
		notify(c.writable)
	}
}

// portLocked finds a source port: the next one that is not in use.
func (s *Session) portLocked() (uint16, error) {
	for range 65535 {
		s.lastPort++
		if s.lastPort == 0 {
			s.lastPort = 1
		}
		if s.conns[s.lastPort] == nil {
			return s.lastPort, nil
		}
	}
	return 0, ErrNoPort
}

// dropLocked forgets a connection that is closed and has nothing left to send.
func (s *Session) dropLocked(c *Conn) {
	if s.conns[c.local] == c {
		delete(s.conns, c.local)
	}
	c.tx.kill()
	if c.linger != nil {
		c.linger.Stop()
	}
	if !c.ended {
		c.ended = true
		if c.done != nil {
			close(c.done)
		}
	}
}

// pushLocked queues c for the writer according to what a tcb call has returned.
// The caller sends, if dueLocked says so, after unlocking.
func (s *Session) pushLocked(c *Conn, ev event) {
	if ev&evSend == 0 {
		return
	}
	if c.tcb.sendable() > 0 {
		s.ready.push(c, queueReady)
	}
	if c.tcb.synDue || c.tcb.ackDue || c.tcb.rstDue || c.tcb.drained() {
		s.urgent.push(c, queueUrgent)
	}
}

// dueLocked reports whether there is something to send and nobody who does. The
// caller must send then, after unlocking.
func (s *Session) dueLocked() bool {
	if s.sending || s.err != nil {
		return false
	}
	if s.greet == greetNothing && len(s.strays) == 0 && s.urgent.empty() && s.ready.empty() && !s.closing {
		return false
	}
	s.sending = true
	return true
}

// notify gives a capacity-1 channel its token if it has none.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
