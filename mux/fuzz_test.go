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

// FuzzSession feeds a phone's stream to a session with connections open. The
// session must end with a cause, hold no more than one window per connection,
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
		pipe := &replay{in: bytes.NewReader(in), piece: piece}
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
				if n > int64(len(in)) {
					t.Errorf("%d bytes read of a stream of %d", n, len(in))
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
		for i, p := range pipe.out {
			size := shortHeaderLen
			if version == 2 && i > 0 {
				size = longHeaderLen
			}
			if h := decodeHeader(p, size); int(h.length) != len(p) || len(p) > maxFrameOut {
				t.Errorf("packet %d of %d bytes says %d", i, len(p), h.length)
			}
		}
	})
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
