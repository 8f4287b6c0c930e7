//go:build virtualphone

package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

const (
	soakPhones  = 8
	soakSteady  = 4 // of them nothing happens to; their clients must succeed
	soakClients = 24

	soakCode = "1234" // passcode of each second phone

	// soakLimit bounds each wait and each connection, on a slow and busy machine.
	soakLimit = 2 * time.Minute

	// soakHeap is what the heap may differ by, in bytes, between two rests.
	soakHeap = 4 << 20
)

// soak is the whole daemon in this process with phones to which, and clients by
// which, everything happens at random.
type soak struct {
	t      *testing.T
	d      *muxd
	dir    string
	socket string
	phones []*virtualphone.Phone
	errors atomic.Int64 // lines of the daemon's log at level error and above

	dump sync.Once   // of all goroutines, at the first failure
	kind atomic.Bool // owners trust, and nothing more happens to phones

	// What has happened.
	bytes     atomic.Uint64 // verified
	transfers atomic.Uint64 // complete
	cut       atomic.Uint64 // ended by the phone's fate, right up to there
	requests  atomic.Uint64 // other than connections
	rude      atomic.Uint64 // clients that were
	mischief  atomic.Uint64 // done to phones
}

// soakFor is how long to go on: GOMUXD_SOAK, or a moment.
func soakFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("GOMUXD_SOAK")
	if text == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("GOMUXD_SOAK=%q is no duration", text)
	}
	return d
}

// TestSoak runs eight phones and two dozen clients for GOMUXD_SOAK. Half of the
// phones are pulled, reset, locked, erased of their trust, stalled and made to talk
// nonsense; clients move data that is verified byte for byte, stop reading, send
// noise, leave. Clients of the other half must not notice. At the end all phones are
// there and trust us, none has counted a violation, and goroutines, descriptors and
// heap are what they were at first. GOMUXD_SOAK_SVG is where to draw it.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	lasts := soakFor(t)
	s := startSoak(t)

	owners, leave := context.WithCancel(t.Context())
	var owning sync.WaitGroup
	for i, p := range s.phones {
		owning.Go(func() { s.own(owners, p, i >= soakSteady, random(i)) })
	}
	s.settle()
	s.churn(lasts/20 + time.Second) // pools and caches fill
	s.settle()
	base := s.rest(measure{goroutines: 1 << 30, descriptors: 1 << 30, heap: 1 << 60})

	graph := s.churn(lasts)
	s.settle()
	after := s.rest(base)
	leave()
	owning.Wait()
	t.Logf("in %v: %d MiB verified in %d transfers, %d cut off; %d requests, %d rude clients, %d times mischief; goroutines %d, %d at the end; descriptors %d, %d; heap %.1f MiB, %.1f MiB",
		lasts, s.bytes.Load()>>20, s.transfers.Load(), s.cut.Load(), s.requests.Load(), s.rude.Load(), s.mischief.Load(),
		base.goroutines, after.goroutines, base.descriptors, after.descriptors, mib(base.heap), mib(after.heap))
	if s.transfers.Load() == 0 || s.mischief.Load() == 0 {
		t.Error("nothing much has happened")
	}
	if n := s.errors.Load(); n != 0 {
		t.Errorf("the daemon has logged %d errors", n)
	}
	svg := []byte(graph.svg(lasts, base, after))
	if err := xml.Unmarshal(svg, new(struct{})); err != nil {
		t.Errorf("the graph: %v", err)
	}
	if path := os.Getenv("GOMUXD_SOAK_SVG"); path != "" {
		if err := os.WriteFile(path, svg, 0o644); err != nil {
			t.Error(err)
		}
	}
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }

// random is a generator of its own for each party; the seed is in the log.
func random(party int) *rand.Rand { return rand.New(rand.NewPCG(soakSeed, uint64(party))) }

var soakSeed = uint64(time.Now().UnixNano())

