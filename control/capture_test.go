package control

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

	"gomuxd/access"
)

// muxPacket is a version 2 packet of TCP with the phone's port.
func muxPacket(out bool, port uint16, payload string) Packet {
	b := make([]byte, 36, 36+len(payload))
	binary.BigEndian.PutUint32(b, 6)
	binary.BigEndian.PutUint32(b[4:], uint32(36+len(payload)))
	binary.BigEndian.PutUint32(b[8:], 0xfeedface)
	at := 16
	if out {
		at = 18
	}
	binary.BigEndian.PutUint16(b[at:], port)
	b[28] = 5 << 4
	return Packet{Time: time.Unix(1, 2), Out: out, Header: 16, Data: append(b, payload...)}
}

// TestShown asserts what a capture leaves out: other ports, and what is said to
// lockdownd.
func TestShown(t *testing.T) {
	version := Packet{Header: 8, Data: make([]byte, 20)}
	control := Packet{Header: 16, Data: append([]byte{0, 0, 0, 1, 0, 0, 0, 22, 0xfe, 0xed, 0xfa, 0xce, 0, 0, 0, 0}, "\x05hello"...)}
	short := muxPacket(false, 62078, "")
	short.Data = short.Data[:20]
	fromPort := muxPacket(true, 7, "xx") // a host's port that is a phone's by chance
	binary.BigEndian.PutUint16(fromPort.Data[16:], 62078)
	hidden := muxPacket(false, 62078, "secret")
	hidden.Data[28] = 15 << 4 // an offset that would take payload for options
	old := muxPacket(true, 62078, "secret")
	old.Header, old.Data = 8, append(old.Data[:8:8], old.Data[16:]...)
	for _, tt := range []struct {
		name string
		p    Packet
		req  CaptureRequest
		want int
	}{
		{"version", version, CaptureRequest{Ports: []uint16{9}}, 20},
		{"control", control, CaptureRequest{Ports: []uint16{9}}, 22},
		{"any port", muxPacket(true, 7, "data"), CaptureRequest{}, 40},
		{"this port, out", muxPacket(true, 7, "data"), CaptureRequest{Ports: []uint16{9, 7}}, 40},
		{"this port, in", muxPacket(false, 7, "data"), CaptureRequest{Ports: []uint16{7}}, 40},
		{"another port", muxPacket(false, 7, "data"), CaptureRequest{Ports: []uint16{9}}, 0},
		{"lockdown in", muxPacket(false, 62078, "secret"), CaptureRequest{}, 36},
		{"lockdown out", muxPacket(true, 62078, "secret"), CaptureRequest{}, 36},
		{"lockdown by name", muxPacket(true, 62078, "secret"), CaptureRequest{Ports: []uint16{62078}}, 36},
		{"lockdown with secrets", muxPacket(true, 62078, "secret"), CaptureRequest{Secrets: true}, 42},
		{"lockdown of version 1", old, CaptureRequest{}, 28},
		{"odd data offset", hidden, CaptureRequest{}, 36},
		{"half a header", short, CaptureRequest{}, 16},
		{"host's port", fromPort, CaptureRequest{}, 38},
	} {
		if got := tt.req.shown(tt.p); got != tt.want {
			t.Errorf("%s: %d bytes shown; want %d", tt.name, got, tt.want)
		}
	}
}

// TestPacketQueue asserts that a reader that does not read costs a bounded queue, and
// that every packet is either there or counted.
func TestPacketQueue(t *testing.T) {
	q := newPacketQueue(CaptureRequest{})
	p := muxPacket(true, 7, strings.Repeat("x", 40_000))
	const all = 300
	for range all {
		q.add(p)
	}
	if cap(q.buf) != captureQueue || len(q.buf) > captureQueue {
		t.Errorf("the queue has grown to %d", cap(q.buf))
	}
	count, dropped := 0, 0
	buf := make([]byte, captureHeader+maxCaptured)
	for range 2 {
		for r := bytes.NewReader(bytes.Clone(q.take())); ; {
			c, err := readCaptured(r, buf)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			dropped += int(c.Dropped)
			if c.Length > 0 {
				count++
			}
		}
	}
	if count != captureQueue/(captureHeader+len(p.Data)) || count+dropped != all {
		t.Errorf("%d packets and %d dropped; want %d in all", count, dropped, all)
	}
	if b := q.take(); len(b) != 0 {
		t.Errorf("%d bytes more", len(b))
	}
	if n := testing.AllocsPerRun(10, func() { q.add(p) }); n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}

func TestCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(context.Background())
		got := make(chan Captured)
		done := make(chan error, 1)
		go func() {
			done <- r.client.Capture(ctx, "Anna's iPhone", CaptureRequest{Ports: []uint16{7, 62078}}, func(c Captured) error {
				c.Data = bytes.Clone(c.Data)
				got <- c
				return nil
			})
		}()
		if c := <-got; c.Length != 0 {
			t.Errorf("first %+v; want an empty record", c)
		}
		if calls := r.actions.taken(); calls != "watch "+annasUDID {
			t.Errorf("calls %q", calls)
		}
		r.actions.packets(muxPacket(false, 9, "other"))
		r.actions.packets(muxPacket(false, 7, "data"))
		r.actions.packets(muxPacket(true, 62078, "secret"))
		if c := <-got; c.Out || c.Header != 16 || c.Length != 40 || string(c.Data[36:]) != "data" || !c.Time.Equal(time.Unix(1, 2)) {
			t.Errorf("%+v; want the packet of port 7", c)
		}
		if c := <-got; !c.Out || c.Length != 42 || len(c.Data) != 36 {
			t.Errorf("%+v; want the headers of a packet of 42 bytes", c)
		}
		start := time.Now()
		if c := <-got; c.Length != 0 || time.Since(start) != 30*time.Second {
			t.Errorf("%+v after %v; want an empty record after 30 s", c, time.Since(start))
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Capture = %v; want %v", err, context.Canceled)
		}
		synctest.Wait()
		if calls := r.actions.taken(); calls != "stop "+annasUDID {
			t.Errorf("calls %q", calls)
		}
		for _, what := range []string{"capture started", "capture ended"} {
			if n := r.logs.FilterMessage(what).Len(); n != 1 {
				t.Errorf("%q was logged %d times", what, n)
			}
		}
	})
}

// TestCaptureStop asserts that a daemon that stops ends captures, also one whose
// reader does not read.
func TestCaptureStop(t *testing.T) {
	r := newRig(t)
	begun, hold := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- r.client.Capture(t.Context(), "1-2", CaptureRequest{}, func(c Captured) error {
			if c.Length == 0 {
				close(begun)
			}
			<-hold
			return nil
		})
	}()
	<-begun
	for range 1000 {
		r.actions.packets(muxPacket(true, 7, strings.Repeat("x", 40_000)))
	}
	r.srv.Close()
	close(hold)
	if err := <-done; !errors.Is(err, ErrNoDaemon) {
		t.Errorf("Capture = %v; want %v", err, ErrNoDaemon)
	}
}

func TestCaptureRefusals(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Gate = gateOf(t, "gid:4321")
		c.Peer = func(net.Conn) access.Peer {
			return access.Peer{Origin: access.Local, PID: 7, UID: 1<<31 - 7, GID: 4321}
		}
	})
	never := func(Captured) error { return errors.New("it has begun") }
	var e *Error
	if err := r.client.Capture(t.Context(), "1-2", CaptureRequest{Secrets: true}, never); !errors.As(err, &e) || e.Code != CodeForbidden || !strings.Contains(e.Message, "--with-secrets") {
		t.Errorf("secrets for an operator who is not root: %v", err)
	}
	for range maxCaptures / 2 {
		begun := make(chan struct{})
		go func() { // ends with the test
			_ = r.client.Capture(t.Context(), "1-2", CaptureRequest{}, func(Captured) error { close(begun); return nil })
		}()
		<-begun
	}
	if err := r.client.Capture(t.Context(), "1-2", CaptureRequest{}, never); !errors.As(err, &e) || e.Code != CodeBusy {
		t.Errorf("one capture too many: %v", err)
	}
}

// FuzzReadCaptured asserts that a stream is read as it would be written, or refused.
func FuzzReadCaptured(f *testing.F) {
	f.Add(Captured{}.append(nil))
	f.Add(Captured{Packet: muxPacket(true, 7, "data"), Length: 40}.append(nil))
	f.Add(Captured{Packet: muxPacket(false, 62078, ""), Length: 99, Dropped: 3}.append(Captured{Dropped: 1}.append(nil)))
	long, _ := hex.DecodeString("ffffffff0000000000000000000000000000000000000000")
	f.Add(long)
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		buf := make([]byte, captureHeader+maxCaptured)
		var out []byte
		for {
			c, err := readCaptured(r, buf)
			if err != nil {
				if err == io.EOF && len(out) != len(in) {
					t.Fatalf("it ends well after %d bytes of %d", len(out), len(in))
				}
				break
			}
			if len(c.Data) > c.Length || c.Length > maxCaptured || c.Length > 0 && len(c.Data) < c.Header {
				t.Fatalf("%d bytes of %d, with a header of %d", len(c.Data), c.Length, c.Header)
			}
			out = c.append(out)
		}
		if !bytes.HasPrefix(in, out) {
			t.Fatalf("%x was read as %x", in, out)
		}
	})
}
