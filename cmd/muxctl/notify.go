package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

// bus is a desktop's notification service.
type bus interface {
	// notify raises a notification, or replaces one that is still shown.
	notify(replaces ticket, n notice) (ticket, error)
	// withdraw does nothing to one that is not shown any more.
	withdraw(ticket) error
	// lost reports whether a notification went with the service that showed it,
	// not by the person's hand.
	lost(ticket) bool
	// markup reports whether the body is taken for markup.
	markup() bool
	// alive reports whether the bus can still be reached.
	alive() bool
	close()
}

// ticket stands for one notification of a bus; 0 is none. Unlike the service's
// ids, tickets are not used twice.
type ticket uint64

// notice is what a notification says.
type notice struct {
	summary, body string
	urgent        bool
}

// maxNotices is how many phones a desktop is told of one by one. A farm's are
// told of in one notification.
const maxNotices = 5

// notifier keeps one notification for each phone that waits for its owner.
type notifier struct {
	a       *app
	ctx     context.Context
	renewed chan struct{} // a service has come, which shows nothing yet
	stop    context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex // guards the following, and calls of bus
	bus     bus
	waiting map[string]notice       // by key of the device
	shown   map[string]notification // by key of the device, or together
	failed  bool                    // told that the desktop does not answer
}

// together is the key of the notification for all; no device has it.
const together = ""

type notification struct {
	ticket ticket // 0 if there is none
	said   notice
	failed bool // the desktop did not take what is said
}

func newNotifier(a *app) *notifier {
	return &notifier{a: a, renewed: make(chan struct{}, 1), waiting: make(map[string]notice), shown: make(map[string]notification)}
}

// connect opens the session bus. The caller must call close.
func (n *notifier) connect(ctx context.Context) error {
	b, err := n.a.bus(ctx, n.renewed)
	if err != nil {
		return err
	}
	n.bus = b
	n.ctx, n.stop = context.WithCancel(ctx)
	n.wg.Go(n.keep)
	return nil
}

// close withdraws what is shown: nobody would any more.
func (n *notifier) close() {
	n.stop()
	n.wg.Wait()
	for _, s := range n.shown {
		_ = n.bus.withdraw(s.ticket)
	}
	n.bus.close()
}

// keep raises everything again when the desktop's service starts late or anew.
func (n *notifier) keep() {
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.renewed:
		}
		n.mu.Lock()
		for k, s := range n.shown {
			if n.bus.lost(s.ticket) || s.failed {
				n.told(n.raise(k, s.ticket, s.said))
			}
		}
		n.mu.Unlock()
	}
}

// event raises, replaces or withdraws. A desktop that does not answer is told
// once on stderr, and tried again with the next event or when it comes.
func (n *notifier) event(e control.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := key(e.Device)
	if want, ok := noticeOf(e.Device); ok && e.Type != control.DeviceRemoved {
		n.waiting[k] = want
	} else {
		delete(n.waiting, k)
	}
	wanted := n.wanted()
	for k, old := range n.shown {
		if _, ok := wanted[k]; !ok {
			delete(n.shown, k)
			n.told(n.bus.withdraw(old.ticket))
		}
	}
	for k, want := range wanted {
		if old, was := n.shown[k]; !was || old.failed || old.said != want {
			n.told(n.raise(k, old.ticket, want))
		}
	}
	return nil
}

// wanted is what to show, given who waits.
func (n *notifier) wanted() map[string]notice {
	if len(n.waiting) <= maxNotices {
		return n.waiting
	}
	return map[string]notice{together: {
		summary: fmt.Sprintf("%d devices wait for their owners", len(n.waiting)),
		body:    "\"muxctl list\" shows what each of them needs.",
	}}
}

// raise shows what a device needs. A bus that was restarted is connected to
// again.
func (n *notifier) raise(k string, replaces ticket, what notice) error {
	n.shown[k] = notification{replaces, what, true}
	if !n.bus.alive() {
		b, err := n.a.bus(n.ctx, n.renewed)
		if err != nil {
			return err
		}
		n.bus.close()
		n.bus, replaces = b, 0
	}
	said := what
	if n.bus.markup() {
		said.body = escapeMarkup(said.body)
	}
	t, err := n.bus.notify(replaces, said)
	if err != nil {
		return err
	}
	n.shown[k] = notification{t, what, false}
	return nil
}

