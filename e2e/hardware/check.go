package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gomuxd/control"
	"gomuxd/control/redact"
	"gomuxd/hotplug"
	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
	"gomuxd/plist"
	"gomuxd/socket/client"
)

// check is one run, from the first question to the report.
type check struct {
	cfg     *config
	person  *person
	journal *journal
	report  report
	secrets *redact.Redactor

	dir      string // of the daemon's sockets and records; temporary
	services services
	daemon   *daemon
	watchers sync.WaitGroup // the bus, notifications

	udid     string // of the iPhone that is checked; "" while there is none
	model    string // what it is called when sold, and its system
	trusted  bool   // it has a pairing with this run to forget
	switched bool   // it may be in another USB mode than at first
	file     file   // on it
	borders  borders
}

// step is a part of the run that fills in some lines of the report. What it
// leaves open is filled in by why it ended; what went wrong counts for one.
type step struct {
	title string
	core  string // the line that fails with the step
	lines []string
	run   func(c *check, ctx context.Context) error
}

var steps = []step{
	{"Plug in", linePlug, []string{lineDescriptors, linePlug, lineMode, lineConfiguration, lineVersion, lineSetup, lineIdentity}, (*check).plug},
	{"Locked", lineLocked, []string{lineLocked, lineUnlock}, (*check).locked},
	{"Don't Trust", lineDeny, []string{lineDialog, lineDeny, lineDenyNote, lineDenyAgain, lineSecond}, (*check).deny},
	{"Trust", lineTrusted, []string{lineTapNote, linePasscode, lineTrusted, lineSession}, (*check).trust},
	{"Transfer", lineUp, []string{lineUp, lineDown, lineRemoved}, (*check).transfer},
	{"Pull the cable", linePull, []string{linePull}, (*check).pull},
	{"Plug in again", lineReplug, []string{lineReplug, lineStill}, (*check).replug},
	{"USB modes", lineSwitch, []string{lineSwitch}, (*check).switchMode},
	{"Joined packets", lineJoined, []string{lineJoined}, (*check).join},
	{"Good-bye", lineForgotten, []string{lineForgotten}, (*check).forget},
}

// run goes through all steps and writes down what came of each. It returns ctx's
// error if that ended it, and why nothing could be checked at all.
func (c *check) run(ctx context.Context) error {
	for _, s := range steps {
		c.report.plan(s.lines...)
	}
	c.report.plan(wireLines...)
	c.report.plan(lineServiceBack)
	if err := c.prepare(ctx); err != nil {
		c.giveUp(err)
		return err
	}
	for i, s := range steps {
		c.person.title(i+1, len(steps), s.title)
		err := c.blame(ctx, s.run(c, ctx))
		c.giveReasons(s.lines, s.core, err)
		if err != nil && !errors.Is(err, errSkipped) {
			c.person.say("%v", reason(err))
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		} else if c.udid != "" {
			continue
		}
		c.giveUp(err) // the rest needs a phone
		return err
	}
	return nil
}

// blameLimit is how much later than what it breaks an unplug may be told.
const blameLimit = 2 * time.Second

// blame finds out whether an error is the cable's fault.
func (c *check) blame(ctx context.Context, err error) error {
	if err == nil || excused(err) || c.alive() != nil {
		return err
	}
	gone := false
	if werr := c.person.quietly(ctx, blameLimit, func() bool {
		_, here := c.present()
		gone = !here
		return gone
	}); werr != nil {
		return werr
	}
	if gone && c.alive() == nil && !errors.Is(err, errGone) {
		return fmt.Errorf("%w (%w)", errGone, err)
	}
	return err
}

// giveUp fills in the lines of all steps that are still open.
func (c *check) giveUp(err error) {
	for _, s := range steps {
		for _, l := range c.report.open(s.lines) {
			c.report.set(l, notTried, "%v", reason(err))
		}
	}
}

// giveReasons fills in the lines of a step that it has left open when it ended
// with err. The core line fails; should it be filled in, the first of them does.
func (c *check) giveReasons(lines []string, core string, err error) {
	open := c.report.open(lines)
	if len(open) > 0 && !slices.Contains(open, core) {
		core = open[0]
	}
	for _, l := range open {
		switch {
		case err == nil:
			c.report.set(l, notTried, "it did not come to that")
		case l == core && !excused(err):
			c.report.set(l, fail, "%v", err)
		default:
			c.report.set(l, notTried, "%v", reason(err))
		}
	}
}

