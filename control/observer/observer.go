package observer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"gomuxd/control"
)

// Source is what an Observer asks of the control API; a control.Client is one.
type Source interface {
	Watch(context.Context, func(control.Event) error) error
	Stats(context.Context) (control.Stats, error)
	Daemon(context.Context) (control.Daemon, error)
}

const (
	interval   = 2 * time.Second // between two looks at the counters
	fresh      = interval / 4    // counters that are younger are not asked for again
	answer     = 5 * time.Second // for the daemon to answer
	minBackoff = 250 * time.Millisecond
	maxBackoff = 5 * time.Second
	maxSeries  = 512 // phones whose last hour is kept, also of those that have gone
)

// Observer follows a daemon for as long as Run runs. Its other methods may be
// called from any goroutine.
type Observer struct {
	source Source
	poll   sync.Mutex // held by the one who asks for the counters

	mu      sync.Mutex // guards all below
	version uint64     // of the newest change
	changed chan struct{}
	phones  map[string]*phone
	members uint64 // version in which one came or went
	daemon  Daemon
	told    uint64 // version of daemon
	log     logbook
	marks   []mark // version of each entry of the log
	series  map[string]*Series
	total   Series
	sampled time.Time
}

// mark says up to which entry the log had come in a version.
type mark struct{ version, seq uint64 }

