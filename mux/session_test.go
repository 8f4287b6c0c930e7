package mux

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/mux/muxtest"
)

// bench is a session whose phone the test plays by hand, packet by packet, in
// a synctest bubble.
type bench struct {
	t     *testing.T
	s     *Session
	phone *muxtest.Phone
	tx    uint16 // the phone's packet number
	ahead int    // packets on their way before the phone receives one
}

const version2 = "00000000 00000014 00000002 00000000 00000000"

// pipes make the host's ends that sessions are played over: one that lends nothing, and
// one with a single transfer to lend, so that those who send and the writer take turns.
var pipes = []func() (Pipe, *muxtest.Phone){
	func() (Pipe, *muxtest.Phone) { return muxtest.Pipe() },
	func() (Pipe, *muxtest.Phone) { return muxtest.LendingPipe(1) },
}

// play runs f in a bubble against a session that has met a version 2 phone, over each
// of the pipes.
func play(t *testing.T, cfg Config, f func(b *bench)) {
	t.Helper()
	for _, plug := range pipes {
		playOver(t, plug, cfg, f)
	}
}

// playOver is play over a pipe that is made in the bubble.
func playOver(t *testing.T, plug func() (Pipe, *muxtest.Phone), cfg Config, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pipe, phone := plug()
		defer func() {
			if t.Failed() {
				t.Logf("over a %T", pipe)
			}
		}()
		b := meet(t, pipe, phone, cfg)
		defer func() {
			go b.swallow() // what the end of the session sends
			b.s.Close()
		}()
		f(b)
	})
}

// meet opens a session, and is a version 2 phone to it.
func meet(t *testing.T, pipe Pipe, phone *muxtest.Phone, cfg Config) *bench {
	t.Helper()
	b := &bench{t: t, phone: phone, ahead: 1}
	if _, ok := pipe.(Lender); ok {
		b.ahead = 2 // in the transfer, and in Write
	}
	opened := make(chan error, 1)
	go func() {
		var err error
		b.s, err = Open(context.Background(), pipe, cfg)
		opened <- err
	}()
	b.want(version2)
	b.send(version2)
	b.want("00000002 00000011 FEEDFACE 0000 FFFF 07")
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	return b
}

