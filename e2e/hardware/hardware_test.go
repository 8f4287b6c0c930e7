package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomuxd/control"
	"gomuxd/virtualphone"
)

// secrets is all that a phone knows which tells who it is, or whose.
func secrets(p *virtualphone.Phone) []string {
	all := []string{p.UDID(), p.Serial(), p.Serial()[:12], code, "Quentin", "PRIVATE KEY", "CERTIFICATE", "EscrowBag"}
	for key := range personal {
		if v := p.Value("", key); v != nil && key != "UniqueDeviceID" {
			all = append(all, fmt.Sprint(v))
		}
	}
	return all
}

// secretive is a phone that has a passcode, and a name that gives its owner away.
var secretive = virtualphone.Config{Name: "Quentin's iPhone", Passcode: code}

var uuid = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// clean asserts that nothing in a report tells who somebody is.
func (p *play) clean(report string) {
	t := p.t
	t.Helper()
	for _, s := range secrets(p.phone) {
		if i := strings.Index(strings.ToLower(report), strings.ToLower(s)); i >= 0 {
			t.Errorf("%q is in the report: ...%s...", s, report[max(0, i-80):min(len(report), i+80)])
		}
	}
	if found := uuid.FindString(report); found != "" {
		t.Errorf("an id, %q, is in the report", found)
	}
	host, err := os.Hostname()
	if err == nil && !slices.Contains(plainHosts, host) && regexp.MustCompile(`(?i)\b`+regexp.QuoteMeta(host)+`\b`).MatchString(report) {
		t.Errorf("the name of this computer, %q, is in the report", host)
	}
}

// whole asserts that a report has every line once, with a verdict and a value,
// and all its parts.
func whole(t *testing.T, report string) {
	t.Helper()
	for _, s := range steps {
		for _, l := range s.lines {
			if v, value := verdictOf(t, report, l); !slices.Contains([]verdict{pass, fail, notTried}, v) || value == "" {
				t.Errorf("%s: verdict %q with %q", l, v, value)
			}
		}
	}
	for _, l := range append(slices.Clone(wireLines), lineServiceBack) {
		if v, value := verdictOf(t, report, l); v == "" || value == "" {
			t.Errorf("%s: verdict %q with %q", l, v, value)
		}
	}
	at := 0
	for _, part := range []string{"# Hardware check\n", "- daemon: ", "- computer: ", "- phone: ", "| verdict ", "## What happened when\n", "## The daemon's log\n"} {
		i := strings.Index(report[at:], part)
		if i < 0 {
			t.Errorf("no %q in its place in the report", part)
			continue
		}
		at += i
	}
	for _, bad := range []string{"protocol violations", "DATA RACE", "panic:"} {
		if strings.Contains(report, bad) {
			t.Errorf("the daemon's log says %q", bad)
		}
	}
	if n := strings.Count(report, "```"); n%2 != 0 {
		t.Errorf("%d fences, want pairs", n)
	}
}

