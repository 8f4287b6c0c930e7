package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

// service is a desktop's notification service on a private bus.
type service struct {
	conn *dbus.Conn

	mu    sync.Mutex
	next  uint32
	shown map[uint32]string
	log   []string
}

func (s *service) did(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *service) Notify(_ string, replaces uint32, _, summary, body string, _ []string, hints map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := replaces
	if id == 0 {
		s.next++
		id = s.next
	}
	s.shown[id] = summary
	s.did("notify %d %d %s | %s | %v", id, replaces, summary, body, hints["urgency"].Value())
	return id, nil
}

func (s *service) CloseNotification(id uint32) *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.shown, id)
	s.did("close %d", id)
	return nil
}

func (s *service) GetCapabilities() ([]string, *dbus.Error) {
	return []string{"body", "body-markup"}, nil
}

// dismiss is the person's click.
func (s *service) dismiss(t *testing.T, id uint32) {
	t.Helper()
	s.mu.Lock()
	delete(s.shown, id)
	s.mu.Unlock()
	if err := s.conn.Emit(notifyPath, notifyName+".NotificationClosed", id, uint32(2)); err != nil {
		t.Fatal(err)
	}
}

func (s *service) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

// privateBus starts a message bus and a notification service on it.
func privateBus(t *testing.T) *service {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("no dbus-daemon here")
	}
	dir := t.TempDir()
	address := "unix:path=" + filepath.Join(dir, "bus")
	config := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, []byte(`<busconfig><type>session</type><listen>`+address+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--config-file="+config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	var conn *dbus.Conn
	await(t, "the bus", func() (ok bool) {
		c, err := dbus.Connect(address)
		conn = c
		return err == nil
	})
	t.Cleanup(func() { conn.Close() })
	s := &service{conn: conn, shown: make(map[uint32]string)}
	if err := conn.Export(s, notifyPath, notifyName); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName(notifyName, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("own %s: %v, %v", notifyName, reply, err)
	}
	return s
}

