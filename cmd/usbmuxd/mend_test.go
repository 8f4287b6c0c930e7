//go:build virtualphone

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

// ward is a farm of phones in a bubble, of which one gets into trouble.
type ward struct {
	*muxd
	bus     *virtualBus
	patient *virtualphone.Phone
	key     string // of the patient
}

// wards plays a story with 32 phones. From its start to its end a client of each but
// the patient takes a stream, which must go on without a break, byte by byte, at a pace
// that makes it last. Only the patient may be reset.
func wards(t *testing.T, story func(ctx context.Context, w *ward)) {
	const count, ill = 32, 6
	udid := func(i int) string { return fmt.Sprintf("00008110-%016X", i+1) }
	records, err := pairrecord.Open(t.TempDir(), pairrecord.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	synctest.Test(t, func(t *testing.T) {
		s := set()
		s.setPolicy("", string(trust.Never)) // trust costs keys, and is not what this is about
		s.setPolicy(udid(ill), string(trust.Auto))
		d := newDaemon(new(options), s, zap.NewNop())
		d.records = records
		bus := &virtualBus{log: d.log, changed: make(chan struct{}, 1)}
		d.open, d.reset, d.maySwitch = bus.open, bus.reset, nil
		for i := range count {
			phone, err := virtualphone.New(virtualphone.Config{UDID: udid(i)})
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
		time.Sleep(5 * time.Second)
		if err := bus.phones[ill].TapTrust(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w := &ward{muxd: d, bus: bus, patient: bus.phones[ill], key: fmt.Sprint("1-", ill+1)}

		over := make(chan struct{})
		var streams sync.WaitGroup
		for i, p := range bus.phones {
			if p == w.patient {
				continue
			}
			c, err := d.view(fmt.Sprint("1-", i+1)).session.Dial(ctx, virtualphone.SourcePort)
			if err != nil {
				t.Fatal(err)
			}
			streams.Go(func() {
				defer c.Close()
				if n, err := take(c, uint64(i), over); err != nil {
					t.Errorf("phone %d: after %d bytes: %v", i+1, n, err)
				}
			})
		}
		story(ctx, w)
		close(over)
		streams.Wait()
		for _, dev := range d.hub.Devices() {
			if dev.PortPath == w.key {
				continue
			}
			if dev.Recoveries != 0 || dev.ResetsByPhone != 0 || dev.ResetsByHost != 0 || dev.Trust != string(trust.Disabled) {
				t.Errorf("phone at %s: %+v", dev.PortPath, dev)
			}
		}
		stop()
		d.wg.Wait()
		d.keys.Wait()
		for _, p := range bus.phones {
			p.Close()
			if n := p.Stats().Resets; n != 0 && p != w.patient {
				t.Errorf("%s was reset %d times", p.UDID(), n)
			}
			if v := p.Violations(); v.Total() != 0 {
				t.Errorf("%s counted violations: %v %v", p.UDID(), v, p.ViolationNotes())
			}
		}
	})
}

// take reads and verifies a stream, piece by piece, until it is over.
func take(c net.Conn, seed uint64, over <-chan struct{}) (n uint64, err error) {
	const piece, pace = 3000, 3 * time.Second
	var ask [16]byte
	binary.BigEndian.PutUint64(ask[:], 1<<40)
	binary.BigEndian.PutUint64(ask[8:], seed)
	if _, err := c.Write(ask[:]); err != nil {
		return 0, err
	}
	buf := make([]byte, piece)
	for {
		if _, err := io.ReadFull(c, buf); err != nil {
			return n, err
		}
		if err := service.Verify(seed, n, buf); err != nil {
			return n, err
		}
		n += piece
		select {
		case <-over:
			return n, nil
		case <-time.After(pace):
		}
	}
}

// device is the patient, as operators see it.
func (w *ward) device() control.Device {
	synctest.Wait()
	_, d, _ := w.hub.Find(w.key)
	return d
}

// TestMendsOne asserts that an operator's reset, and reopening, of one phone ends its
// connections and no other's, and that it is back, trusted, under another id.
func TestMendsOne(t *testing.T) {
	wards(t, func(ctx context.Context, w *ward) {
		o := operate(w.muxd)
		for i, act := range []func(context.Context, string) error{o.Reset, o.Reopen} {
			before := w.device()
			c, err := w.view(w.key).session.Dial(ctx, virtualphone.EchoPort)
			if err != nil {
				t.Fatal(err)
			}
			if err := act(ctx, w.key); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("the connection goes on")
			}
			time.Sleep(10 * time.Second)
			now := w.device()
			if now.Trust != string(trust.Trusted) || now.DeviceID == nil || *now.DeviceID == *before.DeviceID || now.Recoveries != uint64(i+1) {
				t.Errorf("after order %d: %+v", i, now)
			}
		}
		if n := w.patient.Stats().Resets; n != 1 {
			t.Errorf("it was reset %d times, want once", n)
		}
	})
}

// TestStuckPhoneRecovers asserts for each way to be stuck that a phone which only a
// reset helps comes back by itself, and that the others do not notice.
func TestStuckPhoneRecovers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults virtualphone.Faults
		first  trouble // of the recoveries
	}{
		{"no answer to VERSION", virtualphone.Faults{SilentVersion: true, UntilReset: true}, noVersion},
		{"takes nothing", virtualphone.Faults{StallOut: true, UntilReset: true}, takesNothing},
		{"lockdownd is silent", virtualphone.Faults{SilentSYN: true, UntilReset: true}, silentPhone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wards(t, func(ctx context.Context, w *ward) {
				w.patient.SetFaults(tt.faults)
				if tt.first == noVersion { // which shows in the next session only
					if err := operate(w.muxd).Reopen(ctx, w.key); err != nil {
						t.Fatal(err)
					}
				} else {
					w.flowAt(w.key).Hear(trust.Told) // somebody wants something of it
				}
				began := time.Now()
				seen := map[string]bool{}
				for w.patient.Stats().Resets == 0 && time.Since(began) < time.Hour {
					time.Sleep(time.Second)
					if r := w.device().LastRecovery; r != nil {
						seen[r.Action+" "+r.Cause] = true
					}
				}
				time.Sleep(time.Minute)
				got := w.device()
				if got.Trust != string(trust.Trusted) || w.patient.Stats().Resets != 1 {
					t.Errorf("it is %s (%s), reset %d times", got.Trust, got.Cause, w.patient.Stats().Resets)
				}
				if !seen[control.ActionReopen+" "+string(tt.first)] || got.LastRecovery == nil || got.LastRecovery.Action != control.ActionReset {
					t.Errorf("seen %v, last %+v", seen, got.LastRecovery)
				}
				t.Logf("back after %v; %v", time.Since(began)-time.Minute, seen)
			})
		})
	}
}

