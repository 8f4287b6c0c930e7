package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gomuxd/access"
	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

// in is the device in another state.
func in(d control.Device, state trust.State, reason, next string) control.Device {
	d.Trust, d.Reason, d.NextStep, d.Cause, d.Since = string(state), reason, next, "", noon
	return d
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for by := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(by) {
			t.Fatalf("%s: did not happen", what)
		}
	}
}

// play has the phone go through states after it was asked, each once the one
// before was shown.
func (l *lab) play(states ...control.Device) {
	l.acts.trust = func(key string, _ control.TrustRequest) error {
		l.hub.Put(key, states[0])
		go func() {
			for i, d := range states[1:] {
				await(l.t, "state "+states[i].Trust, func() bool { return strings.Contains(l.out.String(), states[i].Trust) })
				l.hub.Put(key, d)
			}
		}()
		return nil
	}
}

func TestTrust(t *testing.T) {
	locked := in(anna(), trust.Locked, "The iPhone is locked.", "Unlock the iPhone.")
	dialog := in(anna(), trust.DialogShown, "It asks.", "On the iPhone, tap Trust and then enter its passcode, so that this computer may read photos and make backups.")
	passcode := in(anna(), trust.PasscodeAwaited, "Trust was tapped.", "Enter the passcode on the iPhone.")
	denied := in(anna(), trust.Denied, "The owner tapped Don't Trust.", "Run muxctl trust to ask again.")
	trusted := in(anna(), trust.Trusted, "", "")
	for _, tt := range []struct {
		name   string
		before control.Device
		after  []control.Device
		want   int
	}{
		{"accepted", in(anna(), trust.NotAsked, "", ""), []control.Device{locked, dialog, passcode, trusted}, exitOK},
		{"refused", locked, []control.Device{locked, dialog, denied}, exitRefused},
		{"again", denied, []control.Device{dialog, trusted}, exitOK},
		{"prohibited", locked, []control.Device{dialog, in(anna(), trust.PairingProhibited, "Management forbids it.", "Ask whoever manages the iPhone.")}, exitRefused},
		{"recovery", recovery(), []control.Device{recovery()}, exitRefused},
		{"already", trusted, nil, exitOK},
	} {
		for _, w := range []int{60, 100, 160} {
			t.Run(fmt.Sprintf("%s-%d", tt.name, w), func(t *testing.T) {
				l := newLab(t)
				l.serveControl()
				l.width, l.app.patience, l.app.grace = w, patience, patience
				l.hub.Put("k", tt.before)
				l.acts.records = []control.Record{annaRecord()}
				l.acts.used(noon)
				if tt.after != nil {
					l.play(tt.after...)
				}
				code, out, errOut := l.run("trust")
				if code != tt.want {
					t.Errorf("trust = %d; want %d", code, tt.want)
				}
				golden(t, fmt.Sprintf("trust-%s-%d", tt.name, w), out+errOut)
			})
		}
	}
}

// TestTrustAskedAnew asserts that a refusal from before is not taken for the answer to
// what is asked now, which takes its time.
func TestTrustAskedAnew(t *testing.T) {
	for _, before := range []trust.State{trust.Denied, trust.PairingProhibited, trust.SupervisedChallenge} {
		t.Run(string(before), func(t *testing.T) {
			l := newLab(t)
			l.serveControl()
			l.app.patience, l.app.grace = patience, patience
			l.hub.Put("k", in(anna(), before, "It said no.", "Ask."))
			l.acts.trust = func(key string, _ control.TrustRequest) error {
				go func() {
					await(t, "the old answer", func() bool { return strings.Contains(l.out.String(), string(before)) })
					l.hub.Put(key, in(anna(), trust.DialogShown, "It asks.", "Tap Trust."))
					await(t, "the dialog", func() bool { return strings.Contains(l.out.String(), "dialog-shown") })
					l.hub.Put(key, in(anna(), trust.Trusted, "", ""))
				}()
				return nil
			}
			if code, out, errOut := l.run("trust"); code != exitOK {
				t.Errorf("trust = %d, %q, %q", code, out, errOut)
			}
		})
	}
}

