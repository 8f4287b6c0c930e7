package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gomuxd/control"
	"gomuxd/hotplug"
	"gomuxd/lockdown/trust"
	"gomuxd/mux/muxtest"
	"gomuxd/pairrecord"
	"gomuxd/socket"
	"gomuxd/usb"
)

// script is an opener whose attempts end as listed: with an error, with a phone
// that is silent (nil), or, after the last one, with one that works.
type script struct {
	attempts []error
	times    []time.Duration // of the attempts, since the start
	start    time.Time
	phone    *muxtest.Phone // of the last attempt
	resets   []time.Duration
	refused  error // of a reset
	logs     *observer.ObservedLogs
}

func (s *script) reset(context.Context, hotplug.Device) error {
	s.resets = append(s.resets, time.Since(s.start))
	return s.refused
}

func (s *script) open(context.Context, hotplug.Device) (unit, error) {
	n := len(s.times)
	s.times = append(s.times, time.Since(s.start))
	if n < len(s.attempts) && s.attempts[n] != nil {
		return unit{}, s.attempts[n]
	}
	pipe, phone := muxtest.Pipe()
	s.phone = phone
	go func() {
		for {
			p, ok := phone.Recv()
			if !ok {
				return
			}
			if len(p) == 20 && n >= len(s.attempts) { // VERSION: say the same
				phone.Send(p)
			}
		}
	}()
	return unit{pipe: pipe, info: socket.Info{UDID: "00008110-000A111122220000", ProductID: 0x12a8}}, nil
}

// rig is a daemon without sockets in a bubble, with one phone by script.
func rig(t *testing.T, attempts []error, f func(ctx context.Context, d *muxd, s *script)) {
	t.Helper()
	records, err := pairrecord.Open(t.TempDir(), pairrecord.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempts: attempts, start: time.Now()}
		core, logs := observer.New(zap.DebugLevel)
		s.logs = logs
		d := newDaemon(new(options), set("-p"), zap.New(core))
		d.open, d.reset, d.records = s.open, s.reset, records
		ctx, stop := context.WithCancel(context.Background())
		defer func() {
			stop()
			d.wg.Wait()
		}()
		d.handle(ctx, plugged(hotplug.Add))
		f(ctx, d, s)
	})
}

func plugged(a hotplug.Action) hotplug.Event {
	return hotplug.Event{Action: a, Device: hotplug.Device{Path: "/devices/1-1", Port: "1-1", Kind: hotplug.Mux}}
}

func ids(d *muxd) (ids []uint32) {
	for _, e := range d.registry.Devices() {
		ids = append(ids, e.ID)
	}
	return ids
}

// TestRetries asserts that a phone which fails to open, or answers nothing, is
// tried again, later and later, and shown when it works at last.
func TestRetries(t *testing.T) {
	failed := errors.New("no permission")
	rig(t, []error{failed, nil, failed}, func(ctx context.Context, d *muxd, s *script) {
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := ids(d); len(got) != 1 || got[0] != 1 {
			t.Fatalf("want device 1, got %v", got)
		}
		// 1 s after a failure, 2 s after 5 s of silence, 4 s after the next.
		want := []time.Duration{0, time.Second, 8 * time.Second, 12 * time.Second}
		if len(s.times) != len(want) {
			t.Fatalf("want attempts at %v, got %v", want, s.times)
		}
		for i := range want {
			if s.times[i] != want[i] {
				t.Fatalf("want attempts at %v, got %v", want, s.times)
			}
		}
	})
}

// TestRetriesEnd asserts that an unplug ends the attempts.
func TestRetriesEnd(t *testing.T) {
	failed := errors.New("no permission")
	rig(t, []error{failed, failed, failed, failed}, func(ctx context.Context, d *muxd, s *script) {
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		d.handle(ctx, plugged(hotplug.Remove))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(s.times) != 2 || len(ids(d)) != 0 {
			t.Fatalf("want two attempts and no device, got %v and %v", s.times, ids(d))
		}
	})
}

