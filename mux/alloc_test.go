//go:build !race

package mux

import (
	"encoding/binary"
	"testing"
)

// TestNoAllocations moves a segment each way through a session, without its
// goroutines: read loop, control block, rings, acks and write loop must not
// allocate. (Under the race detector sync.Pool drops buffers at random.)
func TestNoAllocations(t *testing.T) {
	b := newStill(t)
	out := make([]byte, MaxPayload)
	in := make([]byte, 32<<10)
	if n := testing.AllocsPerRun(1000, func() { b.turn(out, in) }); n != 0 {
		t.Fatalf("want 0 allocations per segment, got %v", n)
	}
	defer b.s.cfg.Tap.Watch(func(Packet) {})()
	if n := testing.AllocsPerRun(1000, func() { b.turn(out, in) }); n != 0 {
		t.Fatalf("want 0 allocations per segment that is watched, got %v", n)
	}
}

// BenchmarkSegment is the cost of one full segment out, one of 32 KiB in, and
// the acks of both, without pipe and goroutines.
func BenchmarkSegment(b *testing.B) {
	s := newStill(b)
	out := make([]byte, MaxPayload)
	in := make([]byte, 32<<10)
	b.SetBytes(int64(len(out) + len(in)))
	b.ReportAllocs()
	for b.Loop() {
		s.turn(out, in)
	}
}

// BenchmarkTap is what a tap adds to a packet: off, while nobody watches, and on.
func BenchmarkTap(b *testing.B) {
	packet := make([]byte, maxFrameOut)
	for name, watch := range map[string]bool{"off": false, "on": true} {
		b.Run(name, func(b *testing.B) {
			var tap Tap
			if watch {
				defer tap.Watch(func(Packet) {})()
			}
			b.ReportAllocs()
			for b.Loop() {
				tap.see(true, packet)
			}
		})
	}
}

// still is a session whose loops the caller turns by hand.
type still struct {
	t     testing.TB
	s     *Session
	c     *Conn
	frame []byte // of the host
	reply []byte // of the phone
	seq   uint32 // of the phone
}

func newStill(t testing.TB) *still {
	s := &Session{
		cfg:    Config{}.withDefaults(),
		wake:   make(chan struct{}, 1),
		active: make(chan struct{}),
		idle:   make(chan struct{}),
		done:   make(chan struct{}),
		major:  2,
		conns:  make(map[uint16]*Conn),
	}
	s.log = s.cfg.Log
	c := &Conn{s: s, local: 1, remote: 2, readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
	c.tx.pool, c.rx.pool = sendRings, receiveRings
	c.tcb.window = window
	c.tcb.input(segment{flags: flagSYN | flagACK, window: window}, 0)
	s.conns[1] = c
	return &still{
		t: t, s: s, c: c, seq: 1,
		frame: make([]byte, maxFrameOut),
		reply: make([]byte, maxFrameIn),
	}
}

// turn writes out, has it sent and acknowledged with in as the answer, and
// reads that.
func (b *still) turn(out, in []byte) {
	b.c.Write(out)
	if n, _ := b.s.nextFrame(b.frame); n != longHeaderLen+tcpHeaderLen+len(out) {
		b.t.Fatalf("want one segment of %d bytes, got a packet of %d", len(out), n)
	}
	length := longHeaderLen + tcpHeaderLen + len(in)
	binary.BigEndian.PutUint32(b.reply, protoTCP)
	binary.BigEndian.PutUint32(b.reply[4:], uint32(length))
	binary.BigEndian.PutUint32(b.reply[8:], magic)
	segment{src: 2, dst: 1, seq: b.seq, ack: b.c.tcb.sndNxt, flags: flagACK, window: window}.encode(b.reply[longHeaderLen:])
	b.seq += uint32(len(in))
	if n, err := b.s.frame(b.reply[:length]); n != length || err != nil {
		b.t.Fatalf("packet not taken: %d, %v", n, err)
	}
	for got := 0; got < len(in); {
		n, err := b.c.Read(in[got:])
		if err != nil {
			b.t.Fatal(err)
		}
		got += n
	}
	if n, _ := b.s.nextFrame(b.frame); n != longHeaderLen+tcpHeaderLen {
		b.t.Fatalf("want an ack, got a packet of %d bytes", n)
	}
	if n, _ := b.s.nextFrame(b.frame); n != 0 {
		b.t.Fatalf("want no more packets, got one of %d bytes", n)
	}
}