// TestTrustForgotten asserts that a phone which is said to trust this computer is
// asked whether it still does, and asked for trust if it does not.
func TestTrustForgotten(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.app.patience = patience
	l.acts.records = []control.Record{annaRecord()}
	l.hub.Put("k", anna())
	l.acts.trust = func(string, control.TrustRequest) error {
		l.acts.trust = nil
		go func() {
			l.hub.Put("k", in(anna(), trust.DialogShown, "It asks again.", "Tap Trust."))
			await(t, "the dialog", func() bool { return strings.Contains(l.out.String(), "dialog-shown") })
			l.hub.Put("k", in(anna(), trust.Trusted, "", ""))
		}()
		return nil
	}
	if code, out, errOut := l.run("trust"); code != exitOK || !strings.Contains(out, "Tap Trust.") || !strings.Contains(out, "trusts this computer") {
		t.Errorf("trust = %d, %q, %q", code, out, errOut)
	}

	l.hub.Put("k", anna())
	l.acts.trust = func(string, control.TrustRequest) error {
		l.hub.Put("k", in(anna(), trust.ForgottenByPhone, "It was reset.", "Trust it anew."))
		return nil
	}
	if code, _, errOut := l.run("trust", "--touch"); code != exitRefused || !strings.Contains(errOut, "any more (forgotten-by-phone)") {
		t.Errorf("trust --touch of a phone that has forgotten = %d, %q; want %d", code, errOut, exitRefused)
	}
}

func TestTrustJSON(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.hub.Put("k", in(anna(), trust.NotAsked, "", ""))
	l.play(in(anna(), trust.DialogShown, "", ""), in(anna(), trust.Trusted, "", ""))
	code, out, _ := l.run("trust", "anna", "--json")
	var states []string
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var d control.Device
		if err := dec.Decode(&d); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		states = append(states, d.Trust)
	}
	if code != exitOK || fmt.Sprint(states) != "[dialog-shown trusted]" {
		t.Errorf("trust --json = %d, %v", code, states)
	}
}

func TestTrustStillDenied(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.hub.Put("k", in(anna(), trust.Denied, "The owner tapped Don't Trust.", "Replug it."))
	if code, _, errOut := l.run("trust"); code != exitRefused || !strings.Contains(errOut, "refuses (denied)") {
		t.Errorf("trust = %d, %q; want %d", code, errOut, exitRefused)
	}
}

func TestTrustReplug(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.app.patience = patience
	l.hub.Put("k", in(anna(), trust.Locked, "", "Unlock it."))
	asked := 0
	l.acts.trust = func(key string, _ control.TrustRequest) error {
		if asked++; asked == 1 {
			l.hub.Put(key, in(anna(), trust.DialogShown, "", "Tap Trust."))
			go func() {
				await(t, "the dialog", func() bool { return strings.Contains(l.out.String(), "dialog-shown") })
				l.hub.Remove(key)
				await(t, "the unplug", func() bool { return strings.Contains(l.out.String(), "unplugged") })
				elsewhere := in(anna(), trust.NotAsked, "", "")
				elsewhere.PortPath = "1-7"
				early := in(elsewhere, trust.Connecting, "", "")
				early.UDID, early.DeviceID = nil, nil
				l.hub.Put("other", early)
				l.hub.Put("other", elsewhere)
			}()
			return nil
		}
		l.hub.Put(key, in(anna(), trust.Trusted, "", ""))
		return nil
	}
	if code, out, errOut := l.run("trust"); code != exitOK || asked != 2 {
		t.Errorf("trust = %d after %d requests, %q, %q", code, asked, out, errOut)
	}
}

