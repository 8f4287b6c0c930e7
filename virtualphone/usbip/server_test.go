package usbip_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"gomuxd/mux"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

func gadget(t testing.TB, cfg usbip.Config, phone virtualphone.Config) *usbip.Gadget {
	t.Helper()
	if cfg.Speed == 0 {
		cfg.Speed = usbip.High
	}
	phone.MaxPacketSize = cfg.Speed.PacketSize()
	p, err := virtualphone.New(phone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	cfg.Phone = p
	g, err := usbip.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestMuxOverUSBIP(t *testing.T) {
	g := gadget(t, usbip.Config{}, virtualphone.Config{})
	h := plug(t, g)
	s, err := mux.Open(t.Context(), claim(t, h, 3, 16384), mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Dial(t.Context(), virtualphone.EchoPort)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 1<<20)
	rand.Read(data)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- errors.Join(err, c.CloseWrite())
	}()
	got := make([]byte, len(data))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("echo: %v, equal %t", err, bytes.Equal(got, data))
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if v := g.Phone().Violations(); v.Total() != 0 {
		t.Errorf("violations: %v %v", v, g.Phone().ViolationNotes())
	}
	if err := h.failed(); err != nil {
		t.Fatal(err)
	}
}

// version is the first message of a host and the phone's answer to it.
var version = []byte{0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}

func configured(t *testing.T, g *usbip.Gadget) *host {
	t.Helper()
	h := plug(t, g)
	if r := h.control(0x00, 9, 4, 0, 0); r.status != 0 {
		t.Fatalf("set configuration 4: %d", r.status)
	}
	return h
}

func TestInTransfersInTurn(t *testing.T) {
	h := configured(t, gadget(t, usbip.Config{}, virtualphone.Config{}))
	_, first := h.bulkIn(5, 512)
	_, second := h.bulkIn(5, 512)
	seq3, third := h.bulkIn(5, 512)
	for range 2 {
		if _, ch := h.bulkOut(4, 0, version); (<-ch).status != 0 {
			t.Fatal("OUT failed")
		}
	}
	for i, ch := range []<-chan result{first, second} {
		if r := <-ch; r.status != 0 || !bytes.Equal(r.data, version) {
			t.Fatalf("transfer %d: %+v", i, r)
		}
	}
	h.unlink(seq3)
	if r := <-third; !r.unlinked || r.status != -104 {
		t.Fatalf("unlinked transfer: %+v", r)
	}
}

func TestUnlink(t *testing.T) {
	g := gadget(t, usbip.Config{}, virtualphone.Config{})
	h := configured(t, g)
	t.Run("an endpoint that nobody serves", func(t *testing.T) {
		seq, ch := h.bulkIn(1, 64)
		h.unlink(seq)
		if r := <-ch; !r.unlinked || r.status != -104 {
			t.Fatalf("%+v", r)
		}
	})
	t.Run("out of turn", func(t *testing.T) {
		_, first := h.bulkIn(5, 512)
		seq, second := h.bulkIn(5, 512)
		_, third := h.bulkIn(5, 512)
		h.unlink(seq)
		if r := <-second; !r.unlinked {
			t.Fatalf("%+v", r)
		}
		for range 2 {
			_, ch := h.bulkOut(4, 0, version)
			<-ch
		}
		if a, b := <-first, <-third; a.status != 0 || b.status != 0 || len(a.data) != 20 || len(b.data) != 20 {
			t.Fatalf("%+v, %+v", a, b)
		}
	})
	t.Run("too late", func(t *testing.T) {
		seq, ch := h.bulkOut(4, 0, version)
		<-ch
		late := h.unlink(seq)
		_, in := h.bulkIn(5, 512) // answered after the unlink
		_, out := h.bulkOut(4, 0, version)
		<-out
		<-in
		h.mu.Lock()
		defer h.mu.Unlock()
		if status, ok := h.late[late]; !ok || status != 0 {
			t.Fatalf("late unlink: %d, %t", status, ok)
		}
	})
	t.Run("in a race with data", func(t *testing.T) {
		for i := range 300 {
			seq, ch := h.bulkIn(5, 512)
			_, out := h.bulkOut(4, 0, version)
			h.unlink(seq)
			<-out
			r, ok := <-ch
			if !ok {
				t.Fatalf("round %d: %v", i, h.failed())
			}
			if r.unlinked { // then the data are still there
				_, again := h.bulkIn(5, 512)
				r = <-again
			}
			if r.status != 0 || !bytes.Equal(r.data, version) {
				t.Fatalf("round %d: %+v", i, r)
			}
		}
	})
	if err := h.failed(); err != nil {
		t.Fatal(err)
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults usbip.Faults
		status int32
		halts  byte // endpoint to clear
	}{
		{"stall in", usbip.Faults{StallIn: 1}, -32, 0x85},
		{"stall out", usbip.Faults{StallOut: 1}, -32, 0x04},
		{"error in", usbip.Faults{ErrorIn: 1}, -71, 0},
		{"error out", usbip.Faults{ErrorOut: 1}, -71, 0},
		{"babble", usbip.Faults{BabbleIn: 1}, -75, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := gadget(t, usbip.Config{}, virtualphone.Config{})
			h := configured(t, g)
			_, waiting := h.bulkIn(5, 512)
			g.SetFaults(tt.faults)
			_, ch := h.bulkOut(4, 0, version)
			r, in := <-ch, waiting
			if tt.faults.StallIn+tt.faults.ErrorIn+tt.faults.BabbleIn > 0 {
				r, in = <-waiting, nil
			}
			if r.status != tt.status {
				t.Fatalf("want status %d, got %+v", tt.status, r)
			}
			if tt.halts != 0 {
				if b := h.control(0x82, 0, 0, uint16(tt.halts), 2); !bytes.Equal(b.data, []byte{1, 0}) {
					t.Fatalf("status of the halted endpoint: %v", b.data)
				}
				h.control(0x02, 1, 0, uint16(tt.halts), 0)
			}
			if in == nil {
				_, in = h.bulkIn(5, 512)
			}
			_, out := h.bulkOut(4, 0, version)
			if r := <-out; r.status != 0 {
				t.Fatalf("OUT after the fault: %+v", r)
			}
			if r := <-in; r.status != 0 {
				t.Fatalf("IN after the fault: %+v", r)
			}
		})
	}
}

