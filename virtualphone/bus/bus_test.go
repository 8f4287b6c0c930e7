package bus

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"gomuxd/virtualphone"
)

// serve runs a bus with one phone until the test ends.
func serve(t *testing.T) (*virtualphone.Phone, string) {
	t.Helper()
	p, err := virtualphone.New(virtualphone.Config{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	b := New([]*virtualphone.Phone{p})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		p.Close()
		if v := p.Violations(); v.Total() != 0 {
			t.Errorf("violations: %v", v)
		}
	})
	return p, path
}

// watch gives the bus's events; it ends with the test.
func watch(t *testing.T, path string) (next func() Event) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	events, ended := make(chan Event, 16), make(chan error, 1)
	go func() {
		ended <- Watch(ctx, path, func(ev Event) error { events <- ev; return nil })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func() Event {
		t.Helper()
		select {
		case ev := <-events:
			return ev
		case <-time.After(time.Minute):
			t.Fatal("no event within a minute")
		}
		panic("unreachable")
	}
}

// greet sends VERSION and wants the phone's answer.
func greet(t *testing.T, pipe io.ReadWriter) {
	t.Helper()
	version, _ := hex.DecodeString("0000000000000014" + "000000020000000000000000")
	if n, err := pipe.Write(version); n != len(version) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	got := make([]byte, len(version))
	if _, err := io.ReadFull(pipe, got); err != nil || got[11] != 2 {
		t.Fatalf("want version 2, got % x, %v", got, err)
	}
}

func TestPlugs(t *testing.T) {
	p, path := serve(t)
	early := watch(t, path)
	if ev := early(); ev != (Event{Scanned: true}) {
		t.Fatalf("want an empty bus, got %+v", ev)
	}
	if _, err := p.Plug(); err != nil {
		t.Fatal(err)
	}
	first := early()
	if want := (Event{Plugged: true, Port: 1, Plug: 1, Serial: p.Serial(), UDID: p.UDID()}); first != want {
		t.Fatalf("want %+v, got %+v", want, first)
	}
	late := watch(t, path)
	if ev := late(); ev != first {
		t.Fatalf("want %+v, got %+v", first, ev)
	}
	if ev := late(); !ev.Scanned {
		t.Fatalf("want the end of the scan, got %+v", ev)
	}

	pipe, err := Claim(t.Context(), path, first)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	greet(t, pipe)
	p.Unplug()
	if _, err := pipe.Read(make([]byte, 1)); !errors.Is(err, virtualphone.ErrUnplugged) {
		t.Fatalf("want ErrUnplugged, got %v", err)
	}
	if _, err := p.Plug(); err != nil {
		t.Fatal(err)
	}
	for _, next := range []func() Event{early, late} {
		if ev := next(); ev.Plugged || ev.Plug != 1 {
			t.Fatalf("want the unplug, got %+v", ev)
		}
		if ev := next(); !ev.Plugged || ev.Plug != 2 {
			t.Fatalf("want the second plug, got %+v", ev)
		}
	}
	stale, err := Claim(t.Context(), path, first)
	if err != nil {
		t.Fatal(err)
	}
	defer stale.Close()
	if _, err := stale.Read(make([]byte, 1)); !errors.Is(err, virtualphone.ErrUnplugged) {
		t.Fatalf("claim of a past plug: want ErrUnplugged, got %v", err)
	}
}

// TestClaims asserts that one host's end leaves the phone plugged in for the next,
// and that a second claim ends the first.
func TestClaims(t *testing.T) {
	p, path := serve(t)
	if _, err := p.Plug(); err != nil {
		t.Fatal(err)
	}
	ev := watch(t, path)()
	for range 3 {
		pipe, err := Claim(t.Context(), path, ev)
		if err != nil {
			t.Fatal(err)
		}
		greet(t, pipe)
		pipe.Close()
		if _, err := pipe.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("want ErrClosed, got %v", err)
		}
	}
	first, err := Claim(t.Context(), path, ev)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	greet(t, first)
	second, err := Claim(t.Context(), path, ev)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	greet(t, second)
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Fatal("the first claim goes on")
	}
}

// TestReset resets a phone from another process: its claim ends, its faults that last
// until then do, and what is not plugged in any more cannot be reset.
func TestReset(t *testing.T) {
	p, path := serve(t)
	next := watch(t, path)
	if _, err := p.Plug(); err != nil {
		t.Fatal(err)
	}
	plug := next()
	for !plug.Plugged {
		plug = next()
	}
	ctx := context.Background()
	pipe, err := Claim(ctx, path, plug)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	version, _ := hex.DecodeString("0000000000000014000000020000000000000000")
	if _, err := pipe.Write(version); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(pipe, make([]byte, len(version))); err != nil {
		t.Fatal(err) // it is claimed
	}
	p.SetFaults(virtualphone.Faults{StallOut: true, UntilReset: true})
	if err := Reset(ctx, path, plug); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Read(make([]byte, 1)); err == nil {
		t.Error("the claim goes on")
	}
	if p.Faults() != (virtualphone.Faults{}) || p.Stats().Resets != 1 {
		t.Errorf("faults %+v, %d resets", p.Faults(), p.Stats().Resets)
	}
	p.Unplug()
	if err := Reset(ctx, path, plug); !errors.Is(err, virtualphone.ErrUnplugged) {
		t.Errorf("after the unplug: %v", err)
	}
}
