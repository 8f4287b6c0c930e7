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
	// notify raises a notification or replaces the one with an id that is not 0.
	notify(replaces uint32, n notice) (id uint32, err error)
	withdraw(id uint32) error
	// markup reports whether the body is taken for markup.
	markup() bool
	close()
}

// notice is what a notification says.
type notice struct {
	summary, body string
	urgent        bool
}

// notifier keeps one notification for each phone that waits for its owner.
type notifier struct {
	a   *app
	ctx context.Context

	bus    bus
	shown  map[string]notification // by key of the device
	failed bool                    // told that the desktop does not answer
}

type notification struct {
	id    uint32
	state string
	said  notice
}

func newNotifier(a *app) *notifier {
	return &notifier{a: a, shown: make(map[string]notification)}
}

// connect opens the session bus.
func (n *notifier) connect(ctx context.Context) error {
	b, err := n.a.bus(ctx)
	if err != nil {
		return err
	}
	n.ctx, n.bus = ctx, b
	return nil
}

// close withdraws what is shown: nobody would any more.
func (n *notifier) close() {
	if n.bus == nil {
		return
	}
	for _, s := range n.shown {
		_ = n.bus.withdraw(s.id)
	}
	n.bus.close()
}

// event raises, replaces or withdraws. A desktop that does not answer is told
// once on stderr and tried again with the next event.
func (n *notifier) event(e control.Event) error {
	k := key(e.Device)
	old, was := n.shown[k]
	want, wanted := noticeOf(e.Device)
	if e.Type == control.DeviceRemoved {
		wanted = false
	}
	var err error
	switch {
	case wanted && was && old.state == e.Device.Trust && old.said == want:
		return nil
	case wanted:
		said := want
		if n.markup() {
			said.body = escapeMarkup(said.body)
		}
		var id uint32
		if id, err = n.notify(old.id, said); err == nil {
			n.shown[k] = notification{id, e.Device.Trust, want}
		}
	case was:
		delete(n.shown, k)
		err = n.bus.withdraw(old.id)
	}
	if err != nil && !n.failed {
		fmt.Fprintf(n.a.stderr, "muxctl: the desktop does not take notifications: %v\n", err)
	}
	n.failed = err != nil
	return nil
}

func (n *notifier) markup() bool { return n.bus.markup() }

// notify tries once more on a new connection: the bus may have been restarted.
func (n *notifier) notify(replaces uint32, what notice) (uint32, error) {
	id, err := n.bus.notify(replaces, what)
	if err == nil {
		return id, nil
	}
	b, cerr := n.a.bus(n.ctx)
	if cerr != nil {
		return 0, err
	}
	n.bus.close()
	n.bus = b
	return n.bus.notify(0, what)
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
	signals chan *dbus.Signal
	wg      sync.WaitGroup

	mu     sync.Mutex // guards the following
	gone   map[uint32]bool
	asMark bool
	known  bool // asMark is
}

// sessionBus connects to the user's session bus.
func sessionBus(ctx context.Context) (bus, error) {
	// The connection outlives ctx: what is shown is withdrawn at the end.
	conn, err := dbus.ConnectSessionBus(dbus.WithContext(context.WithoutCancel(ctx)))
	if err != nil {
		return nil, fmt.Errorf("no session bus to notify through: %w; run this in a desktop session, or as its user unit muxctl-notify.service", err)
	}
	d := &desktop{
		conn:    conn,
		object:  conn.Object(notifyName, notifyPath),
		signals: make(chan *dbus.Signal, 64),
		gone:    make(map[uint32]bool),
	}
	for _, o := range [][]dbus.MatchOption{
		{dbus.WithMatchInterface(notifyName), dbus.WithMatchMember("NotificationClosed"), dbus.WithMatchObjectPath(notifyPath)},
		{dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, notifyName)},
	} {
		if err := conn.AddMatchSignalContext(ctx, o...); err != nil {
			conn.Close()
			return nil, fmt.Errorf("listen on the session bus: %w", err)
		}
	}
	conn.Signal(d.signals) // closed by conn.Close
	d.wg.Go(d.listen)
	return d, nil
}

// listen notes which notifications the person, or a new service, has done away
// with: these ids must not be used again.
func (d *desktop) listen() {
	for s := range d.signals {
		d.mu.Lock()
		switch s.Name {
		case notifyName + ".NotificationClosed":
			if len(s.Body) > 0 {
				if id, ok := s.Body[0].(uint32); ok && len(d.gone) < 4096 {
					d.gone[id] = true
				}
			}
		case "org.freedesktop.DBus.NameOwnerChanged":
			d.known = false
		}
		d.mu.Unlock()
	}
}

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

func (d *desktop) notify(replaces uint32, n notice) (uint32, error) {
	d.mu.Lock()
	if d.gone[replaces] {
		delete(d.gone, replaces)
		replaces = 0
	}
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
	err := d.call("Notify", "muxctl", replaces, "phone", n.summary, n.body, []string{}, hints, untilClosed).Store(&id)
	return id, err
}

func (d *desktop) withdraw(id uint32) error {
	d.mu.Lock()
	gone := d.gone[id]
	delete(d.gone, id)
	d.mu.Unlock()
	if gone {
		return nil
	}
	return d.call("CloseNotification", id).Err
}

func (d *desktop) close() {
	d.conn.Close()
	d.wg.Wait()
}
