package hotplug

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// rescanInterval is the time between two looks at everything while uevents are
// received: the net below namespaces that uevents do not reach and below our own
// mistakes.
const rescanInterval = time.Minute

// Monitor watches for devices. Its methods may be called from any goroutine.
type Monitor struct {
	cfg     Config
	rules   atomic.Pointer[policy]
	rescan  chan struct{} // capacity 1
	changed chan struct{} // capacity 1: other rules
	running atomic.Bool

	// Seams for tests.
	openSource func() (source, error)
	openClock  func() (waiter, error)
}

// waiter is what clock offers.
type waiter interface {
	wait() error
	close() error
}

// New makes a Monitor. It touches nothing yet.
func New(cfg Config) *Monitor {
	m := &Monitor{
		cfg:        cfg,
		rescan:     make(chan struct{}, 1),
		changed:    make(chan struct{}, 1),
		openSource: openNetlink,
		openClock:  func() (waiter, error) { return openClock() },
	}
	m.rules.Store(&policy{allow: cfg.Allow, deny: cfg.Deny})
	return m
}

// Rescan asks Run to compare everything with sysfs, after SIGUSR2 for instance.
// It does not wait; one that is asked for before Run is done by Run.
func (m *Monitor) Rescan() {
	nudge(m.rescan)
}

// SetRules replaces the lists of allowed and denied devices. Run reports the
// removal of devices that are no longer wanted, and those that now are.
func (m *Monitor) SetRules(allow, deny []Rule) error {
	p := &policy{allow: slices.Clone(allow), deny: slices.Clone(deny)}
	if err := p.validate(); err != nil {
		return err
	}
	m.rules.Store(p)
	nudge(m.changed)
	return nil
}

// nudge leaves a token, unless one is there already.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run reports devices until ctx ends, and then returns nil: an Add for each
// device that is there, Scanned, then Add and Remove as devices come and go. It
// subscribes before it scans, so that none falls in between. The receiver may
// take its time; see Event for what it can rely on. Run does not close events.
//
// An error means that cfg makes no sense or that Run is running already. Neither
// a forbidden netlink nor a missing sysfs is one.
func (m *Monitor) Run(ctx context.Context, events chan<- Event) error {
	cfg, err := m.cfg.validate()
	if err != nil {
		return err
	}
	if m.running.Swap(true) {
		return errors.New("monitor is running already")
	}
	defer m.running.Store(false)
	w := &watch{
		Config:     cfg,
		openSource: m.openSource,
		openClock:  m.openClock,
		rules:      &m.rules,
		hints:      make(chan hint, 64),
		resumed:    make(chan struct{}, 1),
		stop:       make(chan struct{}),
		state: state{
			log:    cfg.Log,
			tree:   tree{sys: cfg.SysRoot, dev: cfg.DevRoot, policy: *m.rules.Load()},
			udevd:  udevd{run: cfg.RunRoot},
			ledger: newLedger(cfg.Manual),
		},
	}
	defer w.close()
	w.start()
	w.loop(ctx, m.rescan, m.changed, events)
	return nil
}

// watch is one Run: the loop that owns state, and the goroutines that poke it.
type watch struct {
	Config
	openSource func() (source, error)
	openClock  func() (waiter, error)
	rules      *atomic.Pointer[policy]

	state  state
	src    source    // nil while sysfs is polled
	tried  time.Time // when a source was last asked for
	warned bool      // about polling
	clock  waiter

	hints   chan hint
	resumed chan struct{} // capacity 1
	stop    chan struct{}
	wg      sync.WaitGroup
}

// start subscribes and takes the first look.
func (w *watch) start() {
	w.subscribe()
	if c, err := w.openClock(); err != nil {
		w.Log.Debug("resume from suspend is noticed by the slow rescan only", zap.Error(err))
	} else {
		w.clock = c
		w.wg.Go(w.watchClock) // close closes w.clock, then waits
	}
	w.state.scan(true)
	w.state.ledger.release()
	w.state.ledger.endScan()
}

// close ends both goroutines and waits for them.
func (w *watch) close() {
	close(w.stop)
	if w.src != nil {
		w.src.close()
	}
	if w.clock != nil {
		w.clock.close()
	}
	w.wg.Wait()
}

// loop is the only user of state. It waits for a reason to look at sysfs, or for
// the receiver.
func (w *watch) loop(ctx context.Context, rescan, changed <-chan struct{}, events chan<- Event) {
	slow := time.NewTimer(w.interval())
	defer slow.Stop()
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		again.Stop()
		quick, release := true, false
		if due := w.state.ledger.due(); !due.IsZero() {
			again.Reset(time.Until(due))
		}
		var out chan<- Event
		ev, ok := w.state.ledger.next()
		if ok {
			out = events
		}
		select {
		case <-ctx.Done():
			return
		case out <- ev:
			w.state.ledger.sent()
			continue
		case h := <-w.hints:
			if !w.take(h) {
				continue
			}
		case <-again.C:
			w.state.lookAgain(time.Now())
			continue
		case <-slow.C:
			w.resubscribe()
		case <-w.resumed:
			w.Log.Debug("clock jumped, rescanning")
		case <-rescan:
			w.Log.Debug("rescanning on request")
			release = true
		case <-changed:
			w.state.tree.policy = *w.rules.Load()
			quick = false // what is known was judged by other rules
		}
		w.state.scan(quick)
		if release {
			w.state.ledger.release()
		}
		slow.Reset(w.interval())
	}
}

// take acts on one hint, and reports whether everything must be looked at.
func (w *watch) take(h hint) (all bool) {
	switch {
	case h.err != nil:
		w.src.close()
		w.src = nil
		w.polling(h.err)
	case h.drained:
		w.Log.Debug("uevents are read up, rescanning")
	case h.lost:
		w.Log.Warn("uevents were lost, rescanning")
	default:
		w.state.hint(h)
		return false
	}
	return true
}

// interval is the time to the next look at everything.
func (w *watch) interval() time.Duration {
	if w.src == nil {
		return w.PollInterval
	}
	return rescanInterval
}

// subscribe opens a source and starts its reader, or settles for polling.
func (w *watch) subscribe() {
	if w.Poll {
		return
	}
	w.tried = time.Now()
	src, err := w.openSource()
	if err != nil {
		w.polling(err)
		return
	}
	if w.warned {
		w.Log.Info("uevents are back")
	}
	w.warned = false
	w.src = src
	wanted := func(vendor uint16) bool { return w.rules.Load().vendor(vendor) }
	r := reader{log: w.Log, wanted: wanted, hints: w.hints, stop: w.stop}
	w.wg.Go(func() { r.run(src) }) // close closes w.src, then waits
}

// resubscribe tries again to get uevents, once in a while.
func (w *watch) resubscribe() {
	if w.src == nil && time.Since(w.tried) >= rescanInterval {
		w.subscribe()
	}
}

// polling says once why there are no uevents.
func (w *watch) polling(err error) {
	if !w.warned {
		w.Log.Warn("no uevents, polling sysfs", zap.Error(err), zap.Duration("interval", w.PollInterval))
	}
	w.warned = true
}

// watchClock asks for a rescan on each jump of the clock.
func (w *watch) watchClock() {
	for w.clock.wait() == nil {
		nudge(w.resumed)
	}
}