func TestNakUntilHealed(t *testing.T) {
	g := gadget(t, usbip.Config{Faults: usbip.Faults{NakIn: true, NakOut: true}}, virtualphone.Config{})
	h := configured(t, g)
	_, in := h.bulkIn(5, 512)
	seq, unlinked := h.bulkOut(4, 0, version)
	_, out := h.bulkOut(4, 0, version)
	h.unlink(seq)
	if r := <-unlinked; !r.unlinked {
		t.Fatalf("%+v", r)
	}
	select {
	case r := <-out:
		t.Fatalf("OUT went through: %+v", r)
	case r := <-in:
		t.Fatalf("IN went through: %+v", r)
	default:
	}
	g.SetFaults(usbip.Faults{})
	if r := <-out; r.status != 0 {
		t.Fatalf("%+v", r)
	}
	if r := <-in; r.status != 0 || !bytes.Equal(r.data, version) {
		t.Fatalf("%+v", r)
	}
}

func TestZeroPacket(t *testing.T) {
	for _, speed := range []usbip.Speed{usbip.High, usbip.Super} {
		t.Run(speed.String(), func(t *testing.T) {
			g := gadget(t, usbip.Config{Speed: speed}, virtualphone.Config{})
			h := configured(t, g)
			b := make([]byte, speed.PacketSize())
			copy(b, version)
			b[7] = byte(len(b) & 0xff)
			b[6] = byte(len(b) >> 8)
			_, out := h.bulkOut(4, 0x40, b)
			<-out
			if n := g.Phone().Stats().OutPackets; n != 1 {
				t.Fatalf("want the message complete after its zero-length packet, got %d", n)
			}
		})
	}
}

// ends waits for an error that must come.
func ends(t *testing.T, ch <-chan error) error {
	t.Helper()
	select {
	case err := <-ch:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
		return nil
	}
}

func TestServeEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		how  func(g *usbip.Gadget, h *host, cancel func())
		want error
	}{
		{"host closes", func(_ *usbip.Gadget, h *host, _ func()) { h.close() }, nil},
		{"phone unplugged", func(g *usbip.Gadget, h *host, _ func()) {
			h.control(0, 9, 4, 0, 0)
			h.bulkIn(5, 512)
			g.Phone().Unplug()
		}, virtualphone.ErrUnplugged},
		{"context", func(_ *usbip.Gadget, _ *host, cancel func()) { cancel() }, context.Canceled},
		{"mode switch", func(_ *usbip.Gadget, h *host, _ func()) { h.control(0xc0, 0x52, 0, 3, 1) }, usbip.ErrModeSwitch},
		{"garbage", func(_ *usbip.Gadget, h *host, _ func()) { h.conn.Write(bytes.Repeat([]byte{0xff}, 48)) }, usbip.ErrProtocol},
		{"cut frame", func(_ *usbip.Gadget, h *host, _ func()) {
			h.mu.Lock()
			b := make([]byte, 48)
			b[3], b[7], b[19], b[26] = 1, 1, 4, 2 // 512 bytes to follow
			h.conn.Write(b)
			h.mu.Unlock()
			h.close()
		}, usbip.ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := gadget(t, usbip.Config{}, virtualphone.Config{})
			cable, err := g.Phone().Plug()
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := socketPair(t)
			h := newHost(ours)
			defer h.close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			served := make(chan error, 1)
			go func() { served <- g.Serve(ctx, theirs, cable) }()
			h.control(0x80, 6, 0x100, 0, 18)
			tt.how(g, h, cancel)
			if err := ends(t, served); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Fatalf("want %v, got %v", tt.want, err)
			}
		})
	}
}
