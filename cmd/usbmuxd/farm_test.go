//go:build virtualphone

package main

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
	"gomuxd/virtualphone"
)

// TestFarm plugs in a hundred phones at once and lets them wait for their owners:
// nothing is asked of them meanwhile, and each Trust becomes a record.
func TestFarm(t *testing.T) {
	const count = 100
	// Goroutines a phone costs while it waits, its virtual half included.
	const perPhone = 8
	records, err := pairrecord.Open(t.TempDir(), pairrecord.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		d := newDaemon(new(options), set(), zap.NewNop())
		d.records = records
		bus := &virtualBus{log: d.log, changed: make(chan struct{}, 1)}
		d.open = bus.open
		for i := range count {
			phone, err := virtualphone.New(virtualphone.Config{UDID: fmt.Sprintf("00008110-%016X", i+1)})
			if err != nil {
				t.Fatal(err)
			}
			bus.add(phone)
		}
		ctx, stop := context.WithCancel(context.Background())
		for _, p := range bus.phones {
			if _, err := p.Plug(); err != nil {
				t.Fatal(err)
			}
		}
		for _, ev := range bus.queue {
			d.handle(ctx, ev)
		}
		all := func(want trust.State) {
			t.Helper()
			synctest.Wait()
			list := d.hub.Devices()
			if len(list) != count {
				t.Fatalf("want %d devices, got %d", count, len(list))
			}
			for _, dev := range list {
				if dev.Trust != string(want) {
					t.Fatalf("phone %s: want %v, got %v (%s)", *dev.UDID, want, dev.Trust, dev.Reason)
				}
			}
		}
		// packets counts what the host has sent to all of them.
		packets := func() (n uint64) {
			for _, p := range bus.phones {
				n += p.Stats().OutPackets
			}
			return n
		}

		time.Sleep(10 * time.Second)
		all(trust.DialogShown)
		start := packets()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		// One question each: Don't Trust is told by no notification.
		if n := packets() - start; n > 8*count {
			t.Errorf("%d packets in half a minute for %d dialogs", n, count)
		}
		time.Sleep(10 * time.Minute)
		all(trust.DialogGone)
		if n := runtime.NumGoroutine() - before; n > perPhone*count {
			t.Errorf("%d goroutines for %d phones", n, count)
		}
		start = packets()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := packets() - start; n != 0 {
			t.Errorf("the waiting phones were sent %d packets in a day", n)
		}

		for _, p := range bus.phones {
			if err := p.TapTrust(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		all(trust.Trusted)
		for _, p := range bus.phones {
			if rec, err := records.Record(p.UDID()); err != nil || len(rec.EscrowBag) == 0 {
				t.Errorf("record of %s: %v", p.UDID(), err)
			}
			if s := p.Stats(); s.Dialogs != 1 || s.Pairings != 1 {
				t.Errorf("%s: %d dialogs, %d pairings", p.UDID(), s.Dialogs, s.Pairings)
			}
		}

		stop()
		d.wg.Wait()
		d.keys.Wait()
		for _, p := range bus.phones {
			p.Close()
			if v := p.Violations(); v.Total() != 0 {
				t.Errorf("%s counted violations: %v", p.UDID(), v)
			}
		}
	})
}
