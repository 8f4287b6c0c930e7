package flow_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

// course is a dialogue with a phone in which something is to go wrong.
type course struct {
	name  string
	phone virtualphone.Config
	cfg   flow.Config
	lead  func(*rig) // up to it; may be nil
	run   func(*rig) // the dialogue, to its right end whatever happens
	disk  string     // then, but for what was put away
	most  uint64     // dialogs, at most
}

// through sees a phone through to trust, and its next check.
func through(r *rig) {
	r.settle()
	time.Sleep(6 * time.Minute)
	r.settle()
}

var courses = []course{
	{name: "first connection", phone: coded, run: through, disk: "record used", most: 2},
	{name: "trusted before", phone: coded, lead: (*rig).accept, run: through, disk: "record used", most: 2},
	{name: "forgotten", phone: coded, run: through, disk: "record used", most: 3, lead: func(r *rig) {
		r.accept()
		r.phone.ResetLocationAndPrivacy()
	}},
	{name: "iOS 6", phone: virtualphone.Config{ProductVersion: "6.1.6"}, run: through, disk: "record used"},
	{name: "supervised", phone: managed, cfg: flow.Config{Supervisor: ours().inPEM()}, lead: supervised, run: through, disk: "record used"},
	{name: "unpaired", phone: coded, disk: "used", most: 1,
		lead: func(r *rig) {
			r.accept()
			r.pull()
			r.must(r.records.Untrust(udid))
		},
		run: func(r *rig) {
			for range 10 {
				time.Sleep(time.Minute)
				r.follow()
			}
			r.expect(0, trust.NotAsked)
			if n := len(r.phone.State().Hosts); n != 0 {
				r.t.Errorf("the phone still trusts %d hosts", n)
			}
		}},
}

// fault goes wrong with one request: as it comes, and once it is done.
type fault struct {
	name string
	hit  func(r *rig, request string, done bool)

	bagless bool // it may take the escrow bag out of an answer
}

// before is a fault of a request that comes, after one of a request that is done.
func before(name string, hit func(r *rig, request string)) fault {
	return fault{name: name, hit: func(r *rig, request string, done bool) {
		if !done {
			hit(r, request)
		}
	}}
}

func after(name string, hit func(r *rig, request string)) fault {
	return fault{name: name, hit: func(r *rig, request string, done bool) {
		if done {
			hit(r, request)
		}
	}}
}

var (
	// faults can happen to any phone.
	faults = []fault{
		before("unplugged before it is heard", func(r *rig, _ string) { r.phone.Unplug() }),
		after("unplugged before the answer", func(r *rig, _ string) { r.phone.Unplug() }),
		before("not answered", func(r *rig, request string) { r.phone.SilenceNext(request) }),
		garbage(virtualphone.GarbageHangUp),
	}
	// garbled are answers that no phone should give.
	garbled = func() (all []fault) {
		for _, kind := range virtualphone.GarbageKinds() {
			if kind != virtualphone.GarbageHangUp {
				all = append(all, garbage(kind))
			}
		}
		return all
	}()
)

func garbage(kind virtualphone.Garbage) fault {
	f := before("answered by "+string(kind), func(r *rig, request string) { r.phone.GarbageNext(request, kind) })
	f.bagless = kind == virtualphone.GarbageMissingKeys
	return f
}

// play plays the course with a fault at its nth request, and returns how many came.
func (c course) play(t *testing.T, n int64, f fault) (requests int64) {
	t.Helper()
	play(t, c.phone, c.cfg, func(r *rig) {
		if c.lead != nil {
			r.plug()
			c.lead(r)
			r.pull()
		}
		var count, hit atomic.Int64
		r.phone.OnRequest(func(request string, done bool) {
			if !done {
				count.Add(1)
			}
			if count.Load() == n && hit.Add(1) <= 2 {
				f.hit(r, request, done)
			}
		})
		r.plug()
		c.run(r)
		requests = count.Load()
		if n > 0 && hit.Load() == 0 {
			t.Errorf("request %d never came", n)
		}
		got, _, _ := strings.Cut(r.disk(), " -")
		if f.bagless {
			got = strings.Replace(got, "bagless", "record", 1)
		}
		if got != c.disk {
			t.Errorf("on disk: want %q, got %q", c.disk, got)
		}
		if d := r.phone.Stats().Dialogs; d > c.most {
			t.Errorf("want %d dialogs at most, the phone counted %d; saw %s", c.most, d, strings.Join(r.seen, " "))
		}
	})
	return requests
}

// TestEachRequest has the cable pulled, the phone fall silent, or talk nonsense, at
// each lockdown request in turn. The phone, which is plugged in again, comes to the
// right end nevertheless; no file is left half-written and nothing left running.
func TestEachRequest(t *testing.T) {
	for i, c := range courses {
		all := faults
		if i == 0 {
			all = slices.Concat(faults, garbled)
		} else if testing.Short() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			last := c.play(t, 0, fault{})
			for n := int64(1); n <= last; n++ {
				for _, f := range all {
					t.Run(fmt.Sprintf("request %d, %s", n, f.name), func(t *testing.T) { c.play(t, n, f) })
				}
			}
		})
	}
}

// TestEachPacket has the cable pulled after each packet in turn that the first
// connection takes.
func TestEachPacket(t *testing.T) {
	var packets uint64
	for n := 0; n == 0 || uint64(n) <= packets; n++ {
		play(t, coded, flow.Config{}, func(r *rig) {
			r.plug()
			if n > 0 {
				r.phone.UnplugAfter(n)
			}
			r.settle()
			if n == 0 {
				packets = r.phone.Stats().OutPackets
			}
			if got := r.disk(); got != "record used" && got != "record used -invalidhostid" {
				t.Errorf("unplugged after packet %d: %q on disk", n, got)
			}
			if d := r.phone.Stats().Dialogs; d > 2 {
				t.Errorf("unplugged after packet %d: %d dialogs", n, d)
			}
		})
	}
}