// reason is an error as a line has it.
func reason(err error) error {
	if errors.Is(err, context.Canceled) {
		return errStopped
	}
	return err
}

// excused reports whether an error is nobody's failure: not done, not possible.
func excused(err error) bool {
	for _, e := range []error{errSkipped, errTimedOut, errAbsent, errStranger, context.Canceled} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// prepare gets all that might take the phone out of the way and starts the
// daemon.
func (c *check) prepare(ctx context.Context) error {
	if err := c.clearTheWay(ctx); err != nil {
		return err
	}
	c.watchers.Go(func() {
		if err := watchBus(ctx, c.journal, c.cfg.sysRoot); err != nil && ctx.Err() == nil {
			c.person.say("cannot watch the USB bus, so some lines will be missing: %v", err)
		}
	})
	return c.start(ctx, trust.Ask)
}

// clearTheWay stops the computer's own usbmuxd, if it may.
func (c *check) clearTheWay(ctx context.Context) error {
	found, err := c.services.find(ctx)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		yes, err := c.person.asks(ctx, fmt.Sprintf("This computer has a usbmuxd of its own (%s), which would take the iPhone.\n    May it be stopped for the check? It is started again afterwards.", found[0].name))
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("the usbmuxd of this computer holds the iPhone: nothing can be checked beside it")
		}
		if err := c.services.hold(ctx, found); err != nil {
			return err
		}
	}
	if c.cfg.standard == "" {
		return nil
	}
	if p, ok := other(ctx, c.cfg.standard); ok {
		c.person.tell(fmt.Sprintf("Another usbmuxd (process %d, %q) serves %s and would take the iPhone. End it.", p.PID, p.Name, c.cfg.standard),
			"press Enter when it has ended; s and Enter goes on beside it")
		err := c.person.await(ctx, c.person.limit, func(line *string) (bool, error) {
			_, there := other(ctx, c.cfg.standard)
			return !there || line != nil, nil
		})
		if err != nil && !errors.Is(err, errSkipped) && !errors.Is(err, errTimedOut) {
			return err
		}
	}
	return nil
}

// start starts the daemon.
func (c *check) start(ctx context.Context, policy trust.Policy, env ...string) error {
	d, err := startDaemon(ctx, c.journal, c.cfg, c.dir, string(policy), env...)
	if err == nil {
		c.daemon = d
	}
	return err
}

// alive reports an end of the daemon that nobody has asked for.
func (c *check) alive() error {
	if c.daemon != nil {
		for _, e := range slices.Backward(c.journal.all()) {
			switch e.fact.(type) {
			case started:
				return nil
			case ended:
				return errDaemon
			}
		}
	}
	return errDaemon
}

// stop stops the daemon.
func (c *check) stop() error {
	if c.daemon == nil {
		return nil
	}
	d := c.daemon
	c.daemon = nil
	return d.close()
}

// leave undoes all that the run has done to phone and computer, also after it
// was interrupted, and says what it could not undo.
func (c *check) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	if c.trusted || c.switched {
		c.reach(ctx)
		c.undo(ctx)
	}
	if err := c.stop(); err != nil {
		c.person.say("the daemon did not end well: %v", err)
	}
	if err := os.RemoveAll(c.dir); err != nil {
		c.person.say("%v", err)
	}
	c.giveBack()
}

// leaveLimit bounds what is done with the phone at the end.
const leaveLimit = 30 * time.Second

// reach sees to it that the daemon runs and has the phone in its first USB mode,
// if it is plugged in.
func (c *check) reach(ctx context.Context) {
	if c.alive() == nil && !c.switched {
		return
	}
	_ = c.stop() // whatever it says, it has ended
	if err := c.start(ctx, trust.Ask, modeVariable+"=1"); err != nil {
		c.person.say("%v", err)
		return
	}
	_ = c.person.quietly(ctx, leaveLimit/3, func() bool { // whether it is there is asked below
		_, here := c.present()
		return here
	})
	c.switched = false
}

