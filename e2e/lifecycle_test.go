package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// ask has a second usbmuxd ask the one that runs.
func ask(t *testing.T, r *e2e.Rig, option string) {
	t.Helper()
	cmd := exec.CommandContext(limit(t), bin.Daemon, option, "-P", filepath.Join(r.Dir, "pid"))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("usbmuxd %s: %v, %s", option, err, out)
	}
}

// awaitLog waits until the daemon's log holds text so many times.
func awaitLog(t *testing.T, r *e2e.Rig, text string, times int) {
	t.Helper()
	for ctx := limit(t); strings.Count(r.Log(), text) < times; {
		select {
		case <-ctx.Done():
			t.Fatalf("the log does not say %q %d times\n%s", text, times, r.Log())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestExitAsPhonesGo asserts that usbmuxd --exit, which udev runs when a phone is
// unplugged, ends the daemon also if it comes before the daemon's own notice.
func TestExitAsPhonesGo(t *testing.T) {
	// Phones of a process of their own, which answers for them to the end.
	plugged := func(t *testing.T) *e2e.Rig {
		t.Helper()
		r := start(t, e2e.Config{Args: []string{"-z"}, Apart: true})
		phone(t, r, "replug")
		awaitLog(t, r, " attached ", 1)
		return r
	}
	for _, tt := range []struct {
		name string
		f    func(t *testing.T, r *e2e.Rig)
	}{
		{"unplugged, asked", func(t *testing.T, r *e2e.Rig) { phone(t, r, "unplug"); ask(t, r, "-x") }},
		{"asked, unplugged", func(t *testing.T, r *e2e.Rig) { ask(t, r, "-x"); phone(t, r, "unplug") }},
		{"at once", func(t *testing.T, r *e2e.Rig) {
			cmd := exec.CommandContext(limit(t), bin.Daemon, "-x", "-P", filepath.Join(r.Dir, "pid"))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			phone(t, r, "unplug")
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := plugged(t)
			tt.f(t, r)
			select {
			case <-r.Ended(): // well, or Stop fails
			case <-limit(t).Done():
				t.Fatalf("the daemon goes on\n%s", r.Log())
			}
		})
	}
	t.Run("with a phone", func(t *testing.T) {
		r := plugged(t)
		ask(t, r, "-x")
		awaitLog(t, r, "not exiting, as asked", 1)
		run(t, r, firstPhone, "idevice_id", "-l")
		phone(t, r, "unplug") // too late
		awaitLog(t, r, " detached", 1)
		ask(t, r, "-x")
		select {
		case <-r.Ended():
		case <-limit(t).Done():
			t.Fatalf("the daemon goes on\n%s", r.Log())
		}
	})
}

// TestReload changes the configuration file below a daemon that runs.
func TestReload(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "usbmuxd.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("[trust]\npolicy = 'never'\n")
	r := start(t, e2e.Config{Args: []string{"--config", conf}})
	awaitTrust(t, r, trust.Disabled)
	reloads := 0
	reload := func(text string) {
		t.Helper()
		write(text)
		if err := syscall.Kill(r.Pid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		reloads++
		awaitLog(t, r, "configuration read again", reloads)
	}
	reload("[trust]\npolicy = 'ask'\n")
	awaitTrust(t, r, trust.NotAsked)
	reload("[trust]\npolicy = 'auto'\n[usb]\nmode = 3\n")
	awaitTrust(t, r, trust.DialogShown)
	awaitLog(t, r, `"changed": "usb.mode trust.policy"`, 1)
	reload("[device.'" + firstPhone + "']\ntrust = 'never'\n")
	awaitTrust(t, r, trust.Disabled)

	write("\n[trust]\npolcy = 'auto'\n")
	if err := syscall.Kill(r.Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, r, "nothing has changed", 1)
	awaitLog(t, r, conf+":3: unknown key trust.polcy; the nearest is trust.policy", 1)
	awaitTrust(t, r, trust.Disabled)

	// What the command line sets wins, so a change of it below is none.
	reload("record_dir = '/elsewhere'\nlisten = ['/elsewhere']\nuser = 'nobody'\n[access]\nprofile = 'strict'\n[device.'" + firstPhone + "']\ntrust = 'never'\n")
	awaitLog(t, r, `a change of the configuration needs a restart {"key": "user"`, 1)
	if n := strings.Count(r.Log(), "needs a restart"); n != 1 {
		t.Errorf("want one key that needs a restart, got %d\n%s", n, r.Log())
	}
	awaitLog(t, r, `"changed": "access.profile"`, 1)
	run(t, r, firstPhone, "idevice_id", "-l")
}
