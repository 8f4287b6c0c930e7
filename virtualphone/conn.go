package virtualphone

import (
	"context"
	"net"
	"sync"
)

// maxSegment is the largest TCP packet without its mux header, in bytes; the
// short header leaves a little more room than the long one.
const maxSegment = maxPhonePacket - longHeader

// conn is the phone's side of one connection. It implements net.Conn for the
// service; its fields are guarded by the cable's lock.
type conn struct {
	c       *Cable
	pair    pair
	handler Handler
	cancel  context.CancelFunc // of the service's context, set by link.serve

	next   *conn // in the link's ready list
	queued bool

	sent      ring   // what the service wrote and the host did not fetch
	sndNext   uint32 // next sequence number to send
	sndAcked  uint32 // host's latest ack
	sndWindow uint32 // bytes the host takes beyond sndAcked
	totalSent int    // payload bytes sent
	finSent   bool   // by a fault; it has a sequence number, as a byte has
	synAckDue bool
	serving   bool // the service was started
	closing   bool // the service is done: RST when sent is empty
	resetText string

	recv     ring
	rcvNext  uint32 // next sequence number expected
	rcvRead  uint32 // first one the service has not read
	rcvAcked uint32 // latest ack sent
	rcvEdge  uint32 // end of what was ever advertised
	ackDue   bool

	err      error // why the conn ended; nil while it lives
	readable sync.Cond
	writable sync.Cond
	readEnd  deadline
	writeEnd deadline
}

func newConn(c *Cable, pr pair, s segment, h Handler) *conn {
	k := &conn{
		c: c, pair: pr, handler: h,
		sndWindow: uint32(s.window) << windowShift,
		rcvNext:   s.seq + 1, rcvRead: s.seq + 1, rcvAcked: s.seq + 1,
		synAckDue: true,
	}
	k.rcvEdge = k.rcvNext // nothing before the SYN+ACK
	k.readable.L, k.writable.L = &c.mu, &c.mu
	return k
}

// inputLocked applies an ACK segment, with or without payload.
func (k *conn) inputLocked(s segment, payload []byte) {
	p, v := k.c.phone, &k.c.phone.violations
	switch {
	case ahead(s.ack, k.sndNext) > 0:
		p.violate(&v.AckBeyondSent, "ack %d, but only %d was sent", s.ack, k.sndNext)
	case ahead(s.ack, k.sndAcked) < 0:
		p.violate(&v.AckBackwards, "ack %d after %d", s.ack, k.sndAcked)
	default:
		k.sndAcked = s.ack
		k.sndWindow = uint32(s.window) << windowShift
	}
	if s.seq != k.rcvNext {
		p.violate(&v.BadSeq, "seq %d, expected %d", s.seq, k.rcvNext)
		k.abortLocked("unexpected sequence number")
		return
	}
	if !k.serving && !k.synAckDue {
		k.serving = true
		k.c.link.serve(k)
	}
	if len(payload) > 0 {
		if ahead(s.seq+uint32(len(payload)), k.rcvEdge) > 0 {
			p.violate(&v.BeyondWindow, "%d bytes at %d, the window ends at %d", len(payload), s.seq, k.rcvEdge)
			k.abortLocked("window exceeded")
			return
		}
		k.rcvNext += uint32(len(payload))
		if k.closing {
			k.consumedLocked(len(payload)) // nobody reads it any more
		} else {
			k.recv.write(payload)
			k.readable.Broadcast()
		}
	}
	k.enqueueLocked()
}

// consumedLocked counts n bytes as read by the service and asks for an ack when
// there is enough to tell, or nothing left.
func (k *conn) consumedLocked(n int) {
	k.rcvRead += uint32(n)
	if k.recv.n == 0 || ahead(k.rcvRead, k.rcvAcked) >= windowBytes/4 {
		k.ackDue = true
	}
}