// undo removes the file and the pairing.
func (c *check) undo(ctx context.Context) {
	_, here := c.present()
	if c.file.there {
		err := errGone
		if here {
			err = c.removeFile(ctx)
		}
		if err != nil {
			c.person.say("the file %s/%s is still on the iPhone; the next check removes it (%v)", c.file.dir, c.file.name, err)
		}
	}
	if c.trusted {
		err := errGone
		if here {
			_, err = c.daemon.control.Untrust(ctx, c.udid)
		}
		if err != nil {
			c.person.say("the iPhone still knows the pairing of this check, which harms nothing (%v)", err)
		}
	}
}

// giveBack makes the computer's own usbmuxd as it was.
func (c *check) giveBack() {
	if len(c.services.masked) == 0 {
		c.report.set(lineServiceBack, notTried, "this computer has none, or it was left alone")
		return
	}
	names := strings.Join(c.services.masked, " ")
	// Whatever came before, so without its context.
	if err := c.services.release(context.Background()); err != nil {
		c.report.set(lineServiceBack, fail, "%v", err)
		c.person.say("The usbmuxd of this computer is not as it was: %v\n   Make it so by hand: systemctl unmask --runtime %s; systemctl start usbmuxd", err, names)
		return
	}
	c.report.set(lineServiceBack, pass, "%s", names)
	c.person.say("The usbmuxd of this computer is as it was.")
}

// present is the iPhone as the daemon lists it now. Before one was chosen it is
// any.
func (c *check) present() (client.Device, bool) {
	here := make(map[uint32]client.Device)
	for _, e := range c.journal.all() {
		switch f := e.fact.(type) {
		case started, ended:
			clear(here)
		case listed:
			switch {
			case f.Kind == client.Detached:
				delete(here, f.Device.ID)
			case f.Kind == client.Attached && f.Device.ProductID != productT2:
				here[f.Device.ID] = f.Device
			}
		}
	}
	for _, d := range here {
		if c.udid == "" || d.UDID == c.udid {
			return d, true
		}
	}
	return client.Device{}, false
}

// onBus lists the phones that the kernel shows now, by path.
func (c *check) onBus() map[string]onBus {
	here := make(map[string]onBus)
	for _, e := range c.journal.all() {
		if b, ok := e.fact.(onBus); ok && b.phone() {
			switch b.Action {
			case hotplug.Add:
				here[b.Device.Path] = b
			case hotplug.Remove:
				delete(here, b.Device.Path)
			}
		}
	}
	return here
}

// busOf is a listed phone as the kernel shows it.
func (c *check) busOf(d client.Device) (onBus, bool) {
	for _, b := range c.onBus() {
		if d.LocationID == uint32(b.Device.Bus)<<16|uint32(b.Device.Address) {
			return b, true
		}
	}
	return onBus{}, false
}

// attached waits until the daemon lists the iPhone anew.
func (c *check) attached(ctx context.Context, place int, limit time.Duration) (d client.Device, at time.Time, err error) {
	err = c.person.await(ctx, limit, func(*string) (ok bool, _ error) {
		if err := c.alive(); err != nil {
			return false, err
		}
		var l listed
		l, at, ok = find(c.journal, place, func(l listed) bool {
			return l.Kind == client.Attached && l.Device.ProductID != productT2 && (c.udid == "" || l.Device.UDID == c.udid)
		})
		d = l.Device
		return ok, nil
	})
	return d, at, err
}

// told waits until the daemon's log has come as far as its word that it lists a
// phone: what it says of the phone before is then there, too.
func (c *check) told(ctx context.Context, place int) error {
	return c.person.quietly(ctx, startLimit, func() bool {
		_, _, ok := find(c.journal, place, saying("attached"))
		return ok
	})
}

// comesBack is how long a phone that has left by itself may take to come back.
const comesBack = 3 * time.Second