func (n *notifier) told(err error) {
	if err != nil && !n.failed {
		fmt.Fprintf(n.a.stderr, "muxctl: the desktop does not take notifications: %v\n", err)
	}
	n.failed = err != nil
}

// noticeOf is what to tell of a device; false if nothing.
func noticeOf(d control.Device) (notice, bool) {
	what := "your " + classOf(d)
	var summary string
	urgent := false
	switch trust.State(d.Trust) {
	case trust.Locked, trust.DialogGone:
		summary = "Unlock " + what + " and tap Trust"
	case trust.DialogShown:
		summary = "Tap Trust on " + what
	case trust.PasscodeAwaited:
		summary = "Enter the passcode on " + what
	case trust.LockedSinceBoot:
		summary = "Unlock " + what
	case trust.AccessoryRestricted:
		summary = "Unlock " + what + " and allow this computer"
	case trust.AnswerNotAccepted, trust.Denied:
		summary = "Plug " + what + " in again and tap Trust"
	case trust.Expiring:
		summary = capital(what) + " will forget this computer soon"
	case trust.ForgottenByPhone, trust.BUIDMismatch:
		summary = capital(what) + " does not know this computer any more"
	case trust.RecordBroken, trust.SupervisedChallenge, trust.PairingProhibited, trust.FindMyProtected, trust.EscrowLocked, trust.ServiceLimit:
		summary, urgent = capital(what)+" does not work with this computer", true
	default:
		return notice{}, false
	}
	body := oneLine(d.NextStep)
	if body == "" {
		body = oneLine(d.Reason)
	}
	if t := title(d); t != "" {
		body = strings.TrimSuffix(t+": "+body, ": ")
	}
	return notice{summary, body, urgent}, true
}

// classOf is what kind of device it is, in a sentence.
func classOf(d control.Device) string {
	switch d.Class {
	case "iPhone", "iPad", "iPod":
		return d.Class
	case "Watch":
		return "Apple Watch"
	case "AppleTV":
		return "Apple TV"
	case "RealityDevice":
		return "Apple Vision"
	}
	return "device"
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// escapeMarkup keeps a phone's name from being taken for markup.
func escapeMarkup(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// Names of the notification service. Source: Desktop Notifications
// Specification 1.2, freedesktop.org.
const (
	notifyName = "org.freedesktop.Notifications"
	notifyPath = "/org/freedesktop/Notifications"
)

const busPatience = 5 * time.Second

// desktop is the notification service on the session bus.
type desktop struct {
	conn    *dbus.Conn
	object  dbus.BusObject
	renewed chan<- struct{}
	signals chan *dbus.Signal
	wg      sync.WaitGroup

	mu     sync.Mutex // guards the following
	last   ticket
	shown  map[ticket]raised
	gone   map[ticket]bool // with their service
	asMark bool
	known  bool // asMark is

	replacedAt dbus.Sequence
	closedAt   map[uint32]dbus.Sequence // during a call of Notify, else nil
}

// raised is a notification as the service knows it.
type raised struct {
	id uint32
	at dbus.Sequence // of the reply
}

// sessionBus connects to the user's session bus. renewed gets a value when a
// notification service takes its place on it.
func sessionBus(ctx context.Context, renewed chan<- struct{}) (bus, error) {
	// The connection outlives ctx: what is shown is withdrawn at the end.
	conn, err := dbus.ConnectSessionBus(dbus.WithContext(context.WithoutCancel(ctx)))
	if err != nil {
		return nil, fmt.Errorf("no session bus to notify through: %w; run this in a desktop session, or as its user unit muxctl-notify.service", err)
	}
	d := &desktop{
		conn:    conn,
		object:  conn.Object(notifyName, notifyPath),
		renewed: renewed,
		signals: make(chan *dbus.Signal, 64),
		shown:   make(map[ticket]raised),
		gone:    make(map[ticket]bool),
	}
	conn.Signal(d.signals) // closed by conn.Close
	d.wg.Go(d.listen)
	for _, o := range [][]dbus.MatchOption{
		{dbus.WithMatchInterface(notifyName), dbus.WithMatchMember("NotificationClosed"), dbus.WithMatchObjectPath(notifyPath)},
		{dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, notifyName)},
	} {
		if err := conn.AddMatchSignalContext(ctx, o...); err != nil {
			d.close()
			return nil, fmt.Errorf("listen on the session bus: %w; run this in a desktop session", err)
		}
	}
	return d, nil
}

func (d *desktop) listen() {
	for s := range d.signals {
		switch s.Name {
		case notifyName + ".NotificationClosed":
			if len(s.Body) > 0 {
				if id, ok := s.Body[0].(uint32); ok {
					d.closed(id, s.Sequence)
				}
			}
		case "org.freedesktop.DBus.NameOwnerChanged":
			var name, before, after string
			if dbus.Store(s.Body, &name, &before, &after) == nil {
				d.replaced(s.Sequence)
				if after != "" {
					select {
					case d.renewed <- struct{}{}:
					default: // it is told already
					}
				}
			}
		}
	}
}

// closed notes that the person has done away with a notification.
func (d *desktop) closed(id uint32, at dbus.Sequence) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closedAt != nil {
		d.closedAt[id] = at // it may be the one whose reply is on the way
	}
	for t, r := range d.shown {
		if r.id == id && r.at < at {
			delete(d.shown, t)
		}
	}
}

