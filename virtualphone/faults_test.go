package virtualphone

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStalePackets(t *testing.T) {
	p := newPhone(t, Config{})
	written := make(chan struct{})
	p.HandlePort(6, func(ctx context.Context, c net.Conn) {
		c.Write([]byte("unread"))
		close(written)
		<-ctx.Done()
	})
	c := plug(t, p)
	w := attach(t, c)
	w.connect(1, 6)
	<-written
	// A new host: what the old session left comes first, then the reply.
	p.SetFaults(Faults{StalePackets: 1})
	out(t, c, unhex(t, "00000000 00000014 00000002 00000000 00000000"))
	if r := w.recv(); r.payload != "unread" {
		t.Errorf("first packet = %+v, want the old conn's data", r)
	}
	if r := w.recv(); r.payload != "left over" {
		t.Errorf("second packet = %+v, want the made-up one", r)
	}
	if got, want := in(t, c), unhex(t, "00000000 00000014 00000002 00000000 00000000"); !bytes.Equal(got, want) {
		t.Errorf("third packet = %x, want %x", got, want)
	}
	if n := p.Stats().OpenConns; n != 0 {
		t.Errorf("%d conns outlived the session", n)
	}
}

func TestTransfers(t *testing.T) {
	packet := func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, n) }
	for _, tt := range []struct {
		name   string
		faults Faults
		size   int   // of the transfers
		send   []int // packets
		want   []int // lengths of the transfers
	}{
		{"short packet", Faults{}, 16384, []int{100}, []int{100}},
		{"whole packets end early", Faults{}, 16384, []int{1024}, []int{1024}},
		{"ZLP of a full transfer", Faults{}, 1024, []int{1024, 7}, []int{1024, 0, 7}},
		{"split", Faults{}, 16384, []int{32764}, []int{16384, 16380}},
		{"one each", Faults{}, 16384, []int{10, 20}, []int{10, 20}},
		{"fragments", Faults{FragmentIn: 512}, 16384, []int{1100, 3}, []int{512, 512, 76, 3}},
		{"fragments with ZLP", Faults{FragmentIn: 512}, 16384, []int{512, 3}, []int{512, 0, 3}},
		{"coalesced", Faults{CoalesceIn: true}, 64, []int{10, 20, 50}, []int{64, 16}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPhone(t, Config{Faults: tt.faults})
			c := plug(t, p)
			var sent, got []byte
			for _, n := range tt.send {
				must(t, p.Inject(packet(n)))
				sent = append(sent, packet(n)...)
			}
			for i, want := range tt.want {
				b := make([]byte, tt.size)
				n, err := c.BulkIn(b)
				if n != want || err != nil {
					t.Fatalf("transfer %d = %d, %v, want %d", i, n, err, want)
				}
				got = append(got, b[:n]...)
			}
			if !bytes.Equal(got, sent) {
				t.Error("bytes differ")
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if n, err := c.BulkInContext(ctx, make([]byte, 64)); !errors.Is(err, context.Canceled) {
				t.Errorf("one more transfer: %d, %v", n, err)
			}
		})
	}
}

func TestSilence(t *testing.T) {
	p := newPhone(t, Config{Faults: Faults{SilentVersion: true}})
	c := plug(t, p)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	nothing := func() {
		t.Helper()
		if n, err := c.BulkInContext(ended, make([]byte, 1024)); err == nil {
			t.Errorf("phone sent %d bytes, want silence", n)
		}
	}
	out(t, c, unhex(t, "00000000 00000014 00000002 00000000 00000000"))
	nothing()
	p.SetFaults(Faults{SilentSYN: true})
	w := attach(t, c)
	w.seg(1, EchoPort, 0, 0, 2, 512, "")
	nothing()
	p.SetFaults(Faults{SYNFlags: 0x10})
	w.seg(2, EchoPort, 0, 0, 2, 512, "")
	if r := w.recv(); r.flags != 0x10 {
		t.Errorf("answer = %+v, want flags 0x10", r)
	}
	w.seg(2, EchoPort, 0, 0, 4, 512, "")
	p.SetFaults(Faults{StallIn: true})
	must(t, p.SendControl(7, "hello"))
	nothing()
	p.SetFaults(Faults{})
	if got, want := in(t, c), unhex(t, "00000001 00000016 feedface 0001 0003 07 68656c6c6f"); !bytes.Equal(got, want) {
		t.Errorf("CONTROL = %x, want %x", got, want)
	}
	clean(t, p)
}