func TestTrustGone(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.hub.Put("k", in(anna(), trust.Locked, "", "Unlock it."))
	l.acts.trust = func(key string, _ control.TrustRequest) error {
		go l.hub.Remove(key)
		return nil
	}
	if code, _, errOut := l.run("trust"); code != exitNoSuch || !strings.Contains(errOut, "has not come back") {
		t.Errorf("trust = %d, %q; want %d", code, errOut, exitNoSuch)
	}
}

func TestTrustDaemonRestarts(t *testing.T) {
	l := newLab(t)
	stop := l.serveControl()
	l.app.patience = patience
	l.hub.Put("k", in(anna(), trust.Locked, "", "Unlock it."))
	restarted := false
	l.acts.trust = func(key string, _ control.TrustRequest) error {
		if restarted {
			l.hub.Put(key, in(anna(), trust.Trusted, "", ""))
			return nil
		}
		restarted = true
		go func() {
			await(t, "the request", func() bool { return strings.Contains(l.out.String(), "locked") })
			stop()
			await(t, "the loss", func() bool { return strings.Contains(l.errOut.String(), "has gone") })
			l.serveControl()
		}()
		return nil
	}
	if code, out, errOut := l.run("trust"); code != exitOK {
		t.Errorf("trust = %d, %q, %q", code, out, errOut)
	}
}

func TestTrustTimeout(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.hub.Put("k", in(anna(), trust.Locked, "", "Unlock it."))
	if code, _, errOut := l.run("trust", "--timeout", "50ms"); code != exitTimeout || !strings.Contains(errOut, "Unlock it.") {
		t.Errorf("trust = %d, %q; want %d", code, errOut, exitTimeout)
	}
}

func TestTrustWhich(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	if code, _, errOut := l.run("trust"); code != exitNoSuch || !strings.Contains(errOut, "plug one in") {
		t.Errorf("trust of none = %d, %q", code, errOut)
	}
	l.hub.Put("1", anna())
	l.hub.Put("2", bo())
	if code, _, errOut := l.run("trust"); code != exitUsage || !strings.Contains(errOut, "Bo") {
		t.Errorf("trust of two = %d, %q", code, errOut)
	}
	l.acts.trust = func(string, control.TrustRequest) error {
		return control.Errorf(control.CodeFailed, "the phone is on fire")
	}
	if code, _, errOut := l.run("trust", "Bo"); code != exitFailed || !strings.Contains(errOut, "on fire") {
		t.Errorf("trust = %d, %q", code, errOut)
	}
}

func TestTouch(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.acts.records = []control.Record{annaRecord()}
	l.hub.Put("k", anna())
	l.acts.trust = func(_ string, req control.TrustRequest) error {
		if !req.Touch {
			t.Error("a touch that asks")
		}
		go l.acts.used(noon)
		return nil
	}
	code, out, errOut := l.run("trust", "--touch")
	if want := "Anna’s iPhone: the time of last use is renewed; unused, it expires in about 29 days (an estimate).\n"; code != exitOK || out != want {
		t.Errorf("trust --touch = %d, %q, %q; want %q", code, out, errOut, want)
	}
	l.acts.trust = nil
	l.acts.used(noon.Add(-time.Minute))
	if code, _, _ := l.run("trust", "--touch", "--timeout", "30ms"); code != exitTimeout {
		t.Errorf("trust --touch without an answer = %d; want %d", code, exitTimeout)
	}
	l.hub.Put("k", bo())
	if code, _, _ := l.run("trust", "--touch"); code != exitRefused {
		t.Errorf("trust --touch of an untrusted phone = %d; want %d", code, exitRefused)
	}
}

