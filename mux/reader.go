package mux

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// maxText bounds, in bytes, the texts of a phone that are kept or logged.
	maxText = 512

	// maxVersionLen bounds a VERSION reply, of which the first versionLen bytes
	// matter.
	maxVersionLen = 64
)

// maxBatch is how many transfers, at most, are read before what they have made due is
// sent.
const maxBatch = 4

// readLoop is the only caller of the pipe's Read, or of Next. It cuts the stream into
// mux packets by their announced length and never waits for a client or the writer.
func (s *Session) readLoop() error {
	next, giveBack := s.source()
	var part []byte // the start of a packet whose end has not come
	for batch := 1; ; batch++ {
		b, err := next()
		if len(b) > 0 {
			s.hasHeard()
		}
		split := len(part) > 0
		if split {
			part = append(part, b...)
			b = part
		}
		rest, ferr := s.packets(b, split)
		if s.opened {
			s.opened = false
			runtime.Gosched() // its client hears of it before the phone gets the ack
		}
		if !split || len(rest) < len(b) {
			part = append(part[:0], rest...)
		}
		more := err == nil && giveBack()
		if ferr != nil {
			return ferr
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			return fmt.Errorf("%w: read: %w", ErrDeviceGone, err)
		}
		if !more || batch == maxBatch { // one ack for several segments
			s.kick()
			batch = 0
			if more {
				runtime.Gosched() // to the readers of other phones
			}
		}
	}
}

// source gives the pipe's transfers, in their own memory if it lends that.
func (s *Session) source() (next func() ([]byte, error), giveBack func() (more bool)) {
	if s.lender != nil {
		return s.lender.Next, s.lender.Return
	}
	buf := make([]byte, maxFrameIn)
	return func() ([]byte, error) {
		n, err := s.pipe.Read(buf)
		return buf[:n], err
	}, func() bool { return false }
}

// packets handles all that are complete in b and returns what is left. split is true
// if the first began in an earlier transfer.
func (s *Session) packets(b []byte, split bool) (rest []byte, err error) {
	for first := true; ; first = false {
		used, err := s.frame(b)
		if used == 0 || err != nil {
			return b, err
		}
		b = b[used:]
		switch {
		case !first:
			s.in.Joined++
		case split:
			s.in.Split++
		}
	}
}

// frame handles the packet at the start of b and returns its length, 0 if it is
// not complete. Its error ends the session.
func (s *Session) frame(b []byte) (int, error) {
	if len(b) < shortHeaderLen {
		return 0, nil
	}
	major := s.major // this goroutine alone writes it
	h := decodeHeader(b, shortHeaderLen)
	if major == 0 {
		return s.frameBeforeVersion(h, b)
	}

	size := shortHeaderLen
	if major >= 2 && h.proto != protoVersion {
		size = longHeaderLen
	}
	if int(h.length) < size || h.length > maxFrameIn {
		return 0, fmt.Errorf("%w: mux packet of %d bytes announced, stream is out of step", ErrProtocol, h.length)
	}
	if len(b) < int(h.length) {
		return 0, nil
	}
	b = b[:h.length]
	s.cfg.Tap.see(false, b)
	if size == longHeaderLen {
		h = decodeHeader(b, longHeaderLen)
		if h.magic != magic {
			return 0, fmt.Errorf("%w: magic %#08x, stream is out of step", ErrProtocol, h.magic)
		}
	}
	switch h.proto {
	case protoTCP:
		s.tcp(h, b[size:])
	case protoControl:
		s.control(b[size:])
	default:
		s.log.Warn("unexpected mux packet", zap.Uint32("proto", h.proto), zap.Int("bytes", len(b)))
	}
	return len(b), nil
}

// frameBeforeVersion waits for the phone's VERSION. All else is left over from
// an earlier session of this phone, in part perhaps: what does not even look
// like a packet is dropped up to the end of what was read.
func (s *Session) frameBeforeVersion(h header, b []byte) (int, error) {
	stale := h.proto == protoControl || h.proto == protoSetup || h.proto == protoTCP
	switch {
	case h.proto == protoVersion && h.length >= versionLen && h.length <= maxVersionLen:
	case stale && h.length >= shortHeaderLen && h.length <= maxFrameIn:
	default:
		s.log.Debug("dropped bytes before the version reply", zap.Int("bytes", len(b)))
		return len(b), nil
	}
	if len(b) < int(h.length) {
		return 0, nil
	}
	if stale {
		s.log.Debug("dropped a packet of an earlier session", zap.Uint32("proto", h.proto), zap.Uint32("bytes", h.length))
		return int(h.length), nil
	}
	s.cfg.Tap.see(false, b[:h.length])
	major := binary.BigEndian.Uint32(b[shortHeaderLen:])
	s.log.Debug("phone tells its version", zap.Uint32("major", major),
		zap.Uint32("minor", binary.BigEndian.Uint32(b[shortHeaderLen+4:])), zap.Uint32("bytes", h.length))
	if major != 1 && major != 2 {
		return 0, fmt.Errorf("%w: mux version %d, only 1 and 2 are known", ErrProtocol, major)
	}
	s.mu.Lock()
	s.major = major
	if major >= 2 {
		s.greet = greetSetup
	}
	s.mu.Unlock()
	if major == 1 {
		close(s.active)
	}
	return int(h.length), nil
}