// emptied asserts that nothing is left of a run, on the computer or the phone.
func (p *play) emptied() {
	t := p.t
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(p.cfg.temp, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if hosts := p.phone.State().Hosts; len(hosts) > 0 {
		t.Errorf("the phone still knows %v", hosts)
	}
	a := serveAFC(t, p.phone.FS())
	if all, err := a.list(fileDir); !errors.Is(err, afcNotFound) {
		t.Errorf("the phone still has %s with %q, %v", fileDir, all, err)
	}
}

// TestAll is a person who does as told, with a phone as it should be.
func TestAll(t *testing.T) {
	p := newPlay(t, secretive, asTold())
	exit, report := p.perform(t.Context())
	if exit != exitPassed {
		t.Errorf("exit code %d, want %d", exit, exitPassed)
	}
	whole(t, report)
	p.clean(report)
	p.emptied()
	for _, l := range []struct {
		name, words string
	}{
		{linePlug, "listed"},
		{lineVersion, "version 2.0, 20 bytes"},
		{lineSetup, ""},
		{lineIdentity, "iPhone14,5 (iPhone 13), 17.5 21F79"},
		{lineLocked, "PasswordProtected"},
		{lineUnlock, " s after"},
		{lineDialog, ""},
		{lineDeny, " s after"},
		{lineDenyNote, "did not come"},
		{lineDenyAgain, "UserDeniedPairing after"},
		{lineSecond, "only after a replug"},
		{lineTapNote, "did not come"},
		{linePasscode, "came"},
		{lineTrusted, " s after"},
		{lineSession, "TLS 1.3"},
		{lineUp, "3 MiB in"},
		{lineDown, "3 MiB in"},
		{lineRemoved, ""},
		{linePull, "Detached"},
		{lineReplug, "listed"},
		{lineStill, " s after"},
		{lineForgotten, ""},
		{lineLargestIn, "32764 bytes, 32728 of them data"},
		{lineLargestOut, "49152 bytes, 49116 of them data"},
		{lineWindow, "131072 bytes; at most 131072"},
		{lineAcks, "for 131072 at most"},
		{lineTogether, "packets"}, // the bus is a stream, which joins and splits them
		{lineComplaints, "none"},
	} {
		want(t, report, l.name, pass, l.words)
	}
	for _, l := range []string{lineDescriptors, lineMode, lineConfiguration, lineSwitch, lineJoined, lineBorderOut, lineBorderIn, lineRecovered, lineServiceBack} {
		want(t, report, l, notTried, "")
	}
}

// TestOtherHabits is a phone that notifies of everything and is not locked.
func TestOtherHabits(t *testing.T) {
	phone := secretive
	phone.Behavior = virtualphone.Behavior{TapNotifies: true, DenialNotifies: true}
	p := newPlay(t, phone, but(asTold(), act{"Lock the iPhone", enters("")})) // and does not
	p.cfg.grace = 10 * time.Second                                            // they do come
	_, report := p.perform(t.Context())
	whole(t, report)
	want(t, report, lineLocked, notTried, "PairingDialogResponsePending")
	want(t, report, lineUnlock, notTried, "")
	want(t, report, lineDenyNote, pass, "came")
	want(t, report, lineTapNote, pass, "came")
	want(t, report, linePasscode, pass, "came")
	want(t, report, lineForgotten, pass, "")
}

// TestNoPasscode is a phone without one: Trust is all that it asks for.
func TestNoPasscode(t *testing.T) {
	phone := secretive
	phone.Passcode = ""
	p := newPlay(t, phone, but(asTold(), act{"Lock the iPhone", enters("")}, act{`Tap "Trust"`, at(tap(true))}))
	exit, report := p.perform(t.Context())
	if exit != exitPassed {
		t.Errorf("exit code %d, want %d", exit, exitPassed)
	}
	want(t, report, lineTapNote, pass, "came")
	want(t, report, linePasscode, notTried, "before Enter")
	want(t, report, lineTrusted, pass, "")
	want(t, report, lineDown, pass, "")
}

// TestDenied is a person who will not trust.
func TestDenied(t *testing.T) {
	p := newPlay(t, secretive, but(asTold(), act{`Tap "Trust"`, at(tap(false))}))
	exit, report := p.perform(t.Context())
	if exit != exitFailed {
		t.Errorf("exit code %d, want %d", exit, exitFailed)
	}
	whole(t, report)
	p.clean(report)
	want(t, report, lineDeny, pass, "")
	want(t, report, lineTrusted, fail, "refused")
	for _, l := range []string{lineTapNote, lineSession, lineUp, linePull, lineStill, lineForgotten} {
		want(t, report, l, notTried, "")
	}
}

// TestUnplugged is a phone whose cable is pulled when nobody has asked for that:
// while it should be locked, and in the transfer.
func TestUnplugged(t *testing.T) {
	p := newPlay(t, secretive, but(asTold(),
		act{"Lock the iPhone", at(pull)},
		act{"go to the iPhone and back", at(pull)},
	))
	p.cfg.size = 512 << 20 // it is in mid-transfer, however late the cable is pulled
	exit, report := p.perform(t.Context())
	if exit != exitFailed {
		t.Errorf("exit code %d, want %d", exit, exitFailed)
	}
	whole(t, report)
	want(t, report, lineLocked, fail, "has gone")
	want(t, report, lineTrusted, pass, "")
	want(t, report, lineUp, fail, "has gone")
	want(t, report, lineDown, notTried, "")
	want(t, report, linePull, pass, "Detached")
	want(t, report, lineStill, pass, "")
}

// TestForgets is a phone that trusts no more after it was unplugged.
func TestForgets(t *testing.T) {
	p := newPlay(t, secretive, but(asTold(), act{"Pull the cable", at(pull, forgets)}))
	exit, report := p.perform(t.Context())
	if exit != exitFailed {
		t.Errorf("exit code %d, want %d", exit, exitFailed)
	}
	want(t, report, lineReplug, pass, "")
	want(t, report, lineStill, fail, "forgotten-by-phone")
}

// TestSkipped is a person who skips all there is.
func TestSkipped(t *testing.T) {
	p := newPlay(t, secretive, []act{{"", enters("s")}})
	_, report := p.perform(t.Context())
	whole(t, report)
	want(t, report, linePlug, notTried, "plugged in before")
	want(t, report, lineIdentity, pass, "iPhone14,5")
	for _, l := range []string{lineLocked, lineDeny, lineTrusted} {
		want(t, report, l, notTried, "skipped")
	}
	want(t, report, lineUp, notTried, "does not trust")
}

// TestNobody is a computer without phone and person: nothing hangs.
func TestNobody(t *testing.T) {
	p := newPlay(t, secretive, []act{{"", func(*play) {}}})
	p.phone.Unplug()
	p.cfg.limit = time.Second
	p.nobody = true
	exit, report := p.perform(t.Context())
	if exit != exitFailed {
		t.Errorf("exit code %d, want %d", exit, exitFailed)
	}
	whole(t, report)
	p.emptied()
	for _, s := range steps {
		for _, l := range s.lines {
			if v, value := verdictOf(t, report, l); v != notTried {
				t.Errorf("%s: %s with %q, want not tried", l, v, value)
			}
		}
	}
	want(t, report, linePlug, notTried, "no iPhone")
}

// TestDaemon is a daemon that is missing, that does not start, or that ends.
func TestDaemon(t *testing.T) {
	t.Run("missing", func(t *testing.T) {
		p := newPlay(t, secretive, nil)
		p.cfg.daemon = filepath.Join(t.TempDir(), "usbmuxd")
		exit, report := p.perform(t.Context())
		if exit != exitFailed || !strings.Contains(p.screen(), "start the daemon: ") {
			t.Errorf("exit code %d, want %d and the reason on the screen", exit, exitFailed)
		}
		want(t, report, linePlug, notTried, "no such file")
		p.emptied()
	})
	t.Run("does not start", func(t *testing.T) {
		p := newPlay(t, secretive, nil)
		p.cfg.daemonArgs = append(p.cfg.daemonArgs, "--no-such-option")
		exit, report := p.perform(t.Context())
		if exit != exitFailed {
			t.Errorf("exit code %d, want %d", exit, exitFailed)
		}
		want(t, report, linePlug, notTried, "no-such-option")
	})
	t.Run("ends", func(t *testing.T) {
		p := newPlay(t, secretive, but(asTold(), act{"Lock the iPhone", func(p *play) {
			dir, err := filepath.Glob(filepath.Join(p.cfg.temp, "*", "control"))
			if err != nil || len(dir) != 1 {
				p.t.Errorf("want one control socket, got %v, %v", dir, err)
				return
			}
			d, err := control.Dial(dir[0]).Daemon(context.Background())
			if err != nil {
				p.t.Error(err)
				return
			}
			if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
				p.t.Error(err)
			}
		}}))
		exit, report := p.perform(t.Context())
		if exit != exitFailed {
			t.Errorf("exit code %d, want %d", exit, exitFailed)
		}
		whole(t, report)
		want(t, report, lineLocked, fail, "the daemon has ended")
		want(t, report, lineTrusted, fail, "the daemon has ended")
		p.emptied()
	})
}