func TestForbidden(t *testing.T) {
	l := newLab(t)
	l.peer = access.Peer{Origin: access.Local, PID: 1, UID: 65534, GID: 65534}
	l.serveControl()
	l.hub.Put("k", bo())
	for _, args := range [][]string{{"trust"}, {"untrust", "Bo"}, {"records", "list"}} {
		if code, _, errOut := l.run(args...); code != exitForbidden || errOut == "" {
			t.Errorf("%v = %d, %q; want %d", args, code, errOut, exitForbidden)
		}
	}
	if code, _, _ := l.run("list"); code != exitOK {
		t.Errorf("list = %d; want %d", code, exitOK)
	}
	l.hub.Put("k", anna()) // needs nothing that is forbidden
	if code, out, _ := l.run("trust"); code != exitOK || !strings.Contains(out, "trusts this computer") {
		t.Errorf("trust of a trusted phone = %d, %q; want %d", code, out, exitOK)
	}
}

func TestUntrust(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.acts.records = []control.Record{annaRecord(), boRecord()}
	l.hub.Put("k", anna())
	for _, tt := range []struct {
		name   string
		args   []string
		stdin  string // "" is no terminal
		result control.UntrustResult
		code   int
		want   string
		calls  int
	}{
		{"here", []string{"anna"}, "", control.UntrustResult{Phone: true, Record: true}, exitOK, "has forgotten this computer", 1},
		{"absent", []string{boUDID}, "", control.UntrustResult{Pending: true, Record: true}, exitOK, "keeps its half of the key", 1},
		{"yes", []string{"anna"}, "y\n", control.UntrustResult{Phone: true, Record: true}, exitOK, "has forgotten", 1},
		{"no", []string{"anna"}, "\n", control.UntrustResult{}, exitFailed, "nothing was changed", 0},
		{"not asked", []string{"anna", "--yes"}, "\n", control.UntrustResult{Phone: true}, exitOK, "has forgotten", 1},
		{"all", []string{"--all", "-y"}, "", control.UntrustResult{Phone: true, Record: true}, exitOK, "has forgotten", 2},
		{"all, no terminal", []string{"--all"}, "", control.UntrustResult{}, exitUsage, "--yes", 0},
		{"unknown", []string{"ffff0000"}, "", control.UntrustResult{}, exitNoSuch, "no pair record", 0},
		{"nothing", nil, "", control.UntrustResult{}, exitUsage, "name a device", 0},
		{"both", []string{"anna", "--all"}, "", control.UntrustResult{}, exitUsage, "either", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.terminal, l.app.stdin, l.acts.calls = tt.stdin != "", strings.NewReader(tt.stdin), nil
			l.acts.untrust = func(udid string) (control.UntrustResult, error) {
				r := tt.result
				r.UDID = udid
				return r, nil
			}
			code, out, errOut := l.run(append([]string{"untrust"}, tt.args...)...)
			if code != tt.code || !strings.Contains(out+errOut, tt.want) || len(l.acts.calls) != tt.calls {
				t.Errorf("untrust = %d, %q, %q, calls %v; want %d, %q, %d calls", code, out, errOut, l.acts.calls, tt.code, tt.want, tt.calls)
			}
		})
	}
	l.acts.untrust = func(udid string) (control.UntrustResult, error) {
		if udid == boUDID {
			return control.UntrustResult{}, errors.New("no")
		}
		return control.UntrustResult{UDID: udid, Phone: true}, nil
	}
	if code, out, errOut := l.run("untrust", "--all", "-y"); code != exitFailed || !strings.Contains(out, "forgotten") || !strings.Contains(errOut, boUDID) {
		t.Errorf("untrust --all = %d, %q, %q", code, out, errOut)
	}
}