// captured has muxctl use the private bus; showing waits until it takes n
// notifications for shown.
func (l *lab) captured() (showing func(n int)) {
	var mu sync.Mutex
	var d *desktop
	l.app.bus = func(ctx context.Context, renewed chan<- struct{}) (bus, error) {
		b, err := sessionBus(ctx, renewed)
		mu.Lock()
		defer mu.Unlock()
		d, _ = b.(*desktop)
		return b, err
	}
	return func(n int) {
		l.t.Helper()
		await(l.t, fmt.Sprintf("%d notifications", n), func() bool {
			mu.Lock()
			defer mu.Unlock()
			if d == nil {
				return false
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			return len(d.shown) == n
		})
	}
}

func TestNotify(t *testing.T) {
	s := privateBus(t)
	l := newLab(t)
	stop := l.serveControl()
	showing := l.captured()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		code, _, _ := l.runContext(ctx, "watch", "--notify")
		done <- code
	}()
	logged := func(n int) {
		t.Helper()
		await(t, fmt.Sprintf("%d calls", n), func() bool { return len(s.lines()) >= n })
	}
	l.hub.Put("a", in(anna(), trust.Connecting, "", ""))
	l.hub.Put("a", in(anna(), trust.Locked, "", "Unlock <b>it</b> & tap Trust."))
	logged(1)
	l.hub.Put("a", in(anna(), trust.DialogShown, "", "Tap Trust."))
	logged(2)
	l.hub.Put("a", in(anna(), trust.Trusted, "", ""))
	logged(3)
	l.hub.Put("b", bo())
	logged(4)
	// The daemon restarts: what is shown is not raised again.
	stop()
	await(t, "the loss", func() bool { return strings.Contains(l.errOut.String(), "waiting") })
	l.serveControl()
	await(t, "the daemon", func() bool { return strings.Contains(l.errOut.String(), "is back") })
	l.hub.Remove("b")
	logged(5)
	l.hub.Put("b", bo())
	logged(6)
	// The person closes it: the next state is a new one, not a replacement.
	showing(1)
	s.dismiss(t, 3)
	showing(0)
	l.hub.Put("b", in(bo(), trust.PasscodeAwaited, "", "Enter it."))
	logged(7)
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("watch = %d, %q", code, l.errOut.String())
	}
	want := []string{
		"notify 1 0 Unlock your iPhone and tap Trust | Anna’s iPhone: Unlock &lt;b&gt;it&lt;/b&gt; &amp; tap Trust. | 1",
		"notify 1 1 Tap Trust on your iPhone | Anna’s iPhone: Tap Trust. | 1",
		"close 1",
		"notify 2 0 Tap Trust on your iPad | Bo: On the iPad, tap Trust and then enter its passcode. | 1",
		"close 2",
		"notify 3 0 Tap Trust on your iPad | Bo: On the iPad, tap Trust and then enter its passcode. | 1",
		"notify 4 0 Enter the passcode on your iPad | Bo: Enter it. | 1",
		"close 4",
	}
	if got := s.lines(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the desktop was told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNotifyServiceRestarts asserts that a service that comes late, or in the
// place of another, shows what is to be done, but not what was clicked away.
func TestNotifyServiceRestarts(t *testing.T) {
	s := privateBus(t)
	name := func(own bool) {
		t.Helper()
		var err error
		if own {
			_, err = s.conn.RequestName(notifyName, dbus.NameFlagDoNotQueue)
		} else {
			_, err = s.conn.ReleaseName(notifyName)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	name(false)
	l := newLab(t)
	l.serveControl()
	showing := l.captured()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		code, _, _ := l.runContext(ctx, "watch", "--notify")
		done <- code
	}()
	logged := func(n int) {
		t.Helper()
		await(t, fmt.Sprintf("%d calls", n), func() bool { return len(s.lines()) >= n })
	}
	l.hub.Put("b", bo())
	await(t, "a complaint", func() bool { return strings.Contains(l.errOut.String(), "does not take notifications") })
	name(true)
	logged(1)
	l.hub.Put("a", in(anna(), trust.Locked, "", "Unlock it."))
	showing(2)
	s.dismiss(t, 1)
	showing(1)
	s.mu.Lock()
	s.next = 10 // another service gives other ids
	s.mu.Unlock()
	name(false)
	name(true)
	logged(3)
	l.hub.Put("a", in(anna(), trust.DialogShown, "", "Tap Trust."))
	logged(4)
	l.hub.Remove("b")
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("watch = %d, %q", code, l.errOut.String())
	}
	want := []string{
		"notify 1 0 Tap Trust on your iPad | Bo: On the iPad, tap Trust and then enter its passcode. | 1",
		"notify 2 0 Unlock your iPhone and tap Trust | Anna’s iPhone: Unlock it. | 1",
		"notify 11 0 Unlock your iPhone and tap Trust | Anna’s iPhone: Unlock it. | 1",
		"notify 11 11 Tap Trust on your iPhone | Anna’s iPhone: Tap Trust. | 1",
		"close 11",
	}
	if got := s.lines(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the desktop was told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// fakeBus fails as told.
type fakeBus struct {
	fail  error
	dead  bool
	calls []string
}

func (b *fakeBus) notify(replaces ticket, n notice) (ticket, error) {
	if b.fail != nil {
		return 0, b.fail
	}
	b.calls = append(b.calls, fmt.Sprintf("notify %d %s", replaces, n.summary))
	return 7, nil
}
func (b *fakeBus) withdraw(id ticket) error {
	b.calls = append(b.calls, fmt.Sprintf("close %d", id))
	return b.fail
}
func (b *fakeBus) lost(ticket) bool { return false }
func (b *fakeBus) alive() bool      { return !b.dead }
func (b *fakeBus) markup() bool     { return false }
func (b *fakeBus) close()           { b.calls = append(b.calls, "end") }

func TestNotifyWithoutService(t *testing.T) {
	l := newLab(t)
	b := &fakeBus{fail: errors.New("no such name")}
	l.app.bus = func(context.Context, chan<- struct{}) (bus, error) { return b, nil }
	n := newNotifier(l.app)
	if err := n.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := n.event(control.Event{Type: control.DeviceChanged, Device: bo()}); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(l.errOut.String(), "\n"); got != 1 {
		t.Errorf("%d lines on stderr: %q; want 1", got, l.errOut.String())
	}
	b.fail = nil
	if err := n.event(control.Event{Type: control.DeviceChanged, Device: bo()}); err != nil {
		t.Fatal(err)
	}
	// The bus itself is restarted.
	b.dead = true
	fresh := &fakeBus{}
	l.app.bus = func(context.Context, chan<- struct{}) (bus, error) { return fresh, nil }
	if err := n.event(control.Event{Type: control.DeviceChanged, Device: in(bo(), trust.PasscodeAwaited, "", "Enter it.")}); err != nil {
		t.Fatal(err)
	}
	n.close()
	if got := fmt.Sprint(b.calls, fresh.calls); got != "[notify 0 Tap Trust on your iPad end] [notify 0 Enter the passcode on your iPad close 7 end]" {
		t.Errorf("calls %s", got)
	}
}

// TestNotifyMany asserts that a farm does not bury the desktop.
func TestNotifyMany(t *testing.T) {
	s := privateBus(t)
	l := newLab(t)
	l.app.bus = sessionBus
	n := newNotifier(l.app)
	if err := n.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	tell := func(kind control.EventType, i int) {
		d := in(bo(), trust.Locked, "", "Unlock it.")
		d.Name, d.PortPath, d.UDID = fmt.Sprintf("Phone %d", i), fmt.Sprintf("1-%d", i), nil
		if err := n.event(control.Event{Type: kind, Device: d}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 * maxNotices {
		tell(control.DeviceAdded, i)
	}
	showing := func() []string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Sorted(maps.Values(s.shown))
	}
	if got := showing(); len(got) != 1 || got[0] != "10 devices wait for their owners" {
		t.Errorf("the desktop shows %q", got)
	}
	for i := range maxNotices {
		tell(control.DeviceRemoved, i)
	}
	if got := showing(); len(got) != maxNotices || got[0] != "Unlock your iPad and tap Trust" {
		t.Errorf("the desktop shows %q", got)
	}
	n.close()
	if got := showing(); len(got) != 0 {
		t.Errorf("the desktop still shows %q", got)
	}
}

func TestEveryWaitingStateHasANotice(t *testing.T) {
	silent := map[trust.State]bool{trust.ChargingOnly: true, trust.NoMux: true, trust.Recovery: true, trust.DFU: true, trust.Connecting: true,
		trust.NotAnswering: true, trust.RestoreMode: true, trust.NoLockdown: true, trust.NotAsked: true, trust.Trusted: true, trust.Disabled: true}
	for _, s := range trust.States() {
		n, ok := noticeOf(in(anna(), s, "why", "what"))
		if ok == silent[s] || ok && (n.summary == "" || n.body == "") {
			t.Errorf("state %s: notice %+v, %v", s, n, ok)
		}
	}
}

func TestNoSessionBus(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	l := newLab(t)
	l.app.bus = sessionBus
	if code, _, errOut := l.run("watch", "--notify"); code != exitFailed || !strings.Contains(errOut, "muxctl-notify.service") {
		t.Errorf("watch --notify = %d, %q", code, errOut)
	}
}