// replaced notes that the service is another one, which knows no notification
// from before and gives its ids to other programs.
func (d *desktop) replaced(at dbus.Sequence) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known, d.replacedAt = false, at
	for t, r := range d.shown {
		if r.at < at {
			delete(d.shown, t)
			d.gone[t] = true
		}
	}
}

func (d *desktop) lost(t ticket) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	lost := d.gone[t]
	delete(d.gone, t) // it is raised anew
	return lost
}

func (d *desktop) alive() bool { return d.conn.Connected() }

// call is given up after a while: watching must go on.
func (d *desktop) call(method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(context.Background(), busPatience)
	defer cancel()
	return d.object.CallWithContext(ctx, notifyName+"."+method, 0, args...)
}

func (d *desktop) markup() bool {
	d.mu.Lock()
	known, as := d.known, d.asMark
	d.mu.Unlock()
	if known {
		return as
	}
	var capabilities []string
	if err := d.call("GetCapabilities").Store(&capabilities); err != nil {
		return true // the safe side
	}
	as = false
	for _, c := range capabilities {
		as = as || c == "body-markup"
	}
	d.mu.Lock()
	d.known, d.asMark = true, as
	d.mu.Unlock()
	return as
}

// Urgencies of a notification.
const (
	urgencyNormal   byte = 1
	urgencyCritical byte = 2
)

func (d *desktop) notify(replaces ticket, n notice) (ticket, error) {
	d.mu.Lock()
	old := d.shown[replaces].id // 0 if it is not shown any more
	delete(d.gone, replaces)
	d.closedAt = make(map[uint32]dbus.Sequence)
	d.mu.Unlock()
	urgency := urgencyNormal
	if n.urgent {
		urgency = urgencyCritical
	}
	hints := map[string]dbus.Variant{
		"urgency":  dbus.MakeVariant(urgency),
		"category": dbus.MakeVariant("device"),
	}
	var id uint32
	const untilClosed = int32(0)
	call := d.call("Notify", "muxctl", old, "phone", n.summary, n.body, []string{}, hints, untilClosed)
	err := call.Store(&id)
	d.mu.Lock()
	defer d.mu.Unlock()
	closed := d.closedAt[id] > call.ResponseSequence
	d.closedAt = nil
	if err != nil {
		return 0, err
	}
	delete(d.shown, replaces)
	d.last++
	switch {
	case closed: // a person is seldom so quick, but "do not disturb" is
	case d.replacedAt > call.ResponseSequence:
		d.gone[d.last] = true
	default:
		d.shown[d.last] = raised{id, call.ResponseSequence}
	}
	return d.last, nil
}

func (d *desktop) withdraw(t ticket) error {
	d.mu.Lock()
	r, shown := d.shown[t]
	delete(d.shown, t)
	delete(d.gone, t)
	d.mu.Unlock()
	if !shown {
		return nil
	}
	return d.call("CloseNotification", r.id).Err
}

func (d *desktop) close() {
	d.conn.Close()
	d.wg.Wait()
}
