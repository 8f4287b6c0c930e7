package mux

import (
	"encoding/binary"
	"fmt"
)

// maxStrays bounds the resets queued for segments of unknown connections. A
// phone that sends more of them than the pipe takes gets fewer answers.
const maxStrays = 64

// kick has sent what there is to send.
func (s *Session) kick() {
	s.mu.Lock()
	due := s.dueLocked()
	s.mu.Unlock()
	if due {
		s.send()
	}
}

// maxInTurn is how many packets somebody who has other things to do sends, for himself
// and for others, before the writer takes over.
const maxInTurn = 64

// send is for whom dueLocked has told to: it sends all that there is, in the memory
// of the pipe's transfers, and does not wait. Where that cannot be had, or others have
// always more, the writer takes over.
func (s *Session) send() {
	for sent := 0; s.lender != nil && sent < maxInTurn; sent++ {
		frame := s.lender.Lend()
		if frame == nil {
			break
		}
		n, _ := s.nextFrame(frame)
		setup := isSetup(frame[:n])
		s.cfg.Tap.see(true, frame[:n])
		if err := s.lender.Submit(n); err != nil {
			s.end(fmt.Errorf("%w: write: %w", ErrDeviceGone, err))
			return
		}
		if n == 0 {
			return
		}
		s.stuck.sent()
		if setup {
			close(s.active)
		}
	}
	notify(s.wake)
}

// writeLoop is the only caller of the pipe's Write, which waits while the phone takes
// nothing.
func (s *Session) writeLoop() error {
	frame := make([]byte, maxFrameOut)
	for {
		n, stop := s.nextFrame(frame)
		if stop {
			return nil
		}
		if n == 0 {
			select {
			case <-s.wake:
				continue
			case <-s.done:
				return nil
			}
		}
		s.cfg.Tap.see(true, frame[:n])
		s.stuck.begin()
		_, err := s.pipe.Write(frame[:n])
		s.stuck.end()
		if err != nil {
			return fmt.Errorf("%w: write: %w", ErrDeviceGone, err)
		}
		if isSetup(frame[:n]) {
			close(s.active)
		}
	}
}

// isSetup reports whether a packet is the SETUP that ends the handshake.
func isSetup(packet []byte) bool {
	return len(packet) > 0 && binary.BigEndian.Uint32(packet) == protoSetup
}

// nextFrame writes the next mux packet to send into frame and returns its
// length, 0 if there is none, and then the caller sends no more; stop is true when
// the session has ended. It pulls: first the greeting; then SYN, ACK and RST of all
// connections that wait with one; then a segment of the connection whose turn it is,
// among those with data and room.
func (s *Session) nextFrame(frame []byte) (length int, stop bool) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return 0, true
	}
	if n := s.greetingLocked(frame); n > 0 {
		s.mu.Unlock()
		return n, false
	}
	urgent := s.urgentTurnLocked()
	if urgent && len(s.strays) > 0 {
		g := s.strays[0]
		s.strays = append(s.strays[:0], s.strays[1:]...)
		n := s.encodeLocked(frame, g, 0)
		s.mu.Unlock()
		return n, false
	}
	c, g, n := s.pullLocked(urgent)
	if c == nil {
		s.sending = false
		if s.closing {
			select {
			case <-s.idle:
			default:
				close(s.idle)
			}
		}
		s.mu.Unlock()
		return 0, false
	}
	length = s.encodeLocked(frame, g, n)
	s.out.packetOut(length, n, c.tcb.sndNxt-c.tcb.sndUna)
	if n == 0 {
		s.mu.Unlock()
		return length, false
	}

	// The peeked bytes are the writer's until the discard.
	s.count.BytesOut += uint64(n)
	first := c.tx.peek(n)
	second := c.tx.rest(len(first), n-len(first))
	s.mu.Unlock()
	payload := frame[length-n : length]
	copy(payload[copy(payload, first):], second)

	s.mu.Lock()
	c.tx.discard(n)
	s.mu.Unlock()
	notify(c.writable)
	return length, false
}

// urgentTurnLocked decides whether urgent packets come next, or data. Those
// that wait when data has its turn may all go before the next data, and no more:
// a phone that asks for acks without end does not stop the others' data.
func (s *Session) urgentTurnLocked() bool {
	switch {
	case s.ready.empty():
		return true
	case s.credit > 0:
		s.credit--
		return true
	}
	s.credit = s.urgent.n + len(s.strays)
	return false
}

// pullLocked chooses the connection whose turn it is, and its segment with n
// bytes of data. It looks at the other queue, too, before it finds nothing.
func (s *Session) pullLocked(urgent bool) (c *Conn, g segment, n int) {
	for {
		if urgent {
			c = s.urgent.pop(queueUrgent)
		} else {
			c = s.ready.pop(queueReady)
		}
		if c == nil {
			if urgent = !urgent; s.urgent.empty() && s.ready.empty() {
				return nil, segment{}, 0
			}
			continue
		}
		// An ack rides on data when that takes nobody else's turn.
		data := !urgent || s.ready.only(c)
		g, n, ok := c.tcb.output(data)
		if c.tcb.sendable() > 0 {
			s.ready.push(c, queueReady)
		}
		if c.tcb.state == closed && !c.tcb.rstDue {
			s.dropLocked(c)
		}
		if ok {
			g.src, g.dst = c.local, c.remote
			return c, g, n
		}
	}
}

// greetingLocked writes VERSION or SETUP if one is due.
func (s *Session) greetingLocked(frame []byte) int {
	switch s.greet {
	case greetVersion:
		s.greet = greetNothing
		n := header{proto: protoVersion, length: versionLen}.encode(frame, shortHeaderLen)
		binary.BigEndian.PutUint32(frame[n:], 2)
		binary.BigEndian.PutUint32(frame[n+4:], 0)
		binary.BigEndian.PutUint32(frame[n+8:], 0)
		return versionLen
	case greetSetup:
		s.greet = greetNothing
		s.txSeq, s.rxSeq = 0, 0xffff
		n := s.headerLocked(frame, protoSetup, 1)
		frame[n] = 0x07
		return n + 1
	}
	return 0
}

// headerLocked writes the mux header of a packet with n bytes behind it.
func (s *Session) headerLocked(frame []byte, proto uint32, n int) int {
	size := shortHeaderLen
	if s.major >= 2 {
		size = longHeaderLen
	}
	h := header{proto: proto, length: uint32(size + n), magic: magic, tx: s.txSeq, rx: s.rxSeq}
	s.txSeq++
	return h.encode(frame, size)
}

// encodeLocked writes the headers of a TCP packet with n bytes of data and
// returns the length of the whole.
func (s *Session) encodeLocked(frame []byte, g segment, n int) int {
	at := s.headerLocked(frame, protoTCP, tcpHeaderLen+n)
	g.encode(frame[at:])
	return at + tcpHeaderLen + n
}
