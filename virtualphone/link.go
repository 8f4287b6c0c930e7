package virtualphone

import (
	"context"
	"encoding/binary"
)

// Bounds of one link; what is over them is refused or dropped.
const (
	maxConns  = 4096
	maxQueued = 4096 // packets that belong to no conn and wait for an IN transfer
	maxEnded  = 4096 // ended connections remembered to judge late segments
	maxStale  = 8    // packets of an old session still sent after a VERSION
)

// pair names a connection: the host's source port and the phone's port.
type pair struct{ host, phone uint16 }

// ending says who reset a connection that is gone.
type ending byte

const (
	endedByPhone ending = iota + 1 // late segments are in flight, not wrong
	endedByHost                    // nothing but a SYN may follow
)

// link is the phone's side of one host's mux session. It lives in a Cable and
// is guarded by its lock.
type link struct {
	c     *Cable
	major int  // 0 before VERSION, then what the phone answered
	setup bool // SETUP seen
	lost  bool // the bus has lost a packet of the host

	hostTx uint16 // tx_seq the next packet of the host must have
	tx     uint16 // tx_seq of the next packet to the host
	rx     uint16 // last tx_seq of the host

	conns map[pair]*conn
	ended map[pair]ending
	order []pair // keys of ended, oldest first

	queue     [][]byte // packets that belong to no conn, first out
	ready     *conn    // conns with something to send, in turn
	readyTail *conn
}

func (l *link) init(c *Cable) {
	l.c = c
	l.conns = make(map[pair]*conn)
	l.ended = make(map[pair]ending)
	l.rx = 0xffff
}

func (l *link) phone() *Phone { return l.c.phone }

func (l *link) violations() *Violations { return &l.c.phone.violations }

// long reports whether the 16-byte header is in use.
func (l *link) long() bool { return l.major >= 2 }

func (l *link) header() int {
	if l.long() {
		return longHeader
	}
	return shortHeader
}

// input takes one whole OUT message. b is not kept.
func (l *link) input(b []byte) {
	p, v := l.phone(), l.violations()
	if len(b) > maxHostPacket {
		p.violate(&v.Oversized, "packet of %d bytes, a host sends at most %d", len(b), maxHostPacket)
	}
	if len(b) < shortHeader {
		p.violate(&v.BadLength, "message of %d bytes is shorter than a mux header", len(b))
		return
	}
	// VERSION has the short header in every state: a new host does not know ours.
	if h := parseMux(b, false); h.proto == protoVersion {
		l.version(b, h)
		return
	}
	if l.lost {
		return
	}
	if l.major == 0 {
		p.violate(&v.MissingVersion, "protocol %d before VERSION", binary.BigEndian.Uint32(b))
		return
	}
	if len(b) < l.header() {
		p.violate(&v.BadLength, "message of %d bytes is shorter than a mux header", len(b))
		return
	}
	h := parseMux(b, l.long())
	if int64(h.length) != int64(len(b)) {
		p.violate(&v.BadLength, "message of %d bytes announces %d", len(b), h.length)
		return
	}
	if l.long() {
		if h.magic != magic {
			p.violate(&v.BadMagic, "magic %08x", h.magic)
			return
		}
		l.number(h)
	}
	body := b[l.header():]
	switch h.proto {
	case protoSetup:
		l.setUp(body)
	case protoTCP:
		if l.long() && !l.setup {
			p.violate(&v.MissingSetup, "TCP packet before SETUP")
			l.setup = true // once is enough
		}
		l.tcp(body)
	default:
		p.violate(&v.BadProtocol, "protocol %d", h.proto)
	}
}

// number checks the host's tx_seq. SETUP starts it anew.
func (l *link) number(h muxHeader) {
	if h.proto == protoSetup {
		l.hostTx = 0
		l.tx = 0
	}
	if h.tx != l.hostTx {
		l.phone().violate(&l.violations().TxSeqGap, "tx_seq %d, expected %d", h.tx, l.hostTx)
	}
	l.hostTx = h.tx + 1
	l.rx = h.tx
}

// version starts a new session: a host has claimed the interface. What the old
// session's conns had ready goes out before the reply, as from a real phone,
// whose queue the host cannot flush.
func (l *link) version(b []byte, h muxHeader) {
	p, v := l.phone(), l.violations()
	if len(b) != versionSize || h.length != versionSize {
		p.violate(&v.BadVersion, "VERSION of %d bytes announces %d, must be %d", len(b), h.length, versionSize)
		if len(b) < versionSize {
			return
		}
	}
	major, minor := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	if major != 2 || minor != 0 || binary.BigEndian.Uint32(b[16:]) != 0 {
		p.violate(&v.BadVersion, "VERSION body %x", b[8:versionSize])
	}
	f := p.faults.Load()
	if l.major != 0 {
		l.stale()
	}
	l.drop(ErrHostGone)
	for i := range f.StalePackets {
		l.madeUp(i)
	}
	l.major, l.setup, l.lost = p.cfg.MuxMajor, false, false
	l.hostTx, l.tx, l.rx = 0, 0, 0xffff
	if f.SilentVersion {
		return
	}
	reply := make([]byte, versionSize)
	muxHeader{proto: protoVersion, length: versionSize}.put(reply, false)
	binary.BigEndian.PutUint32(reply[8:], uint32(p.cfg.MuxMajor))
	l.queuePacket(reply)
}