// Daemon is how it stands with the daemon.
type Daemon struct {
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`             // of Connected
	Problem   string    `json:"problem,omitempty"` // why it is not connected, and what to do
	Version   string    `json:"version"`           // of the last daemon that answered
	Started   time.Time `json:"started"`
	PID       int       `json:"pid"`
	Policy    string    `json:"trust_policy"`
	Operate   bool      `json:"operate"` // it lets this user act, not only look
}

// phone is one that is plugged in, or was when the daemon went.
type phone struct {
	device   control.Device
	facts    uint64 // version of the last change of what is not a counter
	counters uint64 // and of the counters
	sampled  bool   // the counters are there
	at       time.Time
	inRate   float64
	outRate  float64
	series   *Series
}

// New returns an Observer that knows nothing yet.
func New(source Source) *Observer {
	return &Observer{
		source:  source,
		changed: make(chan struct{}),
		phones:  make(map[string]*phone),
		series:  make(map[string]*Series),
		daemon:  Daemon{Since: time.Now(), Problem: "the daemon has not answered yet"},
		version: 1,
		told:    1,
	}
}

// Run follows the daemon, and waits for it whenever it is not there, until ctx
// ends.
func (o *Observer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ready := make(chan struct{}, 1)
	wg.Go(func() { o.look(ctx, ready) })
	wait := minBackoff
	for {
		present := make(map[string]bool)
		err := o.source.Watch(ctx, func(e control.Event) error {
			wait = minBackoff
			o.hear(e, &present)
			if e.Type == control.Ready {
				select {
				case ready <- struct{}{}:
				default:
				}
			}
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		o.lost(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, maxBackoff)
	}
}

// look asks for the counters every now and then, and for what the daemon says of
// itself each time that it is there again.
func (o *Observer) look(ctx context.Context, ready <-chan struct{}) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ready:
			o.introduce(ctx)
		case <-tick.C:
		}
		o.Sample(ctx)
	}
}

func (o *Observer) introduce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	d, err := o.source.Daemon(ctx)
	if err != nil {
		return // the events end, too, if it has gone
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.daemon.Version, o.daemon.Started, o.daemon.PID, o.daemon.Policy = d.Version, d.Started, d.PID, d.Preflight
	o.daemon.Operate = d.Records != nil
	o.told = o.changeLocked()
}

// changeLocked begins a version and wakes up those who wait for one.
func (o *Observer) changeLocked() uint64 {
	o.version++
	close(o.changed)
	o.changed = make(chan struct{})
	return o.version
}

// Changed returns a channel that is closed when there is a newer version than
// the present one.
func (o *Observer) Changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

func (o *Observer) noteLocked(e Entry) {
	o.log.add(e)
	o.marks = append(o.marks, mark{o.version, o.log.seq})
	if len(o.marks) > maxLog {
		o.marks = append(o.marks[:0], o.marks[len(o.marks)-maxLog:]...)
	}
}

// Note adds an entry to the log, about a phone if key is of one.
func (o *Observer) Note(kind, key string, s Standing, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := Entry{Time: time.Now(), Kind: kind, Key: key, Standing: s, Text: text}
	if p := o.phones[key]; p != nil {
		e.Name, e.UDID = TitleOf(p.device), udidOf(p.device)
	}
	o.changeLocked()
	o.noteLocked(e)
}

func (o *Observer) tellLocked(kind string, at time.Time, d control.Device, text string) {
	name := TitleOf(d)
	if kind == "plugged" && d.Name == "" {
		name, text = "", "A device was plugged in at "+portOf(d)+"." // it says later who it is
	}
	o.noteLocked(Entry{Time: at, Kind: kind, Key: KeyOf(d), Name: name, UDID: udidOf(d), Standing: StandingOf(d.Trust), Text: text})
}

// hear takes an event in. present are the phones that this connection has told
// of before it was ready, nil afterwards.
func (o *Observer) hear(e control.Event, present *map[string]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.Type == control.Ready {
		o.readyLocked(*present)
		*present = nil
		return
	}
	k, at := KeyOf(e.Device), e.Time
	if at.IsZero() {
		at = time.Now()
	}
	p, first := o.phones[k], *present != nil
	if first {
		(*present)[k] = true
	}
	if p != nil && udidOf(p.device) != "" && udidOf(e.Device) != "" && udidOf(p.device) != udidOf(e.Device) {
		o.removeLocked(k, at) // another one in its place
		p = nil
	}
	switch {
	case e.Type == control.DeviceRemoved:
		o.removeLocked(k, at)
	case p == nil:
		v := o.changeLocked()
		o.phones[k] = &phone{device: e.Device, facts: v, counters: v}
		o.phones[k].series = o.seriesLocked(e.Device, nil)
		o.members = v
		if !first || o.daemon.Version != "" { // not those of the very first look
			o.tellLocked("plugged", at, e.Device, fmt.Sprintf("Plugged in at %s.", portOf(e.Device)))
		}
	default:
		old := p.device
		e.Device.Counters = old.Counters // Sample counts
		p.device, p.facts = e.Device, o.changeLocked()
		p.series = o.seriesLocked(e.Device, p.series)
		if old.Trust != e.Device.Trust || old.Reason != e.Device.Reason {
			o.tellLocked("state", at, e.Device, e.Device.Reason)
		}
	}
}

func portOf(d control.Device) string {
	if d.PortPath == "" {
		return "the network"
	}
	return "port " + d.PortPath
}

func (o *Observer) removeLocked(k string, at time.Time) {
	p := o.phones[k]
	if p == nil {
		return
	}
	delete(o.phones, k)
	o.members = o.changeLocked()
	d := p.device
	o.noteLocked(Entry{Time: at, Kind: "unplugged", Key: k, Name: TitleOf(d), UDID: udidOf(d), Standing: Pending, Text: "Unplugged."})
}

// readyLocked says that the daemon answers; phones that it has not told of have
// gone meanwhile.
func (o *Observer) readyLocked(present map[string]bool) {
	now := time.Now()
	for k := range o.phones {
		if !present[k] {
			o.removeLocked(k, now)
		}
	}
	text := "The daemon answers."
	if o.daemon.Version != "" {
		text = "The daemon answers again."
	}
	o.daemon.Connected, o.daemon.Since, o.daemon.Problem = true, now, ""
	o.told = o.changeLocked()
	o.noteLocked(Entry{Time: now, Kind: "daemon", Standing: Ready, Text: text})
}

// lost says why the daemon does not answer.
func (o *Observer) lost(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	problem := "The daemon does not answer."
	if err != nil {
		problem = err.Error()
	}
	if !o.daemon.Connected && o.daemon.Problem == problem {
		return
	}
	if o.daemon.Connected {
		o.daemon.Since = now
	}
	o.daemon.Connected, o.daemon.Problem = false, problem
	for _, p := range o.phones {
		p.inRate, p.outRate = 0, 0
		p.counters = o.version + 1
	}
	o.told = o.changeLocked()
	o.noteLocked(Entry{Time: now, Kind: "daemon", Standing: Fault, Text: "No daemon: " + problem})
}

// seriesLocked returns the last hour of a phone, whichever port it is in. One that
// is known by its port alone takes what it has along when its UDID is known.
func (o *Observer) seriesLocked(d control.Device, have *Series) *Series {
	id := udidOf(d)
	if id == "" {
		id = KeyOf(d)
	}
	if s := o.series[id]; s != nil {
		return s
	}
	if have == nil {
		have = new(Series)
	}
	if len(o.series) >= maxSeries {
		o.forgetLocked()
	}
	o.series[id] = have
	return have
}

// forgetLocked lets go of the hours of phones that are not plugged in.
func (o *Observer) forgetLocked() {
	used := make(map[*Series]bool)
	for _, p := range o.phones {
		used[p.series] = true
	}
	for id, s := range o.series {
		if !used[s] {
			delete(o.series, id)
		}
	}
}

// Sample asks for the counters, unless that was done just now. It returns why
// there are none.
func (o *Observer) Sample(ctx context.Context) error {
	o.poll.Lock()
	defer o.poll.Unlock()
	o.mu.Lock()
	connected, age := o.daemon.Connected, time.Since(o.sampled)
	o.mu.Unlock()
	switch {
	case !connected:
		return errors.New("the daemon does not answer")
	case age < fresh:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	stats, err := o.source.Stats(ctx)
	if err != nil {
		return err
	}
	o.count(time.Now(), stats.Devices)
	return nil
}

// count takes the counters in. What was counted before the first look at a phone is
// of no known time, and in no rate.
func (o *Observer) count(now time.Time, devices []control.DeviceStats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sampled = now
	next, moved := o.version+1, false
	var mended []Entry
	for _, d := range devices {
		p := o.phones[KeyOf(control.Device{UDID: d.UDID, PortPath: d.PortPath})]
		if p == nil || udidOf(p.device) != udidOf(control.Device{UDID: d.UDID}) {
			continue // an event that is under way tells of it
		}
		var in, out uint64
		var inRate, outRate float64
		if p.sampled {
			in, out = d.BytesIn-p.device.BytesIn, d.BytesOut-p.device.BytesOut
			if d.BytesIn < p.device.BytesIn || d.BytesOut < p.device.BytesOut {
				in, out = d.BytesIn, d.BytesOut // plugged in anew
			}
			if dt := now.Sub(p.at).Seconds(); dt > 0 {
				inRate, outRate = float64(in)/dt, float64(out)/dt
			}
		}
		p.series.add(now, in, out)
		o.total.add(now, in, out)
		if !p.sampled || inRate != p.inRate || outRate != p.outRate || !alike(p.device.Counters, d.Counters) {
			p.counters, moved = next, true
		}
		// A reset takes the phone off the bus: it may be another plug that tells of it.
		if r := d.LastRecovery; r != nil && r.Time.After(p.series.recovered) && r.Time.After(o.daemon.Since) {
			p.series.recovered = r.Time
			p.counters, moved = next, true
			mended = append(mended, Entry{Time: r.Time, Kind: "recovery", Key: KeyOf(p.device), Name: TitleOf(p.device), UDID: udidOf(p.device),
				Standing: standingOf(*r), Text: recoveryText(*r)})
		}
		p.device.Counters = d.Counters
		p.at, p.sampled, p.inRate, p.outRate = now, true, inRate, outRate
	}
	if moved {
		o.changeLocked()
	}
	for _, e := range mended {
		o.noteLocked(e)
	}
}

// standingOf is that of a phone after an attempt to mend it.
func standingOf(r control.Recovery) Standing {
	if r.Action == control.ActionLeave {
		return Fault
	}
	return Pending
}

// recoveryText says what was done to mend a phone, and why.
func recoveryText(r control.Recovery) string {
	what := map[string]string{
		control.ActionReopen: "Opened anew", control.ActionReset: "Reset over USB", control.ActionLeave: "Left alone",
	}[r.Action]
	return cmp.Or(what, r.Action) + ": " + strings.TrimSuffix(r.Reason, ".") + "."
}

// alike reports whether nothing differs that is shown.
func alike(a, b control.Counters) bool {
	return a.Sessions == b.Sessions && a.BytesIn == b.BytesIn && a.BytesOut == b.BytesOut && a.Connects == b.Connects &&
		a.Refused == b.Refused && a.Unanswered == b.Unanswered && a.ResetsByPhone == b.ResetsByPhone &&
		a.ResetsByHost == b.ResetsByHost && a.Recoveries == b.Recoveries
}
