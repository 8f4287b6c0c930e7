package mux

import "fmt"

// state is a connection's state. The table in ARCHITECTURE.md says what each
// does with each kind of segment.
type state uint8

const (
	synSent     state = iota
	established       // data both ways
	writeClosed       // the client has shut down writing; as established otherwise
	closing           // the client is gone; what it sent is still on its way
	closed
)

// event is what a segment has changed, as a set of bits.
type event uint8

const (
	evAccepted event = 1 << iota // the payload belongs into the receive ring
	evReadable                   // a reader has something new to learn: data, end of data, an error
	evWritable                   // a writer or dialer has something new to learn
	evSend                       // output has something to send
)

// tcb is the transmission control block of one connection: plain bookkeeping
// without lock, clock or buffer. All sequence numbers are modulo 2^32.
type tcb struct {
	state state
	err   error // why closed by the phone or by its mistake

	sndNxt uint32 // next sequence number to send
	sndUna uint32 // first one that the phone has not acknowledged
	sndWnd uint32 // the phone's window, in bytes
	queued int    // bytes in the send ring

	window uint32 // that we advertise, in bytes
	rcvNxt uint32 // next sequence number expected
	rcvAck uint32 // what the reader has taken: the ack number we send
	acked  uint32 // the ack number we sent last
	fin    bool   // the phone has finished sending; its FIN counts one in rcvNxt
	drop   bool   // nobody reads any more: data counts as taken when it arrives

	synDue, ackDue, rstDue bool
}

// room is how many bytes the phone's window still takes.
func (t *tcb) room() int {
	inFlight := t.sndNxt - t.sndUna
	if inFlight >= t.sndWnd {
		return 0
	}
	return int(t.sndWnd - inFlight)
}

// opened reports whether the phone has ever accepted the connection.
func (t *tcb) opened() bool { return t.sndNxt > 0 || t.rcvNxt > 0 }

// sendable is how many bytes of data could be sent now.
func (t *tcb) sendable() int {
	switch t.state {
	case established, writeClosed, closing:
		return min(t.queued, t.room(), MaxPayload)
	}
	return 0
}

// input applies a segment with n bytes of payload.
func (t *tcb) input(g segment, n int) event {
	switch {
	case t.state == closed:
		return 0
	case g.flags&flagRST != 0:
		return t.resetByPhone()
	case t.state == synSent:
		return t.inputSYN(g)
	case g.flags&flagSYN != 0:
		return t.abort(fmt.Errorf("%w: SYN on an open connection", ErrProtocol))
	}

	var ev event
	if g.flags&flagACK != 0 {
		if int32(g.ack-t.sndNxt) > 0 {
			return t.abort(fmt.Errorf("%w: ack %d, but only %d was sent", ErrProtocol, g.ack, t.sndNxt))
		}
		before := t.sendable()
		if int32(g.ack-t.sndUna) >= 0 {
			t.sndUna, t.sndWnd = g.ack, g.window
		}
		if before == 0 && t.sendable() > 0 || t.drained() {
			ev |= evSend
		}
	}
	if n > 0 || g.flags&flagFIN != 0 {
		ev |= t.inputData(g, n)
	}
	return ev
}

// inputSYN applies the answer to our SYN.
func (t *tcb) inputSYN(g segment) event {
	if g.flags != flagSYN|flagACK {
		return t.abort(fmt.Errorf("%w: flags %#02x in answer to a SYN", ErrProtocol, g.flags))
	}
	t.state = established
	t.sndNxt, t.sndUna = 1, 1
	t.sndWnd = g.window
	t.rcvNxt = g.seq + 1
	t.rcvAck = t.rcvNxt
	t.ackDue = true
	return evWritable | evSend
}

