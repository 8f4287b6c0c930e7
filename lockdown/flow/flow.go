package flow

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
)

// Records keeps pair records: a *pairrecord.Store.
type Records interface {
	BUID() (string, error)
	Record(udid string) (pairrecord.Record, error)
	Save(udid string, data []byte) error
	SetAside(udid, reason string) error
	Touch(udid string) error
	Used(udid string) (time.Time, error)
	Untrusted(udid string) (pairrecord.Record, error)
	Forgotten(udid string) error
}

// Config is what a Flow needs.
type Config struct {
	Log  *zap.Logger // with the phone's fields bound; nil is none
	UDID string

	// Dial connects to a port of the phone. Refused and Silent are what its error
	// wraps when the phone refuses the connection or says nothing.
	Dial            lockdown.DialFunc
	Refused, Silent error

	Policy     trust.Policy
	NoLockdown bool // a device without lockdownd
	Records    Records
	Keys       *Keys
	Supervisor *lockdown.Supervisor // nil: none
	Timeout    time.Duration        // for each reply; 0: lockdown.DefaultTimeout

	// Identity and Capacity are what the phone told at an earlier plug: they are
	// shown until it tells anew. Both may be zero.
	Identity lockdown.Identity
	Capacity uint64

	// Changed is called by Run with each new status. Paired is called by Run when
	// it has saved a new record. Both may be nil and must not block.
	Changed func(Status)
	Paired  func()
}

// Status is what is known of a phone. Unknown texts are empty.
type Status struct {
	State    trust.State
	Cause    string
	Identity lockdown.Identity
	Capacity uint64 // bytes, 0 unknown
	Expires  *int   // days until the phone forgets an unused pairing, an estimate; nil unknown
}

// Flow drives the trust machine of one phone for one plugged period.
type Flow struct {
	cfg Config
	log *zap.Logger

	mu      sync.Mutex
	mail    []letter      // for Run
	waiters []chan<- bool // for the end of an unpairing
	ring    chan struct{} // capacity 1

	// Run's.
	machine  *trust.Machine
	status   Status  // deeds add to it what they find out
	told     *Status // as reported last, nil before
	client   *lockdown.Client
	fresh    bool // client has carried no request yet
	offer    *pairrecord.Record
	made     *pairrecord.Record // paired, to be saved
	notifier *lockdown.Notifier
	heard    sync.WaitGroup // its reader
}

// letter is an event for the machine, the phone's wish to be told the BUID, or a
// new policy.
type letter struct {
	event trust.Event
	buid  bool
	rule  trust.Policy       // the new one, instead of an event; empty: none
	from  *lockdown.Notifier // nil: not from one
}

// New makes a Flow. Run drives it.
func New(cfg Config) *Flow {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Flow{
		cfg: cfg, log: cfg.Log, ring: make(chan struct{}, 1),
		status: Status{Identity: cfg.Identity, Capacity: cfg.Capacity},
	}
}

// Hear leaves word of an event for Run.
func (f *Flow) Hear(e trust.Event) { f.post(letter{event: e}) }

// SetPolicy leaves word of another policy for Run.
func (f *Flow) SetPolicy(p trust.Policy) { f.post(letter{rule: p}) }

func (f *Flow) post(l letter) {
	f.mu.Lock()
	f.mail = append(f.mail, l)
	f.mu.Unlock()
	select {
	case f.ring <- struct{}{}:
	default:
	}
}

func (f *Flow) letters() []letter {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.mail
	f.mail = nil
	return all
}

// Untrust has the phone told to forget the record that was taken out of use, and
// reports whether it has; false if ctx or Run ended before, or the phone cannot
// be told now.
func (f *Flow) Untrust(ctx context.Context) bool {
	done := make(chan bool, 1)
	f.mu.Lock()
	f.waiters = append(f.waiters, done)
	f.mu.Unlock()
	f.Hear(trust.Dismissed)
	select {
	case ok := <-done:
		return ok
	case <-ctx.Done():
		return false
	}
}

// unpaired tells those who wait in Untrust.
func (f *Flow) unpaired(ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.waiters {
		w <- ok // has room
	}
	f.waiters = nil
}

// Run drives the machine until ctx ends.
func (f *Flow) Run(ctx context.Context) {
	f.machine = trust.New(trust.Config{
		Policy:     f.cfg.Policy,
		NoLockdown: f.cfg.NoLockdown,
		Supervisor: f.cfg.Supervisor != nil,
	}, time.Now())
	defer f.unpaired(false)
	defer f.hangUp()
	defer f.deafen()
	for ctx.Err() == nil {
		for _, l := range f.letters() {
			f.open(ctx, l)
		}
		f.report()
		if f.notifier != nil && !f.machine.Listens() {
			f.deafen()
			f.machine.Hear(time.Now(), trust.ProxyLost)
		}
		deed, at := f.machine.Next(time.Now())
		if deed == trust.Rest {
			f.rest(ctx, at)
			continue
		}
		r := f.do(ctx, deed)
		if ctx.Err() != nil {
			return
		}
		f.log.Debug("asked", zap.Stringer("deed", deed), zap.String("cause", r.Cause))
		f.machine.Done(time.Now(), deed, r)
	}
}