// stale turns what conns have ready into queued packets.
func (l *link) stale() {
	for range maxStale {
		b := make([]byte, maxPhonePacket)
		n := l.output(b)
		if n == 0 {
			return
		}
		l.queuePacket(b[:n])
	}
}

// madeUp queues a packet as an old v2 session would have left it.
func (l *link) madeUp(i int) {
	const text = "left over"
	b := make([]byte, longHeader+tcpHeader+len(text))
	muxHeader{proto: protoTCP, length: uint32(len(b)), magic: magic, tx: uint16(100 + i), rx: 42}.put(b, true)
	segment{src: LockdownPort, dst: uint16(3 + i), seq: 77, ack: 99, offset: 5, flags: flagACK, window: windowField}.put(b[longHeader:])
	copy(b[longHeader+tcpHeader:], text)
	l.queuePacket(b)
}

func (l *link) setUp(body []byte) {
	if !l.long() || l.setup || len(body) != 1 || body[0] != setupByte {
		l.phone().violate(&l.violations().BadSetup, "SETUP with body %x, mux version %d, seen before %t", body, l.major, l.setup)
	}
	l.setup = true
}

// drop ends every conn with err, without a word to the host.
func (l *link) drop(err error) {
	for _, k := range l.conns {
		k.goneLocked(err)
	}
	clear(l.conns)
	clear(l.ended)
	l.order = nil
	for k := l.ready; k != nil; k = k.next {
		k.queued = false
	}
	l.ready, l.readyTail = nil, nil
}

// remember notes who ended pr.
func (l *link) remember(pr pair, e ending) {
	if _, ok := l.ended[pr]; !ok {
		if len(l.order) >= maxEnded {
			delete(l.ended, l.order[0])
			l.order = l.order[1:]
		}
		l.order = append(l.order, pr)
	}
	l.ended[pr] = e
}

// forget drops the memory of pr: its port is used again.
func (l *link) forget(pr pair) {
	if _, ok := l.ended[pr]; !ok {
		return
	}
	delete(l.ended, pr)
	for i, o := range l.order {
		if o == pr {
			l.order = append(l.order[:i], l.order[i+1:]...)
			return
		}
	}
}

// queuePacket puts a whole packet before all conns. The link owns b from here on.
func (l *link) queuePacket(b []byte) {
	if len(b) == 0 || len(l.queue) >= maxQueued {
		return
	}
	l.queue = append(l.queue, b)
	l.c.wakeLocked()
}

// popQueued takes the first queued packet, nil without one.
func (l *link) popQueued() []byte {
	if len(l.queue) == 0 {
		return nil
	}
	b := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return b
}

// queueBody numbers and queues a packet with its mux header.
func (l *link) queueBody(proto uint32, body []byte) {
	b := make([]byte, l.header()+len(body))
	copy(b[l.header():], body)
	l.stamp(b, proto)
	l.queuePacket(b)
}

// stamp writes the mux header of packet b and counts it.
func (l *link) stamp(b []byte, proto uint32) {
	h := muxHeader{proto: proto, length: uint32(len(b)), magic: magic, tx: l.tx, rx: l.rx}
	h.put(b, l.long())
	l.tx++
}

// reset queues an RST that belongs to no conn, with an optional text.
func (l *link) reset(pr pair, seq, ack uint32, text string) {
	body := make([]byte, tcpHeader+len(text))
	segment{src: pr.phone, dst: pr.host, seq: seq, ack: ack, offset: 5, flags: flagRST}.put(body)
	copy(body[tcpHeader:], text)
	l.queueBody(protoTCP, body)
}

// output builds the next packet of the conns, round-robin, in b, which must
// have room for maxPhonePacket. It returns 0 when there is none.
func (l *link) output(b []byte) int {
	for l.ready != nil {
		k := l.ready
		l.ready = k.next
		if l.ready == nil {
			l.readyTail = nil
		}
		k.next, k.queued = nil, false
		at := l.header()
		n := k.outputLocked(b[at:maxPhonePacket])
		if n == 0 {
			continue
		}
		l.stamp(b[:at+n], protoTCP)
		k.enqueueLocked()
		return at + n
	}
	return 0
}

// accept opens a conn for a SYN and queues its answer.
func (l *link) accept(pr pair, s segment, h Handler) {
	k := newConn(l.c, pr, s, h)
	l.conns[pr] = k
	l.phone().stats.connects.Add(1)
	k.enqueueLocked()
}

// serve runs k's service on a goroutine of the phone.
func (l *link) serve(k *conn) {
	ctx, cancel := context.WithCancel(l.c.ctx)
	k.cancel = cancel
	l.phone().wg.Go(func() {
		defer cancel()
		defer k.Close()
		k.handler(ctx, k)
	})
}
