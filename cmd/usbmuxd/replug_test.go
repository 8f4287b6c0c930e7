//go:build virtualphone

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"gomuxd/socket/client"
	"gomuxd/virtualphone"
)

// perReplug is how many connects come with each replug.
const perReplug = 100

// replugTimes is GOMUXD_REPLUGS, or a few.
func replugTimes(t *testing.T) int {
	t.Helper()
	text := os.Getenv("GOMUXD_REPLUGS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		t.Fatalf("GOMUXD_REPLUGS=%q is no number of times", text)
	}
	return n
}

// TestReplugs pulls phones at random and puts them back, GOMUXD_REPLUGS times, with a
// hundred connects for each. A connect fails only if its phone was pulled meanwhile;
// no phone is in the list twice, or for ever away from it; a listener that has heard
// all of it knows in the end what the list says; and with the last phone the last
// device goes. Goroutines, descriptors and heap are then what they were at first.
func TestReplugs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	times := replugTimes(t)
	s := startSoak(t)
	owners, leave := context.WithCancel(t.Context())
	var owning sync.WaitGroup
	for i, p := range s.phones {
		owning.Go(func() { s.own(owners, p, false, random(i)) })
	}
	s.settle()
	r := &replugs{soak: s, turns: make([]atomic.Uint64, len(s.phones))}
	hearing := r.hear()
	r.play(times/20 + 5) // pools and caches fill
	s.settle()
	base := s.rest(measure{goroutines: 1 << 30, descriptors: 1 << 30, heap: 1 << 60})
	r.replugged, r.connects = atomic.Uint64{}, atomic.Uint64{}

	r.play(times)
	s.settle()
	after := s.rest(base)
	s.within("the listener knows what is listed", func() bool { return maps.Equal(r.heard(), r.listed()) })
	for _, p := range s.phones {
		p.Unplug()
	}
	s.within("nothing is there when all phones are gone", func() bool {
		return len(s.d.registry.Devices()) == 0 && len(s.d.hub.Devices()) == 0 && len(r.heard()) == 0
	})
	hearing()
	leave()
	owning.Wait()
	t.Logf("%d replugs, %d connects, %d more cut off by a replug; goroutines %d, %d at the end; descriptors %d, %d; heap %.1f MiB, %.1f MiB",
		r.replugged.Load(), r.connects.Load(), s.cut.Load(), base.goroutines, after.goroutines, base.descriptors, after.descriptors, mib(base.heap), mib(after.heap))
	if n := s.errors.Load(); n != 0 {
		t.Errorf("the daemon has logged %d errors", n)
	}
}

// replugs are a soak whose phones come and go.
type replugs struct {
	*soak
	turns     []atomic.Uint64 // by phone: odd while it is away
	replugged atomic.Uint64
	connects  atomic.Uint64 // whose bytes came back

	mu    sync.Mutex        // guards known
	known map[uint32]string // UDIDs by id, as a listener has heard of them
}

// play has phones replugged so many times, and clients connect to them.
func (r *replugs) play(times int) {
	const clients, cables = 16, 4
	pull := make(chan struct{}, times)
	var wg sync.WaitGroup
	for k := range cables { // phones k, k+4: nobody else pulls them
		wg.Go(func() {
			random := random(300 + k)
			for range pull {
				r.replug(k+cables*random.IntN(len(r.phones)/cables), random)
			}
		})
	}
	var visitors sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(times) * perReplug)
	for k := range clients {
		visitors.Go(func() {
			random := random(400 + k)
			for !r.t.Failed() {
				n := left.Add(-1)
				if n < 0 {
					return
				}
				for !r.visit(random.IntN(len(r.phones)), random) && !r.t.Failed() {
				}
				if n%perReplug == 0 {
					pull <- struct{}{}
				}
			}
		})
	}
	visitors.Wait()
	close(pull)
	wg.Wait()
}

// replug pulls a phone and puts it back, half of the time before its absence is noticed.
func (r *replugs) replug(n int, random *rand.Rand) {
	p := r.phones[n]
	before := r.device(p)
	r.turns[n].Add(1)
	defer r.turns[n].Add(1)
	p.Unplug()
	if random.IntN(2) == 0 && !r.seen(func() bool { return r.device(p) == 0 }) {
		r.t.Errorf("phone %d is a ghost: device %d", n, before)
	}
	if _, err := p.Plug(); err != nil {
		r.t.Errorf("phone %d: %v", n, err)
	}
	if !r.seen(func() bool { id := r.device(p); return id != 0 && id != before }) {
		r.t.Errorf("phone %d is lost; it was device %d", n, before)
	}
	r.replugged.Add(1)
}

// device is the id by which a phone is listed, 0 if it is not.
func (r *replugs) device(p *virtualphone.Phone) (id uint32) {
	for _, e := range r.d.registry.Devices() {
		if e.Info.UDID != p.UDID() {
			continue
		}
		if id != 0 {
			r.t.Errorf("phone %s is listed twice, as %d and %d", p.UDID(), id, e.ID)
		}
		id = e.ID
	}
	return id
}

// visit has a few bytes of phone n come back. It reports whether they did; they may
// not if the phone is pulled meanwhile.
func (r *replugs) visit(n int, random *rand.Rand) bool {
	turn := r.turns[n].Load()
	err := r.echo(n, random)
	switch {
	case err == nil:
		r.connects.Add(1)
		return true
	case errors.Is(err, errWrong), turn%2 == 0 && r.turns[n].Load() == turn:
		r.t.Errorf("connect to phone %d: %v", n, err)
	default:
		r.cut.Add(1)
	}
	return false
}

func (r *replugs) echo(n int, random *rand.Rand) error {
	c, err := r.connect(r.phones[n], virtualphone.EchoPort)
	if err != nil {
		return err
	}
	defer c.Close()
	sent, got := fmt.Append(nil, random.Uint64()), make([]byte, 20)
	if _, err := c.Write(sent); err != nil {
		return err
	}
	m, err := io.ReadFull(c, got[:len(sent)])
	if !bytes.HasPrefix(sent, got[:m]) {
		return fmt.Errorf("%w: sent %q, got %q", errWrong, sent, got[:m])
	}
	return err
}

// hear listens until it is told to stop: each device comes once, and goes once after
// that.
func (r *replugs) hear() (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	c, err := client.Dial(ctx, r.socket)
	if err != nil {
		r.t.Fatal(err)
	}
	r.known = make(map[uint32]string)
	var last uint32
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close()
		err := c.Listen(ctx, func(e client.Event) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			id, known := e.Device.ID, r.known[e.Device.ID] != ""
			switch {
			case e.Kind == client.Attached && id > last:
				r.known[id], last = e.Device.UDID, id
			case e.Kind == client.Detached && known:
				delete(r.known, id)
			case e.Kind == client.Paired && known:
			default:
				return fmt.Errorf("%s of device %d after device %d, known: %v", e.Kind, id, last, known)
			}
			return nil
		})
		if ctx.Err() == nil {
			r.t.Errorf("the listener: %v", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// heard are the devices that the listener knows.
func (r *replugs) heard() map[uint32]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.known)
}

// listed are those that are there.
func (r *replugs) listed() map[uint32]string {
	all := make(map[uint32]string)
	for _, e := range r.d.registry.Devices() {
		all[e.ID] = e.Info.UDID
	}
	return all
}