// sendableLocked is how many payload bytes may leave now.
func (k *conn) sendableLocked(f *Faults) int {
	if !k.serving {
		return 0
	}
	room := int(k.sndWindow) - int(k.sndNext-k.sndAcked)
	if f.Flood {
		room = ringSize
	}
	return min(k.sent.n, max(room, 0), maxSegment-tcpHeader)
}

// enqueueLocked puts k into the ready list if it has anything to send.
func (k *conn) enqueueLocked() {
	if k.queued || k.err != nil {
		return
	}
	f := k.c.phone.faults.Load()
	if !k.synAckDue && !(k.ackDue && !f.StopAcking) && k.sendableLocked(f) == 0 && !(k.closing && k.sent.n == 0) {
		return
	}
	l := &k.c.link
	k.queued = true
	if l.readyTail == nil {
		l.ready = k
	} else {
		l.readyTail.next = k
	}
	l.readyTail = k
	l.c.wakeLocked()
}

// outputLocked writes k's next segment into b, which holds at least maxSegment,
// and returns its size; 0 when there is nothing to send any more.
func (k *conn) outputLocked(b []byte) int {
	if k.err != nil {
		return 0
	}
	f := k.c.phone.faults.Load()
	s := segment{src: k.pair.phone, dst: k.pair.host, seq: k.sndNext, offset: 5, flags: flagACK, window: windowField}
	if f.ClosedWindow {
		s.window = 0
	}
	n := 0
	switch room := k.sendableLocked(f); {
	case k.synAckDue:
		k.synAckDue = false
		s.flags = flagSYN | flagACK
		if f.SYNFlags != 0 {
			s.flags = f.SYNFlags
		}
		k.sndNext = 1
		if s.flags != flagSYN|flagACK {
			k.c.link.remember(k.pair, endedByPhone)
			delete(k.c.link.conns, k.pair)
			defer k.goneLocked(net.ErrClosed)
		}
	case room > 0:
		n = k.sent.read(b[tcpHeader : tcpHeader+room])
		k.sndNext += uint32(n)
		k.totalSent += n
		s.flags |= f.DataFlags
		if s.flags&flagFIN != 0 && !k.finSent {
			k.finSent = true
			k.sndNext++
		}
		k.c.phone.stats.payloadSent.Add(uint64(n))
		if k.sent.n <= ringSize/2 { // one wake-up for several segments
			k.writable.Broadcast()
		}
	case k.closing && k.sent.n == 0:
		s.flags = flagRST
		n = copy(b[tcpHeader:], k.resetText)
		k.c.link.remember(k.pair, endedByPhone)
		delete(k.c.link.conns, k.pair)
		defer k.goneLocked(net.ErrClosed)
	case !k.ackDue || f.StopAcking:
		return 0
	}
	if !f.StopAcking {
		k.rcvAcked = k.rcvRead
		k.ackDue = false
	}
	s.ack = k.rcvAcked
	if edge := s.ack + uint32(s.window)<<windowShift; ahead(edge, k.rcvEdge) > 0 {
		k.rcvEdge = edge
	}
	s.put(b)
	if f.ResetAfter > 0 && k.totalSent >= f.ResetAfter && !k.closing {
		k.abortLocked("reset by a fault")
	}
	return tcpHeader + n
}

// abortLocked drops what is unsent and resets the conn with text.
func (k *conn) abortLocked(text string) {
	if k.err != nil {
		return
	}
	k.sent.free()
	k.recv.free()
	k.synAckDue = false
	k.closing = true
	k.resetText = text
	k.readable.Broadcast()
	k.writable.Broadcast()
	k.enqueueLocked()
}

// goneLocked ends k for good with err; what was received stays readable.
func (k *conn) goneLocked(err error) {
	if k.err != nil {
		return
	}
	k.err = err
	k.sent.free()
	if k.closing || !k.serving {
		k.recv.free()
	}
	if k.cancel != nil && k.recv.n == 0 {
		k.cancel()
	}
	k.readable.Broadcast()
	k.writable.Broadcast()
}