// swallow takes all that the host sends.
func (b *bench) swallow() {
	for {
		if _, ok := b.phone.Recv(); !ok {
			return
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "|", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) recv() []byte {
	b.t.Helper()
	p, ok := b.phone.Recv()
	if !ok {
		b.t.Fatalf("the session ended: %v", b.s.Err())
	}
	return p
}

// want asserts the next packet from the host, byte for byte.
func (b *bench) want(packet string) {
	b.t.Helper()
	if want, got := unhex(b.t, packet), b.recv(); !bytes.Equal(want, got) {
		b.t.Fatalf("want packet % x\n       got % x", want, got)
	}
}

func (b *bench) send(packet string) {
	b.t.Helper()
	b.phone.Send(unhex(b.t, packet))
}

// wantSegment asserts the fields of the next packet and returns its payload.
func (b *bench) wantSegment(src, dst uint16, seq, ack uint32, flags uint8) []byte {
	b.t.Helper()
	p := b.recv()
	g, payload, err := decodeSegment(p[longHeaderLen:])
	if err != nil {
		b.t.Fatal(err)
	}
	g.window = 0
	if want := (segment{src: src, dst: dst, seq: seq, ack: ack, flags: flags}); g != want {
		b.t.Fatalf("want segment %+v\n        got %+v", want, g)
	}
	return payload
}

// packet builds a version 2 TCP packet of the phone.
func (b *bench) packet(g segment, payload []byte) []byte {
	b.tx++
	p := make([]byte, longHeaderLen+tcpHeaderLen, longHeaderLen+tcpHeaderLen+len(payload))
	binary.BigEndian.PutUint32(p[0:], protoTCP)
	binary.BigEndian.PutUint32(p[4:], uint32(len(p)+len(payload)))
	binary.BigEndian.PutUint32(p[8:], magic)
	binary.BigEndian.PutUint16(p[12:], b.tx)
	binary.BigEndian.PutUint16(p[14:], 0xffff)
	g.encode(p[longHeaderLen:])
	return append(p, payload...)
}

func (b *bench) sendSegment(src, dst uint16, seq, ack uint32, flags uint8, win uint32, payload string) {
	b.t.Helper()
	b.phone.Send(b.packet(segment{src: src, dst: dst, seq: seq, ack: ack, flags: flags, window: win}, []byte(payload)))
}

// dial opens a connection to port 62078 and plays the phone's part of it.
func (b *bench) dial(src uint16, win uint32) *Conn {
	b.t.Helper()
	return b.dialBy(b.s.Dial, src, win)
}

func (b *bench) dialBy(dial func(context.Context, uint16) (*Conn, error), src uint16, win uint32) *Conn {
	b.t.Helper()
	type result struct {
		c   *Conn
		err error
	}
	ch := make(chan result, 1)
	go func() {
		c, err := dial(context.Background(), 62078)
		ch <- result{c, err}
	}()
	b.wantSegment(src, 62078, 0, 0, flagSYN)
	b.sendSegment(62078, src, 0, 1, flagSYN|flagACK, win, "")
	b.wantSegment(src, 62078, 1, 1, flagACK)
	r := <-ch
	if r.err != nil {
		b.t.Fatal(r.err)
	}
	return r.c
}

func readString(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	buf := make([]byte, n)
	if _, err := io.ReadFull(c, buf); err != nil {
		t.Fatal(err)
	}
	return string(buf)
}

// TestVectors is the first connection after an attach, byte for byte.
func TestVectors(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		ch := make(chan *Conn, 1)
		go func() {
			c, err := b.s.Dial(context.Background(), 62078)
			if err != nil {
				t.Error(err)
			}
			ch <- c
		}()
		b.want("00000006 00000024 FEEDFACE 0001 FFFF | 0001 F27E 00000000 00000000 50 02 0200 0000 0000")
		b.send("00000006 00000024 FEEDFACE 0001 0001 | F27E 0001 00000000 00000001 50 12 0200 0000 0000")
		b.want("00000006 00000024 FEEDFACE 0002 0001 | 0001 F27E 00000001 00000001 50 10 0200 0000 0000")
		c := <-ch
		c.Write([]byte("ping"))
		b.want("00000006 00000028 FEEDFACE 0003 0001 | 0001 F27E 00000001 00000001 50 10 0200 0000 0000 70696e67")
		b.send("00000006 00000028 FEEDFACE 0002 0003 | F27E 0001 00000001 00000005 50 10 0200 0000 0000 706f6e67")
		if got := readString(t, c, 4); got != "pong" {
			t.Fatalf("want pong, got %q", got)
		}
		b.want("00000006 00000024 FEEDFACE 0004 0002 | 0001 F27E 00000005 00000005 50 10 0200 0000 0000")
		c.Close()
		b.want("00000006 00000024 FEEDFACE 0005 0002 | 0001 F27E 00000005 00000005 50 04 0200 0000 0000")

		// Data for a connection that does not exist.
		b.send("00000006 00000028 FEEDFACE 0003 0005 | F27E 0009 00000051 00000005 50 10 0200 0000 0000 706f6e67")
		b.want("00000006 00000024 FEEDFACE 0006 0003 | 0009 F27E 00000000 00000051 50 04 0000 0000 0000")
		// A reset for one is ignored.
		b.send("00000006 00000024 FEEDFACE 0004 0005 | F27E 0009 00000051 00000005 50 04 0200 0000 0000")
		c2 := b.dial2(2)
		defer c2.Close()
	})
}

func (b *bench) dial2(src uint16) *Conn { b.tx = 10; return b.dial(src, window) }

func TestVersion1Phone(t *testing.T) {
	for _, plug := range pipes {
		synctest.Test(t, func(t *testing.T) {
			pipe, phone := plug()
			b := &bench{t: t, phone: phone}
			go func() {
				b.want(version2)
				b.send("00000000 00000014 00000001 00000000 00000000")
			}()
			s, err := Open(t.Context(), pipe, Config{})
			if err != nil {
				t.Fatal(err)
			}
			b.s = s
			if s.Version() != 1 {
				t.Fatalf("want version 1, got %d", s.Version())
			}
			ch := make(chan *Conn, 1)
			go func() {
				c, _ := s.Dial(context.Background(), 62078)
				ch <- c
			}()
			b.want("00000006 0000001c 0001 F27E 00000000 00000000 50 02 0200 0000 0000")
			b.send("00000006 0000001c F27E 0001 00000000 00000001 50 12 0200 0000 0000")
			b.want("00000006 0000001c 0001 F27E 00000001 00000001 50 10 0200 0000 0000")
			c := <-ch
			c.Write([]byte("ping"))
			b.want("00000006 00000020 0001 F27E 00000001 00000001 50 10 0200 0000 0000 70696e67")
			c.Close()
			phone.Unplug()
			s.Close()
		})
	}
}