// open hands a letter to the machine. What an old notifier said is past.
func (f *Flow) open(ctx context.Context, l letter) {
	if l.from != nil && l.from != f.notifier {
		return
	}
	switch {
	case l.buid:
		f.announce(ctx)
		return
	case l.rule != "":
		f.cfg.Policy = l.rule
		f.machine.SetPolicy(time.Now(), l.rule)
		return
	}
	if l.from != nil && l.event == trust.ProxyLost {
		f.deafen()
	}
	f.machine.Hear(time.Now(), l.event)
}

// keep is the longest pause over which the connection to lockdownd is kept.
const keep = 20 * time.Second

// rest waits until at, or for a letter. While the end of an unused pairing draws
// nearer it waits a day at most.
func (f *Flow) rest(ctx context.Context, at time.Time) {
	if at.IsZero() && f.status.Expires != nil {
		at = time.Now().Add(24 * time.Hour)
	}
	var due <-chan time.Time
	if !at.IsZero() {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		due = t.C
	}
	if at.IsZero() || time.Until(at) > keep {
		f.hangUp()
	}
	select {
	case <-due:
	case <-f.ring:
	case <-ctx.Done():
	}
}

// report tells of a new status.
func (f *Flow) report() {
	s := f.status
	s.State, s.Cause = f.machine.State()
	s.Expires = f.expires()
	if (s.State == trust.Disabled || s.State == trust.Trusted) && s.Expires != nil && *s.Expires <= expiringDays {
		s.State = trust.Expiring // nothing of ours uses it
	}
	if f.told != nil && same(s, *f.told) {
		return
	}
	if before := f.status; before.State != s.State || before.Cause != s.Cause {
		f.log.Info("trust", zap.String("state", string(s.State)), zap.String("cause", s.Cause), zap.String("before", string(before.State)))
	}
	f.status, f.told = s, &s
	if f.cfg.Changed != nil {
		f.cfg.Changed(s)
	}
}

func same(a, b Status) bool {
	if (a.Expires == nil) != (b.Expires == nil) || a.Expires != nil && *a.Expires != *b.Expires {
		return false
	}
	a.Expires, b.Expires = nil, nil
	return a == b
}

// How long phones remember a computer they are not connected to, in days: 30
// since iOS 11 (Apple Platform Security), about six months before.
const (
	rememberedDays    = 30
	rememberedDaysOld = 180
	expiringDays      = 7 // left, from when on it is said
)

// Major is the major version of a phone's iOS. watchOS, visionOS and others count
// their own: they are modern, which 0, unknown, stands for.
func Major(id lockdown.Identity) int {
	switch id.DeviceClass {
	case "iPhone", "iPad", "iPod":
		return id.Major()
	}
	return 0
}

// Remembered is for how long a phone with this major version remembers a
// computer that does not use its pairing; 0 is an unknown version.
func Remembered(major int) time.Duration {
	days := rememberedDays
	if major > 0 && major < 11 {
		days = rememberedDaysOld
	}
	return time.Duration(days) * 24 * time.Hour
}

// DaysLeft is the estimate for a record last used at used. A use to come is one of
// before the clock was set back: it counts as one just now.
func DaysLeft(used, now time.Time, major int) int {
	if used.After(now) {
		used = now
	}
	return max(int(math.Ceil(used.Add(Remembered(major)).Sub(now).Hours()/24)), 0)
}

func (f *Flow) expires() *int {
	switch s, _ := f.machine.State(); s {
	case trust.Trusted, trust.LockedSinceBoot, trust.Disabled, trust.NotAnswering, trust.AccessoryRestricted:
	default:
		return nil // no record that the phone would know
	}
	used, err := f.cfg.Records.Used(f.cfg.UDID)
	if err != nil {
		return nil
	}
	if _, err := f.cfg.Records.Record(f.cfg.UDID); err != nil {
		return nil
	}
	days := DaysLeft(used, time.Now(), Major(f.status.Identity))
	return &days
}

// connect gives a plain connection to lockdownd.
func (f *Flow) connect(ctx context.Context) (*lockdown.Client, error) {
	if f.client != nil && !f.client.Secure() {
		return f.client, nil
	}
	f.hangUp()
	c, err := lockdown.Dial(ctx, f.cfg.Dial, lockdown.Config{Timeout: f.cfg.Timeout, Log: f.log})
	if err != nil {
		return nil, err
	}
	f.client, f.fresh = c, true
	return c, nil
}

func (f *Flow) hangUp() {
	if f.client != nil {
		f.client.Close()
		f.client = nil
	}
}

// with does something over a connection to lockdownd. One that was kept and is
// found dead is replaced, once.
func (f *Flow) with(ctx context.Context, do func(*lockdown.Client) error) error {
	for {
		c, err := f.connect(ctx)
		if err != nil {
			return err
		}
		kept := !f.fresh
		f.fresh = false
		err = do(c)
		broken := err != nil && f.cause(err) == trust.CauseBroken
		if err != nil && slices.Contains([]string{trust.CauseBroken, trust.CauseSilent, trust.CauseGarbage, trust.CauseTLS, trust.CauseDeviceKey}, f.cause(err)) {
			f.hangUp()
		}
		if !broken || !kept || ctx.Err() != nil {
			return err
		}
	}
}

// deafen ends the hearing of notifications.
func (f *Flow) deafen() {
	if f.notifier != nil {
		f.notifier.Close()
		f.notifier = nil
		f.heard.Wait()
	}
}