// TestSessionLost asserts that a phone whose transfers break while it is plugged
// in comes back by itself, as a new device.
func TestSessionLost(t *testing.T) {
	rig(t, nil, func(ctx context.Context, d *muxd, s *script) {
		synctest.Wait()
		if got := ids(d); len(got) != 1 || got[0] != 1 {
			t.Fatalf("want device 1, got %v", got)
		}
		s.phone.Unplug() // only the transfers: no event says so
		synctest.Wait()
		if got := ids(d); len(got) != 0 {
			t.Fatalf("want no device, got %v", got)
		}
		time.Sleep(unplugging)
		synctest.Wait()
		if got := d.hub.Devices(); len(got) != 1 || got[0].Trust != string(trust.NoMux) {
			t.Fatalf("want a device without a multiplexer, got %+v", got)
		}
		time.Sleep(firstRetry - unplugging)
		synctest.Wait()
		if got := ids(d); len(got) != 1 || got[0] != 2 {
			t.Fatalf("want device 2, got %v", got)
		}
	})
}

// TestUnplugged asserts that an unplug which the transfers tell of first is shown as
// nothing else: no failure comes before it.
func TestUnplugged(t *testing.T) {
	rig(t, nil, func(ctx context.Context, d *muxd, s *script) {
		synctest.Wait()
		_, events := d.hub.Subscribe()
		defer events.Close()
		s.phone.Unplug()
		time.Sleep(unplugging / 2)
		d.handle(ctx, plugged(hotplug.Remove))
		ev := <-events.Events()
		if ev.Type != control.DeviceRemoved || ev.Device.Trust != string(trust.Disabled) {
			t.Fatalf("want the removal of a phone as it was, got %+v", ev)
		}
	})
}

// TestReplugBeforeTheEnd asserts that a phone which is back before its earlier
// plug has ended waits for that end, and that the late removal of the earlier
// one does not take it away.
func TestReplugBeforeTheEnd(t *testing.T) {
	rig(t, nil, func(ctx context.Context, d *muxd, s *script) {
		synctest.Wait()
		d.handle(ctx, plugged(hotplug.Remove))
		d.handle(ctx, plugged(hotplug.Add))
		synctest.Wait()
		if got := ids(d); len(got) != 1 || got[0] != 2 {
			t.Fatalf("want device 2, got %v", got)
		}
		if len(s.times) != 2 {
			t.Fatalf("want two plugs, got %v", s.times)
		}
	})
}

// TestNoMux asserts that a phone without a multiplexer is opened once, for the
// USB mode it is to be asked for, and left alone if that brings none.
func TestNoMux(t *testing.T) {
	failed := errors.New("no permission")
	rig(t, nil, func(ctx context.Context, d *muxd, s *script) {
		synctest.Wait()
		s.attempts = []error{nil, failed, fmt.Errorf("bring-up: %w", usb.ErrNoMux)}
		ev := plugged(hotplug.Add)
		ev.Device.Path, ev.Device.Kind = "/devices/1-2", hotplug.NoMux
		d.handle(ctx, ev)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(s.times) != 3 || len(ids(d)) != 1 {
			t.Fatalf("want one more try after the failed one, and no other device, got %v and %v", s.times, ids(d))
		}
	})
}

// TestOtherKinds asserts that phones in recovery and DFU mode are not opened.
func TestOtherKinds(t *testing.T) {
	rig(t, nil, func(ctx context.Context, d *muxd, s *script) {
		synctest.Wait()
		for _, kind := range []hotplug.Kind{hotplug.Recovery, hotplug.DFU} {
			ev := plugged(hotplug.Add)
			ev.Device.Path, ev.Device.Kind = "/devices/1-2", kind
			d.handle(ctx, ev)
		}
		synctest.Wait()
		if len(s.times) != 1 {
			t.Fatalf("want one device opened, got %d", len(s.times))
		}
	})
}

// TestLookUpWhileChanging asserts that a phone can be looked up by its UDID while
// what is shown of it changes: that has the view's lock, and looks it up by its port.
func TestLookUpWhileChanging(t *testing.T) {
	d := newDaemon(new(options), set("-p"), zap.NewNop())
	v := newView(d.hub, plugged(hotplug.Add).Device)
	d.setView("1-1", v)
	const udid = "00008110-000A111122220000"
	var looking sync.WaitGroup
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		v.change(func(dev *control.Device) {
			id := udid
			dev.UDID = &id
			begun := make(chan struct{})
			looking.Go(func() {
				close(begun)
				if d.shown(udid) != v {
					t.Error("the phone is not found")
				}
			})
			<-begun
			for range 10_000 { // until it has got as far as it can
				if !d.mu.TryLock() {
					return
				}
				d.mu.Unlock()
				runtime.Gosched()
			}
		})
		looking.Wait()
	}()
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("the change and the look-up wait for each other")
	}
}