func TestHandshake(t *testing.T) {
	stale := "00000006 00000028 FEEDFACE 0003 0001 | F27E 0001 00000001 00000001 50 10 0200 0000 0000 70696e67"
	for _, tt := range []struct {
		name string
		in   []string
		err  error
	}{
		{name: "version 2", in: []string{version2}},
		{name: "byte by byte", in: strings.SplitAfter("00 00 00 00 00 00 00 14 00 00 00 02 00 00 00 00 00 00 00 00", " ")},
		{name: "stale packet before", in: []string{stale, version2}},
		{name: "stale packet and version in one transfer", in: []string{stale + version2}},
		{name: "the tail of a stale packet before", in: []string{"706f6e67706f6e67706f6e67", version2}},
		{name: "control before", in: []string{"00000001 0000000c 03 414243", version2}},
		{name: "version 3", in: []string{"00000000 00000014 00000003 00000000 00000000"}, err: ErrProtocol},
		{name: "silence", err: ErrNoVersion},
		{name: "stale packets only", in: []string{stale, stale}, err: ErrNoVersion},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, plug := range pipes {
				synctest.Test(t, func(t *testing.T) {
					pipe, phone := plug()
					go (&bench{phone: phone}).swallow()
					go func() {
						for _, in := range tt.in {
							phone.Send(unhex(t, in))
						}
					}()
					s, err := Open(t.Context(), pipe, Config{VersionTimeout: 3 * time.Second})
					if !errors.Is(err, tt.err) {
						t.Fatalf("over a %T: want error %v, got %v", pipe, tt.err, err)
					}
					if err == nil {
						s.Close()
					}
				})
			}
		})
	}
}

func TestUnplugDuringHandshake(t *testing.T) {
	for _, plug := range pipes {
		synctest.Test(t, func(t *testing.T) {
			pipe, phone := plug()
			time.AfterFunc(time.Second, phone.Unplug)
			_, err := Open(t.Context(), pipe, Config{})
			if !errors.Is(err, ErrDeviceGone) || !errors.Is(err, muxtest.ErrUnplugged) {
				t.Fatalf("want ErrDeviceGone with its cause, got %v", err)
			}
		})
	}
}

func TestDialErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer string // after the SYN
		err    error
		text   string
		reset  bool // the host answers with a reset
	}{
		{name: "refused", answer: "00000006 00000024 FEEDFACE 0001 0001 | F27E 0001 00000000 00000001 50 04 0000 0000 0000", err: ErrRefused},
		{name: "refused with a reason", answer: "00000006 0000002c FEEDFACE 0001 0001 | F27E 0001 00000000 00000001 50 04 0000 0000 0000 6e6f206f6e65 0a 00", err: ErrRefused, text: `"no one"`},
		{name: "bare ack", answer: "00000006 00000024 FEEDFACE 0001 0001 | F27E 0001 00000000 00000001 50 10 0200 0000 0000", err: ErrProtocol, reset: true},
		{name: "syn alone", answer: "00000006 00000024 FEEDFACE 0001 0001 | F27E 0001 00000000 00000001 50 02 0200 0000 0000", err: ErrProtocol, reset: true},
		{name: "silence", err: ErrDialTimeout, reset: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Config{}, func(b *bench) {
				ch := make(chan error, 1)
				go func() {
					_, err := b.s.Dial(context.Background(), 62078)
					ch <- err
				}()
				b.wantSegment(1, 62078, 0, 0, flagSYN)
				if tt.answer != "" {
					b.send(tt.answer)
				}
				err := <-ch
				if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
					t.Fatalf("want %v with %q, got %v", tt.err, tt.text, err)
				}
				if tt.reset {
					b.wantSegment(1, 62078, 0, 0, flagRST)
				}
				// The session goes on.
				b.dial2(2).Close()
				b.wantSegment(2, 62078, 1, 1, flagRST)
				if n := b.s.Stats().Conns; n != 0 {
					t.Fatalf("want no connection left, got %d", n)
				}
			})
		})
	}
}

func TestDialCancelled(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		ctx, cancel := context.WithCancelCause(context.Background())
		cause := errors.New("client went away")
		ch := make(chan error, 1)
		go func() {
			_, err := b.s.Dial(ctx, 62078)
			ch <- err
		}()
		b.wantSegment(1, 62078, 0, 0, flagSYN)
		cancel(cause)
		if err := <-ch; err != cause {
			t.Fatalf("want %v, got %v", cause, err)
		}
		b.wantSegment(1, 62078, 0, 0, flagRST)
	})
}
