package mux

import (
	"errors"
	"testing"
)

// open returns the control block of a connection in the given state that has
// sent 10 bytes, of which none is acknowledged, and received none.
func open(s state) *tcb {
	t := &tcb{state: synSent, window: window}
	if s == synSent {
		return t
	}
	t.input(segment{flags: flagSYN | flagACK, ack: 1, window: 1000}, 0)
	t.queued = 10
	t.output(true)
	switch s {
	case established:
	case writeClosed, closed:
		t.state = s
	case closing:
		t.close()
	}
	return t
}

// sent lists the flags of all that output says.
func sent(t *tcb) []uint8 {
	var flags []uint8
	for {
		g, _, ok := t.output(true)
		if !ok {
			return flags
		}
		flags = append(flags, g.flags)
	}
}

func TestStateTable(t *testing.T) {
	const none = 0 // no segment leaves
	names := map[state]string{synSent: "synSent", established: "established", writeClosed: "writeClosed", closing: "closing", closed: "closed"}
	inputs := []struct {
		name  string
		flags uint8
		n     int
	}{
		{"SYN+ACK", flagSYN | flagACK, 0},
		{"ACK", flagACK, 0},
		{"ACK with data", flagACK, 5},
		{"RST", flagRST, 0},
		{"PSH+ACK with data", 0x08 | flagACK, 5},
		{"FIN+ACK with data", flagFIN | flagACK, 5},
	}
	type cell struct {
		state state
		err   error
		out   uint8
		ev    event // evAccepted or not
	}
	table := map[state][]cell{
		synSent: {
			{established, nil, flagACK, 0},
			{closed, ErrProtocol, flagRST, 0},
			{closed, ErrProtocol, flagRST, 0},
			{closed, ErrRefused, none, 0},
			{closed, ErrProtocol, flagRST, 0},
			{closed, ErrProtocol, flagRST, 0},
		},
		established: {
			{closed, ErrProtocol, flagRST, 0},
			{established, nil, none, 0},
			{established, nil, none, evAccepted}, // acknowledged when read
			{closed, ErrReset, none, 0},
			{established, nil, none, evAccepted},
			{established, nil, none, evAccepted},
		},
		writeClosed: {
			{closed, ErrProtocol, flagRST, 0},
			{writeClosed, nil, none, 0},
			{writeClosed, nil, none, evAccepted},
			{closed, ErrReset, none, 0},
			{writeClosed, nil, none, evAccepted},
			{writeClosed, nil, none, evAccepted},
		},
		closing: {
			{closed, ErrProtocol, flagRST, 0},
			{closing, nil, none, 0},
			{closing, nil, flagACK, 0}, // acknowledged and dropped
			{closed, ErrReset, none, 0},
			{closing, nil, flagACK, 0},
			{closing, nil, flagACK, 0},
		},
		closed: {
			{closed, nil, none, 0},
			{closed, nil, none, 0},
			{closed, nil, none, 0},
			{closed, nil, none, 0},
			{closed, nil, none, 0},
			{closed, nil, none, 0},
		},
	}
	for from, row := range table {
		for i, in := range inputs {
			t.Run(names[from]+"/"+in.name, func(t *testing.T) {
				b := open(from)
				want := row[i]
				ev := b.input(segment{flags: in.flags, seq: b.rcvNxt, ack: b.sndUna, window: 1000}, in.n)
				if out := sent(b); want.out == none && len(out) != 0 || want.out != none && (len(out) != 1 || out[0] != want.out) {
					t.Errorf("want output %#02x, got %#02x", want.out, out)
				}
				if b.state != want.state {
					t.Errorf("want state %s, got %s", names[want.state], names[b.state])
				}
				if !errors.Is(b.err, want.err) {
					t.Errorf("want error %v, got %v", want.err, b.err)
				}
				if got := ev & evAccepted; got != want.ev {
					t.Errorf("want accepted %d, got %d", want.ev, got)
				}
			})
		}
	}
}

func TestClosingEndsWhenAllIsAcked(t *testing.T) {
	b := open(closing)
	b.input(segment{flags: flagACK, seq: 1, ack: 5, window: 1000}, 0)
	if out := sent(b); len(out) != 0 {
		t.Fatalf("want no reset while bytes are unacknowledged, got %#02x", out)
	}
	if ev := b.input(segment{flags: flagACK, seq: 1, ack: 11, window: 1000}, 0); ev&evSend == 0 {
		t.Fatal("want evSend on the last ack")
	}
	if out := sent(b); len(out) != 1 || out[0] != flagRST || b.state != closed {
		t.Fatalf("want one reset and closed, got %#02x in state %d", out, b.state)
	}
}