// phone is the iPhone. If it is not there, the person is asked to plug it in.
func (c *check) phone(ctx context.Context) (client.Device, error) {
	switch d, here := c.present(); {
	case here:
		return d, nil
	case c.udid == "":
		return d, errAbsent
	case c.alive() != nil:
		return d, errDaemon
	}
	// Phones leave the bus for a moment by themselves, as after Trust.
	place := c.journal.now()
	var d client.Device
	here := false
	err := c.person.quietly(ctx, comesBack, func() bool { d, here = c.present(); return here })
	if err != nil || here {
		return d, err
	}
	c.person.tell("The iPhone is not there. Plug it in again.", c.waiting("it is listed"))
	d, _, err = c.attached(ctx, place, c.person.limit)
	if errors.Is(err, errTimedOut) {
		err = errGone
	}
	return d, err
}

// until is await that also ends, with errGone, when the iPhone goes.
func (c *check) until(ctx context.Context, limit time.Duration, ready func(line *string) (bool, error)) error {
	return c.person.await(ctx, limit, func(line *string) (bool, error) {
		if ok, err := ready(line); ok || err != nil {
			return ok, err
		}
		_, here := c.present()
		if err := c.alive(); err != nil { // asked second: phones go with the daemon
			return false, err
		}
		if !here {
			return false, errGone
		}
		return false, nil
	})
}

// waiting is what a person is told who can just do it.
func (c *check) waiting(what string) string {
	return fmt.Sprintf("waiting up to %v until %s; s and Enter skips this", c.person.limit, what)
}

// dial connects to ports of a phone through the daemon, as any client does.
func (c *check) dial(d client.Device) lockdown.DialFunc {
	return func(ctx context.Context, port uint16) (net.Conn, error) {
		return c.daemon.sock.Connect(ctx, d.ID, port)
	}
}

// session opens a lockdown session under the record that the daemon has saved.
// The caller must Close the client.
func (c *check) session(ctx context.Context, d client.Device) (*lockdown.Client, error) {
	data, err := c.daemon.sock.ReadPairRecord(ctx, d.UDID)
	if err != nil {
		return nil, err
	}
	var rec pairrecord.Record
	if err := plist.Unmarshal(data, &rec); err != nil {
		return nil, err
	}
	learnRecord(c.secrets, rec)
	l, err := lockdown.Dial(ctx, c.dial(d), lockdown.Config{})
	if err != nil {
		return nil, err
	}
	if err := l.StartSession(ctx, rec); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// noted is a notification of the phone.
type noted string

func (noted) source() string   { return "phone" }
func (n noted) String() string { return "notifies " + string(n) }

// hearPause is between attempts to hear notifications, which a locked phone
// refuses.
const hearPause = time.Second

// hear notes the notifications of a phone, beside the daemon, until it goes or
// ctx ends.
func (c *check) hear(ctx context.Context, d client.Device) {
	dial := c.dial(d)
	c.watchers.Go(func() {
		for ctx.Err() == nil {
			err := hear(ctx, dial, func(name string) {
				c.journal.add(noted(name))
				c.person.say("(the iPhone notifies: %s)", name)
			})
			var refused *lockdown.Error
			if !errors.As(err, &refused) {
				return // it has gone
			}
			select {
			case <-time.After(hearPause):
			case <-ctx.Done():
			}
		}
	})
}

func hear(ctx context.Context, dial lockdown.DialFunc, note func(string)) error {
	l, err := lockdown.Dial(ctx, dial, lockdown.Config{})
	if err != nil {
		return err
	}
	n, err := l.Notifications(ctx)
	l.Close() // a client that stays would have the right of way in pairing
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.Observe(ctx, lockdown.NotifyRequestPair, lockdown.NotifyRequestHostBUID); err != nil {
		return err
	}
	for {
		name, err := n.Next(ctx)
		if err != nil {
			return err
		}
		note(name)
	}
}

// state matches what operators see of the iPhone in one of these states.
func (c *check) state(states ...trust.State) func(shown) bool {
	return func(s shown) bool {
		if s.Type == control.DeviceRemoved || s.Device.UDID == nil || *s.Device.UDID != c.udid {
			return false
		}
		for _, want := range states {
			if s.Device.Trust == string(want) {
				return true
			}
		}
		return false
	}
}

// newDir makes the directory of a run.
func newDir(in string) (string, error) {
	dir, err := os.MkdirTemp(in, "gomuxd-hardware-")
	if err != nil {
		return "", err
	}
	return dir, os.Mkdir(filepath.Join(dir, "lockdown"), 0o700)
}