func startSoak(t *testing.T) *soak {
	t.Helper()
	t.Logf("seed %d", soakSeed)
	dir := t.TempDir()
	s := &soak{t: t, dir: dir, socket: filepath.Join(dir, "s")}
	before := runtime.NumGoroutine()
	t.Cleanup(func() { // after the daemon's end
		s.within("the last goroutine ends", func() bool { return runtime.NumGoroutine() <= before })
	})
	core := zapcore.RegisterHooks(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
		zapcore.AddSync(io.Discard), zap.DebugLevel), func(e zapcore.Entry) error {
		if e.Level >= zap.ErrorLevel {
			s.errors.Add(1)
			t.Logf("logged: %s", e.Message)
		}
		return nil
	})
	s.d = newDaemon(new(options), set("-f", "-S", s.socket, "-C", filepath.Join(dir, "records"), "-P", filepath.Join(dir, "pid")), zap.New(core))
	bus := &virtualBus{log: s.d.log, changed: make(chan struct{}, 1)}
	for i := range soakPhones {
		cfg := virtualphone.Config{UDID: fmt.Sprintf("00008110-%016X", 0xA0000+i), Name: fmt.Sprintf("Phone %d", i)}
		if i%2 == 1 {
			cfg.Passcode = soakCode
		}
		if i%4 == 3 {
			cfg.MaxPacketSize = 1024 // super speed
		}
		p, err := virtualphone.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		bus.add(p)
	}
	s.phones = bus.phones
	s.d.source, s.d.open = bus.run, bus.open
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.d.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, p := range s.phones {
			if v := p.Violations(); v.Total() != 0 {
				t.Errorf("phone %s counted violations: %v\n%v", p.UDID(), v, p.ViolationNotes())
			}
		}
	})
	s.within("all phones are there", func() bool { return len(ids(s.d)) == soakPhones })
	return s
}

// churn has everything happen for so long, and draws it.
func (s *soak) churn(lasts time.Duration) *graph {
	s.kind.Store(false)
	ctx, stop := context.WithTimeout(s.t.Context(), lasts)
	defer stop()
	var troubles, clients sync.WaitGroup
	for i, p := range s.phones[soakSteady:] {
		troubles.Go(func() { s.trouble(ctx, p, random(100+i)) })
	}
	for i := range soakClients {
		clients.Go(func() { s.client(ctx, random(200+i)) })
	}
	g := &graph{interval: max(lasts/300, 100*time.Millisecond)}
	tick := time.NewTicker(g.interval)
	defer tick.Stop()
	was := s.bytes.Load()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			now := s.bytes.Load()
			g.add(float64(now-was)/g.interval.Seconds(), s.measure())
			was = now
		case <-ctx.Done():
		}
	}
	s.kind.Store(true)
	troubles.Wait()
	clients.Wait()
	return g
}

// settle waits until all phones are there and trust us, and no client is left.
func (s *soak) settle() {
	s.t.Helper()
	s.kind.Store(true)
	for _, p := range s.phones[soakSteady:] {
		p.SetFaults(virtualphone.Faults{})
		p.UnplugAfter(0)
		p.Unplug() // what a refusal of its owner was good for is over
		if _, err := p.Plug(); err != nil {
			s.t.Fatal(err)
		}
	}
	s.within("all phones are there and trusted, and nobody uses them", func() bool {
		trusted := 0
		for _, dev := range s.d.hub.Devices() {
			if dev.Trust == string(trust.Trusted) {
				trusted++
			}
		}
		entries := s.d.registry.Devices()
		for _, e := range entries {
			if s.d.registry.Clients(e.ID) > 0 {
				return false
			}
		}
		for _, p := range s.phones {
			if p.Stats().OpenConns > 0 {
				return false
			}
		}
		return trusted == soakPhones && len(entries) == soakPhones
	})
}

// within waits for what must come.
func (s *soak) within(what string, ok func() bool) {
	s.t.Helper()
	if !s.seen(ok) {
		for _, dev := range s.d.hub.Devices() {
			s.t.Logf("%s: %s %s", *dev.UDID, dev.Trust, dev.Reason)
		}
		s.t.Fatalf("within %v not seen: %s\n%s", soakLimit, what, stacks())
	}
}

// seen waits too, and reports whether it has come.
func (s *soak) seen(ok func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(soakLimit); !ok(); <-tick.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// stacks are those of all goroutines.
func stacks() []byte {
	b := make([]byte, 4<<20)
	return b[:runtime.Stack(b, true)]
}

// measure is what the process has in use.
type measure struct {
	goroutines, descriptors int
	heap                    uint64 // bytes
}

func (s *soak) measure() measure {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		s.t.Error(err)
	}
	return measure{goroutines: runtime.NumGoroutine(), descriptors: len(all), heap: m.HeapAlloc}
}

// rest measures the process at rest, once it has no more in use than bounds.
func (s *soak) rest(bounds measure) (m measure) {
	s.t.Helper()
	s.within(fmt.Sprintf("no more in use than %+v", bounds), func() bool {
		runtime.GC()
		runtime.GC() // pools are empty after two
		m = s.measure()
		return m.goroutines <= bounds.goroutines && m.descriptors <= bounds.descriptors && m.heap <= bounds.heap+soakHeap
	})
	return m
}