func TestInputSequence(t *testing.T) {
	for _, tt := range []struct {
		name   string
		seq    uint32
		n      int
		flags  uint8
		err    error
		accept bool
		ack    bool // an ack is due at once
	}{
		{name: "in order", seq: 101, n: 7, flags: flagACK, accept: true},
		{name: "gap", seq: 102, n: 7, flags: flagACK, err: ErrProtocol},
		{name: "seen before", seq: 51, n: 50, flags: flagACK, ack: true},
		{name: "overlap", seq: 100, n: 7, flags: flagACK, err: ErrProtocol},
		{name: "window full", seq: 101, n: window, flags: flagACK, accept: true},
		{name: "beyond the window", seq: 101, n: window + 1, flags: flagACK, err: ErrProtocol},
		{name: "empty with an old number", seq: 100, n: 0, flags: flagACK},
		{name: "no ack flag", seq: 101, n: 7, flags: 0, accept: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &tcb{window: window}
			b.input(segment{flags: flagSYN | flagACK, seq: 100, ack: 1, window: 1000}, 0)
			sent(b)
			ev := b.input(segment{flags: tt.flags, seq: tt.seq, ack: 1, window: 1000}, tt.n)
			if !errors.Is(b.err, tt.err) {
				t.Errorf("want error %v, got %v", tt.err, b.err)
			}
			if got := ev&evAccepted != 0; got != tt.accept {
				t.Errorf("want accepted %v, got %v", tt.accept, got)
			}
			if b.ackDue != tt.ack {
				t.Errorf("want ack due %v, got %v", tt.ack, b.ackDue)
			}
		})
	}
}

func TestAckBeyondSent(t *testing.T) {
	b := open(established)
	b.input(segment{flags: flagACK, seq: 1, ack: 12, window: 1000}, 0)
	if !errors.Is(b.err, ErrProtocol) {
		t.Fatalf("want ErrProtocol, got %v", b.err)
	}
}

// TestSendWindow walks the sequence numbers over their wrap with windows that
// open, close and shrink.
func TestSendWindow(t *testing.T) {
	b := open(established)
	b.sndNxt, b.sndUna, b.queued = 0xfffffff0, 0xfffffff0, 100_000
	b.rcvNxt = 1
	ack := func(n, win uint32) event {
		return b.input(segment{flags: flagACK, seq: 1, ack: b.sndUna + n, window: win}, 0)
	}
	out := func() int {
		_, n, _ := b.output(true)
		return n
	}
	ack(0, 60_000)
	if n := out(); n != MaxPayload {
		t.Fatalf("want a full segment of %d, got %d", MaxPayload, n)
	}
	if n := out(); n != 60_000-MaxPayload {
		t.Fatalf("want the rest of the window, got %d", n)
	}
	if n := out(); n != 0 {
		t.Fatalf("want nothing beyond the window, got %d", n)
	}
	if ev := ack(10, 59_990); ev&evSend != 0 || out() != 0 {
		t.Fatal("want nothing: the window did not move")
	}
	if ev := ack(10, 20); ev&evSend != 0 || out() != 0 {
		t.Fatal("want nothing: the window shrank below what is in flight")
	}
	if ev := ack(59_980, 256); ev&evSend == 0 || out() != 256 {
		t.Fatal("want 256 bytes after the window opened")
	}
	if b.queued != 100_000-60_000-256 {
		t.Fatalf("want %d bytes queued, got %d", 100_000-60_000-256, b.queued)
	}
}

// TestAckPolicy asserts that acks follow what the reader takes: all there is,
// or a quarter of the window, and not each read.
func TestAckPolicy(t *testing.T) {
	b := open(established)
	sent(b)
	in := func(n int) { b.input(segment{flags: flagACK, seq: b.rcvNxt, ack: 1, window: 1000}, n) }
	in(1000)
	if ev := b.consumed(10); ev != 0 {
		t.Fatal("want no ack for a small part")
	}
	if ev := b.consumed(990); ev != evSend {
		t.Fatal("want an ack for all there is")
	}
	if g, _, _ := b.output(true); g.ack != 1001 {
		t.Fatalf("want ack 1001, got %d", g.ack)
	}
	in(100_000)
	acks := 0
	for range 100 {
		if b.consumed(1000) != 0 {
			b.output(true)
			acks++
		}
	}
	if acks != 4 {
		t.Fatalf("want 3 acks at a quarter of the window and one at the end, got %d", acks)
	}
}

// TestFinIsAckedAfterTheData asserts that the ack covers the FIN only when the
// data before it has been taken.
func TestFinIsAckedAfterTheData(t *testing.T) {
	b := open(established)
	b.input(segment{flags: flagACK | flagFIN, seq: 1, ack: 1, window: 1000}, 5)
	b.consumed(4)
	if b.ackDue {
		t.Fatal("want no ack yet")
	}
	b.consumed(1)
	if g, _, ok := b.output(true); !ok || g.ack != 7 {
		t.Fatalf("want ack 7, got %d", g.ack)
	}
	b.input(segment{flags: flagACK, seq: 7, ack: 1, window: 1000}, 5)
	if !errors.Is(b.err, ErrProtocol) {
		t.Fatalf("want ErrProtocol for data after FIN, got %v", b.err)
	}
}
