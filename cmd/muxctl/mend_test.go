package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

// comeBack has a device come back with the next id once it was mended.
func (l *lab) comeBack() {
	last := uint32(100)
	l.acts.mended = func(key string) error {
		_, d, err := l.hub.Find(key)
		if err != nil {
			return err
		}
		last++
		id := last
		l.hub.Put(key, in(d, trust.Connecting, "", ""))
		d.DeviceID = &id
		l.hub.Put(key, in(d, trust.Trusted, "", ""))
		return nil
	}
}

func TestMend(t *testing.T) {
	for _, tt := range []struct {
		args, call, says string
	}{
		{"reset Anna", "reset 1-2", "was reset and is back: trusted."},
		{"reset 2-1", "reset 2-1", "was reset and is back: trusted."}, // below the multiplexer
		{"reopen 00008110", "reopen 1-2", "was opened anew and is back: trusted."},
		{"mode Anna 4", "mode 1-2 4", "was asked for USB mode 4 and is back: trusted."},
		{"mode Anna keep", "mode 1-2 0", "stays in the USB mode it is in."},
	} {
		t.Run(tt.args, func(t *testing.T) {
			l := newLab(t)
			l.serveControl()
			l.hub.Put("1-2", anna())
			l.hub.Put("1-3.4", bo())
			l.hub.Put("2-1", recovery())
			l.app.patience = patience
			l.comeBack()
			code, out, errOut := l.run(strings.Fields(tt.args)...)
			if code != exitOK || !strings.Contains(out, tt.says) || strings.Join(l.acts.calls, "; ") != tt.call {
				t.Errorf("%d, %q, %q, calls %v", code, out, errOut, l.acts.calls)
			}
			code, out, _ = l.run(append(strings.Fields(tt.args), "--json")...)
			var d control.Device
			if err := json.Unmarshal([]byte(out), &d); code != exitOK || err != nil || d.PortPath == "" {
				t.Errorf("with --json %d, %q: %v", code, out, err)
			}
		})
	}
}

// TestMendFails holds what can go wrong against the exit code and the remedy that is
// told.
func TestMendFails(t *testing.T) {
	for _, tt := range []struct {
		name, args string
		err        error // of the daemon
		code       int
		says       string
	}{
		{"nobody", "reset", nil, exitUsage, "--help"},
		{"no such device", "reset nobody", nil, exitNoSuch, "plugged in: "},
		{"no such mode", "mode Anna 7", nil, exitUsage, "keep, or 1 to 5"},
		{"does not come back", "reset Anna", nil, exitTimeout, "pull its cable out"},
		{"is hung", "reopen Anna", control.Errorf(control.CodeBusy, "it is being opened: try again in a moment"), exitFailed, "try again"},
		{"cannot be reset", "reset Anna", errors.New("EIO: pull its cable out"), exitFailed, "pull its cable out"},
		{"is a virtual one", "mode Anna 3", control.Errorf(control.CodeFailed, "use virtualphone attach"), exitFailed, "virtualphone attach"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			l.serveControl()
			l.hub.Put("1-2", anna())
			l.acts.mended = func(string) error { return tt.err }
			if code, out, errOut := l.run(strings.Fields(tt.args)...); code != tt.code || out != "" || !strings.Contains(errOut, tt.says) {
				t.Errorf("%d, %q, %q; want %d with %q", code, out, errOut, tt.code, tt.says)
			}
		})
	}
	l := newLab(t)
	if code, _, errOut := l.run("reset", "Anna"); code != exitNoDaemon || !strings.Contains(errOut, "systemctl start") {
		t.Errorf("no daemon: %d, %q", code, errOut)
	}
}

// TestRecoveryShown asserts that status says what was done about a device and what
// follows.
func TestRecoveryShown(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	d := anna()
	d.Recoveries = 3
	d.LastRecovery = &control.Recovery{Time: noon.Add(-5 * time.Minute), Action: control.ActionLeave, Reason: "it did not answer", Next: "nothing: pull its cable out"}
	l.hub.Put("1-2", d)
	_, out, _ := l.run("status", "Anna")
	for _, want := range []string{"left alone 5 minutes ago: it did not answer", "3 recoveries", "next: nothing: pull"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
}

// TestMendCompletes asserts that devices, then modes are offered, and nothing else.
func TestMendCompletes(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.hub.Put("1-2", anna())
	for line, want := range map[string][]string{
		"reset": {annaUDID}, "reopen": {annaUDID}, "mode": {annaUDID},
		"mode Anna": {"keep", "1", "2", "3", "4", "5"}, "reset Anna": nil, "mode Anna 3": nil,
	} {
		args := append([]string{"__complete", "--control", l.controlPath()}, strings.Fields(line)...)
		l.out.reset()
		if code := l.app.run(t.Context(), append(args, "")); code != exitOK {
			t.Errorf("%s: %d", line, code)
		}
		var got []string
		for offer := range strings.Lines(l.out.String()) {
			if offer, _, _ = strings.Cut(strings.TrimSpace(offer), "\t"); offer != "" && offer[0] != ':' {
				got = append(got, offer)
			}
		}
		if strings.Contains(line, " ") && !slices.Equal(got, want) || len(want) == 1 && !slices.Contains(got, want[0]) {
			t.Errorf("%s: offered %q, want %q", line, got, want)
		}
	}
}