// TestHopelessPhone asserts that a phone which nothing helps is reset twice and no more,
// and that this is said.
func TestHopelessPhone(t *testing.T) {
	wards(t, func(ctx context.Context, w *ward) {
		w.patient.SetFaults(virtualphone.Faults{SilentVersion: true})
		if err := operate(w.muxd).Reopen(ctx, w.key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute)
		got := w.device()
		if n := w.patient.Stats().Resets; n != 2 || got.LastRecovery == nil || got.LastRecovery.Action != control.ActionLeave || got.Trust != string(trust.NoMux) {
			t.Errorf("%d resets, %s, last %+v", n, got.Trust, got.LastRecovery)
		}
		w.patient.SetFaults(virtualphone.Faults{})
		time.Sleep(time.Minute)
		if got := w.device(); got.Trust != string(trust.Trusted) {
			t.Errorf("it came to itself and is %s", got.Trust)
		}
	})
}

// TestWorkingClientGoesOn asserts that a phone whose lockdownd alone is silent keeps
// the connections that its clients have.
func TestWorkingClientGoesOn(t *testing.T) {
	wards(t, func(ctx context.Context, w *ward) {
		id := *w.device().DeviceID
		c, err := w.view(w.key).session.Dial(ctx, virtualphone.SourcePort)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		w.patient.SetFaults(virtualphone.Faults{SilentSYN: true})
		w.flowAt(w.key).Hear(trust.Told)
		over := make(chan struct{})
		time.AfterFunc(15*time.Minute, func() { close(over) })
		if n, err := take(c, 99, over); err != nil || n == 0 {
			t.Errorf("after %d bytes: %v", n, err)
		}
		if got := w.device(); got.Trust != string(trust.NotAnswering) || got.Recoveries != 0 || *got.DeviceID != id {
			t.Errorf("%s, %d recoveries", got.Trust, got.Recoveries)
		}
	})
}