// TestDiskFull is a report that cannot be written: it is not lost.
func TestDiskFull(t *testing.T) {
	p := newPlay(t, secretive, []act{{"", enters("s")}})
	p.cfg.out = "/dev/full"
	exit, _ := p.perform(t.Context())
	if exit != exitFailed {
		t.Errorf("exit code %d, want %d", exit, exitFailed)
	}
	if s := p.screen(); !strings.Contains(s, "# Hardware check") || !strings.Contains(s, "no space left") {
		t.Error("want the report and the reason on the screen")
	}
	p.clean(p.screen())
}

// TestStoppedUnplugged is Ctrl-C while the phone is not there: the person is told
// what stays on it.
func TestStoppedUnplugged(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p := newPlay(t, secretive, but(asTold(), act{"Plug the iPhone in again", func(*play) { stop() }}))
	if exit, _ := p.perform(ctx); exit != exitStopped {
		t.Errorf("exit code %d, want %d", exit, exitStopped)
	}
	for _, words := range []string{"is still on the iPhone", "still knows the pairing"} {
		if !strings.Contains(p.screen(), words) {
			t.Errorf("want %q on the screen", words)
		}
	}
}

// TestStopped is Ctrl-C at the worst of times: nothing stays behind.
func TestStopped(t *testing.T) {
	for _, when := range []string{"Unlock the iPhone and plug", `Tap "Trust"`, "go to the iPhone and back", "Pull the cable"} {
		t.Run(when, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			p := newPlay(t, secretive, but(asTold(), act{when, func(*play) { stop() }}))
			if when == "go to the iPhone and back" {
				p.cfg.size = 512 << 20 // it is in mid-transfer
			}
			exit, report := p.perform(ctx)
			if exit != exitStopped {
				t.Errorf("exit code %d, want %d", exit, exitStopped)
			}
			whole(t, report)
			p.clean(report)
			p.emptied()
			want(t, report, lineForgotten, notTried, "stopped")
		})
	}
}
