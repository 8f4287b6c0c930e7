package mux

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"sync"
	"testing"
)

// replay is a pipe whose phone says a fixed stream and takes everything.
type replay struct {
	mu     sync.Mutex
	in     *bytes.Reader
	piece  int
	closed bool
	out    [][]byte
}

func (r *replay) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, net.ErrClosed
	}
	return r.in.Read(b[:min(len(b), r.piece)])
}

func (r *replay) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, net.ErrClosed
	}
	r.out = append(r.out, bytes.Clone(b))
	return len(b), nil
}

func (r *replay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return nil
}

// lendingReplay is a replay that lends, but not always. What it has lent it spoils.
type lendingReplay struct {
	replay
	next  []byte
	lent  []byte
	lends int
}

func (r *lendingReplay) Next() ([]byte, error) {
	r.next = make([]byte, min(r.piece, 100_000))
	n, err := r.Read(r.next)
	return r.next[:n], err
}

func (r *lendingReplay) Return() { clear(r.next) }

func (r *lendingReplay) Lend() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lends++; r.closed || r.lent != nil || r.lends%3 == 0 {
		return nil
	}
	r.lent = make([]byte, maxFrameOut)
	return r.lent
}

func (r *lendingReplay) Submit(n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	if n > 0 {
		r.out = append(r.out, bytes.Clone(r.lent[:n]))
	}
	clear(r.lent)
	r.lent = nil
	return nil
}

// FuzzSession feeds a phone's stream to a session with connections open, over a pipe
// that lends and over one that does not. The session must end with a cause, hold no more than one window per connection,
// and never send a packet that a phone would refuse.
func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		version2,
		"00000000 00000014 00000001 00000000 00000000 00000006 0000001c F27E 0001 00000000 00000001 50 12 0200 0000 0000",
		version2 + "00000006 00000024 FEEDFACE 0001 0001 F27E 0001 00000000 00000001 50 12 0200 0000 0000" +
			"00000006 00000028 FEEDFACE 0002 0003 F27E 0001 00000001 00000001 50 10 0200 0000 0000 706f6e67" +
			"00000006 00000024 FEEDFACE 0003 0003 F27E 0001 00000005 00000001 50 04 0200 0000 0000",
		version2 + "00000001 00000015 FEEDFACE 0001 0001 07 41424344",
		version2 + "00000006 00000028 FEEDFACE 0003 0005 F27E 0009 00000051 00000005 50 10 0200 0000 0000 706f6e67",
	} {
		b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(seed), []byte(" "), nil)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, 1<<16)
		f.Add(b, 5)
	}
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		if piece < 1 || piece > 1<<20 {
			return
		}
		plain := &replay{in: bytes.NewReader(in), piece: piece}
		over(t, plain, plain, len(in))
		lending := &lendingReplay{replay: replay{in: bytes.NewReader(in), piece: piece}}
		over(t, lending, &lending.replay, len(in))
	})
}

// over runs a session over pipe, whose phone says size bytes in all and hears what is
// in log.
func over(t *testing.T, pipe Pipe, log *replay, size int) {
	s, err := Open(context.Background(), pipe, Config{})
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			c, err := s.Dial(context.Background(), 62078)
			if err != nil {
				return
			}
			defer c.Close()
			c.Write([]byte("hello"))
			n, err := io.Copy(io.Discard, c)
			if err != nil {
				t.Error(err)
			}
			if n > int64(size) {
				t.Errorf("%d bytes read of a stream of %d", n, size)
			}
		})
	}
	<-s.Done()
	wg.Wait()
	if s.Err() == nil {
		t.Error("the session ended without a cause")
	}
	s.Close()
	if n := len(s.conns); n != 0 {
		t.Errorf("%d connections left", n)
	}
	version := s.Version()
	for i, p := range log.out {
		size := shortHeaderLen
		if version == 2 && i > 0 {
			size = longHeaderLen
		}
		if h := decodeHeader(p, size); int(h.length) != len(p) || len(p) > maxFrameOut {
			t.Errorf("packet %d of %d bytes says %d", i, len(p), h.length)
		}
	}
}

// FuzzSegment asserts that what decodes encodes to the same bytes, but for what
// the protocol leaves unused.
func FuzzSegment(f *testing.F) {
	f.Add([]byte("\x00\x01\xf2\x7e\x00\x00\x00\x00\x00\x00\x00\x00\x50\x02\x02\x00\x00\x00\x00\x00"))
	f.Add([]byte("\xf2\x7e\x00\x01\x00\x00\x00\x01\x00\x00\x00\x05\x60\x10\x02\x00\x00\x00\x00\x00optspong"))
	f.Fuzz(func(t *testing.T, in []byte) {
		g, payload, err := decodeSegment(in)
		if err != nil {
			return
		}
		if len(payload) > len(in)-tcpHeaderLen {
			t.Fatalf("payload of %d bytes in %d", len(payload), len(in))
		}
		out := make([]byte, tcpHeaderLen)
		g.encode(out)
		want := bytes.Clone(in[:tcpHeaderLen])
		want[12] = 0x50
		copy(want[16:], []byte{0, 0, 0, 0})
		if !bytes.Equal(out, want) {
			t.Fatalf("want % x\n got % x", want, out)
		}
		again, _, err := decodeSegment(out)
		if err != nil || again != g {
			t.Fatalf("want %+v, got %+v, %v", g, again, err)
		}
	})
}
