package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// systemd is a stand-in for systemctl, which keeps the units' states in files:
// NAME.load and NAME.active. It notes what it was told in the file "log".
const systemdScript = `#!/bin/sh
cd "$STATE" || exit 1
echo "$@" >> log
verb=$1; shift
[ -e "fail-$verb" ] && { echo "no $verb today"; exit 1; }
for unit; do
	case $unit in --*) continue ;; esac
	case $verb in
	show) echo "LoadState=$(cat "$unit.load" 2>/dev/null || echo not-found)"; echo "ActiveState=$(cat "$unit.active" 2>/dev/null || echo inactive)" ;;
	mask) cp "$unit.load" "$unit.was"; echo masked > "$unit.load" ;;
	unmask) mv "$unit.was" "$unit.load" ;;
	stop) echo inactive > "$unit.active" ;;
	start) echo active > "$unit.active" ;;
	esac
done
`

// fakeSystemd puts the stand-in into PATH and returns the directory of states.
func fakeSystemd(t *testing.T, states map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(systemdScript), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, state := range states {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(state+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("STATE", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

// told lists what the stand-in was told, without questions.
func toldSystemd(t *testing.T, dir string) (orders []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "show ") {
			orders = append(orders, line)
		}
	}
	return orders
}

const (
	mine = "usbmuxd.service"
	sock = "usbmuxd.socket"
)

func TestService(t *testing.T) {
	const question = "May it be stopped"
	for _, tt := range []struct {
		name   string
		states map[string]string
		answer string
		want   []string // orders
		line   verdict
		failed bool
	}{
		{
			"running", map[string]string{mine + ".load": "loaded", mine + ".active": "active"}, "y",
			[]string{"mask --runtime " + mine, "stop " + mine, "unmask --runtime " + mine, "start " + mine}, pass, false,
		},
		{
			"started by udev with the phone", map[string]string{mine + ".load": "loaded"}, "yes",
			[]string{"mask --runtime " + mine, "stop " + mine, "unmask --runtime " + mine}, pass, false,
		},
		{
			"with a socket", map[string]string{mine + ".load": "loaded", sock + ".load": "loaded", sock + ".active": "active"}, "Y",
			[]string{"mask --runtime " + mine, "mask --runtime " + sock, "stop " + mine + " " + sock, "unmask --runtime " + mine + " " + sock, "start " + sock}, pass, false,
		},
		{"refused", map[string]string{mine + ".load": "loaded", mine + ".active": "active"}, "", nil, notTried, true},
		{"skipped", map[string]string{mine + ".load": "loaded", mine + ".active": "active"}, "s", nil, notTried, true},
		{"held back by its owner", map[string]string{mine + ".load": "masked"}, "", nil, notTried, false},
		{"none", nil, "", nil, notTried, false},
		{
			"cannot be held back", map[string]string{mine + ".load": "loaded", mine + ".active": "active", "fail-stop": ""}, "y",
			[]string{"mask --runtime " + mine, "stop " + mine, "unmask --runtime " + mine, "start " + mine}, pass, true,
		},
		{
			"does not come back", map[string]string{mine + ".load": "loaded", mine + ".active": "active", "fail-start": ""}, "y",
			[]string{"mask --runtime " + mine, "stop " + mine, "unmask --runtime " + mine, "start " + mine}, fail, false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := fakeSystemd(t, tt.states)
			p := newSerialPlay(t, secretive, []act{{question, enters(tt.answer)}, {"", enters("s")}})
			p.cfg.systemd = t.TempDir()
			exit, report := p.perform(t.Context())
			if got := toldSystemd(t, dir); !slices.Equal(got, tt.want) {
				t.Errorf("orders %q, want %q", got, tt.want)
			}
			want(t, report, lineServiceBack, tt.line, "")
			if tt.failed && exit != exitFailed {
				t.Errorf("exit code %d, want %d", exit, exitFailed)
			}
			v, _ := verdictOf(t, report, lineIdentity)
			if talked := v == pass; talked == tt.failed {
				t.Errorf("talked to the phone: %v", talked)
			}
			if tt.line == fail && !strings.Contains(p.screen(), "Make it so by hand") {
				t.Error("the person is not told what to do")
			}
		})
	}
}

// TestServiceAfterCtrlC asserts that the service comes back in any case.
func TestServiceAfterCtrlC(t *testing.T) {
	dir := fakeSystemd(t, map[string]string{mine + ".load": "loaded", mine + ".active": "active"})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p := newSerialPlay(t, secretive, []act{{"May it be stopped", enters("y")}, {"", func(*play) { stop() }}})
	p.cfg.systemd = t.TempDir()
	if exit, report := p.perform(ctx); exit != exitStopped {
		t.Errorf("exit code %d, want %d", exit, exitStopped)
	} else {
		want(t, report, lineServiceBack, pass, mine)
	}
	if got := toldSystemd(t, dir); !slices.Contains(got, "start "+mine) {
		t.Errorf("orders %q", got)
	}
}

// TestOther is a usbmuxd that is no service of systemd.
func TestOther(t *testing.T) {
	for _, ends := range []bool{true, false} {
		address := filepath.Join(t.TempDir(), "usbmuxd")
		l, err := net.Listen("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		p := newSerialPlay(t, secretive, []act{{"Another usbmuxd", func(p *play) {
			if ends {
				l.Close()
			}
			p.enter("")
		}}, {"", enters("s")}})
		p.cfg.standard = address
		_, report := p.perform(t.Context())
		want(t, report, lineIdentity, pass, "")
		if !strings.Contains(p.screen(), "Another usbmuxd (process ") {
			t.Error("the person is not told of the other")
		}
	}
}