func (t *tcb) inputData(g segment, n int) event {
	end := g.seq + uint32(n)
	switch {
	case t.fin:
		return t.abort(fmt.Errorf("%w: data after FIN", ErrProtocol))
	case g.seq != t.rcvNxt && int32(end-t.rcvNxt) <= 0 && g.flags&flagFIN == 0:
		t.ackDue = true // seen before: only say again what we have
		return evSend
	case g.seq != t.rcvNxt:
		// Nothing is retransmitted, so a gap never closes: bytes are lost.
		return t.abort(fmt.Errorf("%w: sequence number %d, expected %d", ErrProtocol, g.seq, t.rcvNxt))
	case end-t.rcvAck > t.window:
		return t.abort(fmt.Errorf("%w: %d bytes beyond the window", ErrProtocol, end-t.rcvAck-t.window))
	}
	t.rcvNxt = end
	if g.flags&flagFIN != 0 {
		t.fin = true
		t.rcvNxt++
	}
	if t.drop {
		t.rcvAck = t.rcvNxt
		t.ackDue = true
		return evSend
	}
	var ev event
	if n > 0 {
		ev = evAccepted
	}
	if t.fin && t.rcvAck+1 == t.rcvNxt {
		t.rcvAck = t.rcvNxt
		t.ackDue = true
		ev |= evSend
	}
	return ev | evReadable
}

// consumed notes that the reader has taken n bytes, and says whether that is
// worth an ack now: a quarter of the window, or all that there is.
func (t *tcb) consumed(n int) event {
	t.rcvAck += uint32(n)
	if t.fin && t.rcvAck+1 == t.rcvNxt {
		t.rcvAck = t.rcvNxt
	}
	if t.state == closed || t.rcvAck == t.acked {
		return 0
	}
	if t.rcvAck == t.rcvNxt || t.rcvAck-t.acked >= t.window/4 {
		t.ackDue = true
		return evSend
	}
	return 0
}

// closeRead makes all data that is not yet taken, and all to come, count as
// taken.
func (t *tcb) closeRead() event {
	t.drop = true
	return t.consumed(int(t.rcvNxt-t.rcvAck) - t.finByte())
}

func (t *tcb) finByte() int {
	if t.fin && t.rcvAck != t.rcvNxt {
		return 1
	}
	return 0
}

// close is the local close: what is queued leaves first, then the reset.
func (t *tcb) close() event {
	switch t.state {
	case synSent:
		t.state = closed
		t.synDue, t.rstDue = false, !t.synDue
		return evSend
	case established, writeClosed:
		t.state = closing
		return evSend | t.closeRead()
	}
	return 0
}

// abort ends the connection at once with a reset to the phone.
func (t *tcb) abort(err error) event {
	if t.state == closed {
		return 0
	}
	t.state = closed
	t.err = err
	t.synDue, t.ackDue, t.rstDue = false, false, true
	return evReadable | evWritable | evSend
}

func (t *tcb) resetByPhone() event {
	if t.state == synSent {
		t.err = ErrRefused
	} else {
		t.err = ErrReset
	}
	t.state = closed
	t.synDue, t.ackDue, t.rstDue = false, false, false
	return evReadable | evWritable
}

// drained reports whether a closing connection has nothing left to wait for.
func (t *tcb) drained() bool {
	return t.state == closing && t.queued == 0 && t.sndUna == t.sndNxt
}

// output says what to send next, taking the bytes of data it names from queued.
// It returns false if there is nothing; with data false it looks at nothing but
// SYN, ACK and RST.
func (t *tcb) output(data bool) (g segment, n int, ok bool) {
	switch {
	case t.synDue:
		t.synDue = false
		return segment{flags: flagSYN, window: t.window}, 0, true
	case t.drained():
		t.state = closed
		t.ackDue, t.rstDue = false, true
	}
	if t.rstDue {
		t.rstDue = false
		return t.segment(flagRST), 0, true
	}
	if data {
		n = t.sendable()
	}
	if n == 0 && !t.ackDue {
		return segment{}, 0, false
	}
	g = t.segment(flagACK)
	t.ackDue = false
	t.acked = t.rcvAck
	t.queued -= n
	t.sndNxt += uint32(n)
	return g, n, true
}

func (t *tcb) segment(flags uint8) segment {
	return segment{seq: t.sndNxt, ack: t.rcvAck, flags: flags, window: t.window}
}