// tcp handles a TCP packet: b is all behind the mux header.
func (s *Session) tcp(h header, b []byte) {
	g, payload, err := decodeSegment(b)
	if err != nil {
		s.log.Warn("dropped a TCP packet", zap.Error(err))
		return
	}
	s.mu.Lock()
	s.rxSeq = h.tx
	c := s.conns[g.dst]
	if c == nil || c.remote != g.src {
		s.in.segmentIn(g, int(h.length), len(payload), 0)
		if g.flags&flagRST == 0 && len(s.strays) < maxStrays {
			s.strays = append(s.strays, segment{src: g.dst, dst: g.src, ack: g.seq, flags: flagRST})
		}
		s.mu.Unlock()
		return
	}

	before, una := c.tcb.state, c.tcb.sndUna
	ev := c.tcb.input(g, len(payload))
	if c.tcb.state != before {
		s.count.answered(c, before, g.flags&flagRST != 0)
		s.opened = s.opened || before == synSent
	}
	acked := c.tcb.sndUna - una
	if before == synSent {
		acked = 0 // the SYN
	}
	s.in.segmentIn(g, int(h.length), len(payload), acked)
	if g.flags&flagRST != 0 && c.tcb.err != nil && before != closed && len(payload) > 0 {
		c.tcb.err = fmt.Errorf("%w: %q", c.tcb.err, text(payload))
	}
	var failure error
	if before != closed && g.flags&flagRST == 0 {
		failure = c.tcb.err
	}
	if ev&evAccepted != 0 {
		s.count.BytesIn += uint64(len(payload))
		ev = c.deliverLocked(payload, ev)
	}
	s.pushLocked(c, ev)
	if c.tcb.state == closed && !c.tcb.rstDue {
		s.dropLocked(c)
	}
	s.mu.Unlock()

	if ev&evReadable != 0 {
		c.wakeReader()
	}
	if ev&evWritable != 0 {
		notify(c.writable)
	}
	if failure != nil {
		s.log.Warn("reset a connection", zap.Uint16("port", c.remote), zap.Uint16("source_port", c.local), zap.Error(failure))
	}
}

// deliverLocked takes what the phone has sent: to the client right away if it has
// nothing to read yet, and what it does not take into the receive ring. s.mu is not
// held meanwhile. It returns ev, changed by that.
func (c *Conn) deliverLocked(payload []byte, ev event) event {
	s := c.s
	if c.sink != nil && c.rx.n == 0 && !c.rx.reading {
		sink := c.sink
		c.handing = true
		s.mu.Unlock()
		n := sink.write(payload)
		s.mu.Lock()
		c.handing = false
		sink.total += int64(n)
		if c.tcb.drop {
			return ev // taken already
		}
		ev |= c.tcb.consumed(n)
		payload = payload[n:]
		if len(payload) == 0 && !c.tcb.fin && c.tcb.err == nil && c.sink != nil {
			ev &^= evReadable
		}
	}
	if len(payload) == 0 {
		return ev
	}
	first := c.rx.reserve()
	second := c.rx.wrapped()
	// The reserved bytes are the reader's until the commit.
	s.mu.Unlock()
	copy(second, payload[copy(first, payload):])
	s.mu.Lock()
	c.rx.commit(len(payload))
	return ev
}

// control logs a text from the phone at the level it names.
func (s *Session) control(b []byte) {
	if len(b) == 0 {
		return
	}
	level := zapcore.DebugLevel
	switch b[0] {
	case 3:
		level = zapcore.WarnLevel
	case 4, 5:
		level = zapcore.InfoLevel
	}
	if ce := s.log.Check(level, "message from the phone"); ce != nil {
		ce.Write(zap.Uint8("level", b[0]), zap.String("text", text(b[1:])))
	}
}

// text makes a phone's bytes fit for a log: bounded, without the newline that
// phones put at the end.
func text(b []byte) string {
	b = b[:min(len(b), maxText)]
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == 0) {
		b = b[:len(b)-1]
	}
	return string(b)
}