func TestWindows(t *testing.T) {
	p := newPhone(t, Config{})
	p.HandlePort(5, func(ctx context.Context, c net.Conn) {
		c.Write(bytes.Repeat([]byte("x"), 2000))
		<-ctx.Done()
	})
	c := plug(t, p)
	w := attach(t, c)
	w.seg(1, 5, 0, 0, 2, 512, "")
	w.recv()
	w.seg(1, 5, 1, 1, 0x10, 2, "") // 512 bytes
	if r := w.recv(); len(r.payload) != 512 {
		t.Fatalf("%d bytes for a window of 512", len(r.payload))
	}
	w.seg(1, 5, 1, 257, 0x10, 2, "")
	if r := w.recv(); len(r.payload) != 256 || r.seq != 513 {
		t.Fatalf("%d bytes at %d, want 256 at 513", len(r.payload), r.seq)
	}
	p.SetFaults(Faults{Flood: true, DataFlags: 0x08})
	got := 0
	for got < 2000-768 {
		r := w.recv()
		if got += len(r.payload); len(r.payload) > 0 && r.flags != 0x18 {
			t.Errorf("flags = %#x, want PSH+ACK", r.flags)
		}
	}
	p.SetFaults(Faults{ClosedWindow: true})
	if r := w.recv(); r.window != 0 {
		t.Errorf("window = %d, want 0", r.window)
	}
	p.SetFaults(Faults{})
	if r := w.recv(); r.window != 512 {
		t.Errorf("window = %d, want 512", r.window)
	}
	clean(t, p)
}

// TestCloseSendsAll: what a service wrote before it closed arrives before the reset.
func TestCloseSendsAll(t *testing.T) {
	p := newPhone(t, Config{Faults: Faults{ResetText: "done"}})
	data := strings.Repeat("0123456789", 50_000)
	p.HandlePort(5, func(_ context.Context, c net.Conn) { io.WriteString(c, data) })
	h := dialPhone(t, plug(t, p))
	c := h.mustDial(5)
	got, err := io.ReadAll(c)
	if err != nil || string(got) != data {
		t.Fatalf("got %d bytes, %v, want %d", len(got), err, len(data))
	}
	if c.resetText != "done" {
		t.Errorf("reset text = %q", c.resetText)
	}
	clean(t, p)
}

func TestUnplug(t *testing.T) {
	p := newPhone(t, Config{})
	var seen []*Cable
	p.Notify(func(c *Cable) { seen = append(seen, c) })
	ended := make(chan error, 1)
	p.HandlePort(5, func(_ context.Context, c net.Conn) {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	})
	c := plug(t, p)
	if _, err := p.Plug(); !errors.Is(err, ErrPlugged) {
		t.Errorf("second plug: %v", err)
	}
	h := dialPhone(t, c)
	k := h.mustDial(5)
	p.Unplug()
	p.Unplug()
	if _, err := k.Read(make([]byte, 1)); !errors.Is(err, ErrUnplugged) || errors.Is(err, net.ErrClosed) {
		t.Errorf("host read: %v", err)
	}
	if err := <-ended; !errors.Is(err, ErrUnplugged) {
		t.Errorf("service read: %v", err)
	}
	if err := c.BulkOut(nil); !errors.Is(err, ErrUnplugged) {
		t.Errorf("BulkOut: %v", err)
	}
	again := plug(t, p)
	c.Unplug() // an old cable pulls nothing
	if p.Cable() != again {
		t.Error("the old cable unplugged the new one")
	}
	pipe := again.Pipe()
	pipe.Close()
	if _, err := pipe.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read of a closed pipe: %v", err)
	}
	if _, err := pipe.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write to a closed pipe: %v", err)
	}
	p.Close()
	if _, err := p.Plug(); !errors.Is(err, ErrClosed) {
		t.Errorf("plug after Close: %v", err)
	}
	if len(seen) != 4 || seen[0] != c || seen[1] != nil || seen[2] != again || seen[3] != nil {
		t.Errorf("notified of %v", seen)
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{})
		must(t, err)
		defer p.Close()
		done := make(chan struct{})
		p.HandlePort(5, func(_ context.Context, c net.Conn) {
			defer close(done)
			start := time.Now()
			c.SetReadDeadline(start.Add(3 * time.Second))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
				t.Errorf("read ended with %v after %v", err, time.Since(start))
			}
			c.SetWriteDeadline(time.Now().Add(2 * time.Second))
			n, err := c.Write(make([]byte, 4*ringSize))
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 5*time.Second {
				t.Errorf("write of %d bytes ended with %v after %v", n, err, time.Since(start))
			}
			c.SetDeadline(time.Time{})
			if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("read after the deadline was lifted: %d, %v", n, err)
			}
		})
		w := attach(t, plug(t, p))
		w.connect(1, 5)
		time.Sleep(10 * time.Second)
		w.seg(1, 5, 1, 1, 0x10, 512, "x")
		<-done
	})
}

// TestUnplugAfter asserts that the cable goes with the packet that was named, and
// that the next one is whole.
func TestUnplugAfter(t *testing.T) {
	p := newPhone(t, Config{})
	gone := func() {
		t.Helper()
		if _, err := p.Wait(t.Context(), waitFor["unplugged"]); err != nil {
			t.Fatal(err)
		}
	}
	h := dialPhone(t, plug(t, p))
	p.UnplugAfter(1)
	_, _ = h.dial(LockdownPort) // its SYN is the one
	gone()
	p.UnplugAfter(3) // VERSION, SETUP, SYN
	h = dialPhone(t, plug(t, p))
	_, _ = h.dial(LockdownPort)
	gone()
	h = dialPhone(t, plug(t, p))
	for range 3 {
		if _, err := h.dial(LockdownPort); err != nil {
			t.Fatal(err)
		}
	}
	if p.plugged() == nil {
		t.Error("the third cable was pulled, too")
	}
}