func TestWatchGolden(t *testing.T) {
	for _, w := range []int{60, 100, 160} {
		for _, color := range []bool{false, true} {
			name := fmt.Sprintf("watch-%d", w)
			if color {
				name += "-color"
			}
			t.Run(name, func(t *testing.T) {
				l := newLab(t)
				l.width, l.terminal = w, color
				for _, e := range []control.Event{
					{Type: control.DeviceAdded, Device: in(bo(), trust.Connecting, "", ""), Time: noon},
					{Type: control.DeviceChanged, Device: bo(), Time: noon.Add(time.Second)},
					{Type: control.DeviceChanged, Device: in(bo(), trust.Trusted, "", ""), Time: noon.Add(time.Minute)},
					{Type: control.DeviceAdded, Device: evil(), Time: noon.Add(time.Minute)},
					{Type: control.DeviceRemoved, Device: bo(), Time: noon.Add(time.Hour)},
				} {
					if err := l.app.showEvent(e); err != nil {
						t.Fatal(err)
					}
				}
				golden(t, name, l.out.String())
			})
		}
	}
}

// TestWatchNews asserts that a person is not told the same twice.
func TestWatchNews(t *testing.T) {
	l := newLab(t)
	show := news(l.app.showEvent)
	more := anna()
	more.Capacity = ptr(uint64(256e9))
	for _, e := range []control.Event{
		{Type: control.DeviceAdded, Device: anna(), Time: noon},
		{Type: control.DeviceChanged, Device: more, Time: noon},
		{Type: control.DeviceChanged, Device: in(anna(), trust.Expiring, "", "Use it."), Time: noon},
		{Type: control.DeviceRemoved, Device: anna(), Time: noon},
		{Type: control.DeviceAdded, Device: in(anna(), trust.Expiring, "", "Use it."), Time: noon},
	} {
		if err := show(e); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(l.out.String(), "\n"); got != 4 {
		t.Errorf("%d lines, want 4:\n%s", got, l.out.String())
	}
}

// TestWatchRestart has the daemon restart with one phone gone, one changed and
// one as before.
func TestWatchRestart(t *testing.T) {
	l := newLab(t)
	stop := l.serveControl()
	l.hub.Put("1", anna())
	l.hub.Put("2", bo())
	l.hub.Put("3", recovery())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		code, _, _ := l.runContext(ctx, "watch", "--json")
		done <- code
	}()
	lines := func(n int) func() bool {
		return func() bool { return strings.Count(l.out.String(), "\n") >= n }
	}
	await(t, "three devices", lines(3))
	stop()
	await(t, "the loss", func() bool { return strings.Contains(l.errOut.String(), "waiting for the daemon") })
	l.hub.Remove("1")
	l.hub.Put("2", in(bo(), trust.Trusted, "", ""))
	l.serveControl()
	await(t, "what has changed", lines(5))
	l.hub.Remove("3")
	await(t, "the end", lines(6))
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("watch = %d; want %d", code, exitOK)
	}
	var got []string
	for line := range strings.Lines(l.out.String()) {
		var e control.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s", e.Type, title(e.Device)))
	}
	want := []string{"added Anna’s iPhone", "added Bo", "added iPhone", "changed Bo", "removed Anna’s iPhone", "removed iPhone"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %v; want %v", got, want)
	}
	if !strings.Contains(l.errOut.String(), "the daemon is back") {
		t.Errorf("stderr %q", l.errOut.String())
	}
}

// TestTrustEarly asks a phone whose UDID is not known yet.
func TestTrustEarly(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.app.patience = patience
	early := in(anna(), trust.Connecting, "It has just been plugged in.", "")
	early.UDID, early.DeviceID = nil, nil
	l.hub.Put("k", early)
	l.acts.trust = func(key string, _ control.TrustRequest) error {
		l.hub.Put(key, in(anna(), trust.Trusted, "", ""))
		return nil
	}
	go func() {
		await(t, "the beginning", func() bool { return strings.Contains(l.out.String(), "connecting") })
		l.hub.Put("k", in(anna(), trust.NotAsked, "", ""))
	}()
	if code, out, errOut := l.run("trust"); code != exitOK || !strings.Contains(out, "trusts this computer") {
		t.Errorf("trust = %d, %q, %q", code, out, errOut)
	}
}
