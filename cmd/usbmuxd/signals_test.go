package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gomuxd/usb"
)

// TestReload asserts what of a configuration file comes into force, and what is
// told to need a restart.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf")
	opts, err := parseOptions([]string{"--config", path, "-v"})
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("user = 'a'\n")
	s, err := opts.settings()
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	d := newDaemon(opts, &s, zap.New(core))
	level := ""
	d.setLevel = func(l string) { level = l }

	write("user = 'b'\nenable_exit = true\n[control]\nsocket = '/c'\n[log]\nlevel = 'error'\n[usb]\nmode = 4\nhotplug = false\ndeny = ['port=1-1']\n[trust]\npolicy = 'ask'\nsupervisor = '/s'\n")
	d.signalled(syscall.SIGHUP)
	now := d.settings.Load()
	if level != "warn" || now.mode("") != usb.ModeEthernetNCM || now.policy("") != "ask" || !now.EnableExit || len(now.USB.Deny) != 1 {
		t.Errorf("not in force: level %q, %+v", level, now)
	}
	if now.User != "a" || !now.USB.Hotplug || now.Control.Socket != "" || now.Trust.Supervisor != "" {
		t.Errorf("in force, though it needs a restart: %+v", now)
	}
	restart := func() (keys []string) {
		for _, e := range logs.TakeAll() {
			if strings.Contains(e.Message, "needs a restart") {
				keys = append(keys, e.ContextMap()["key"].(string))
			}
		}
		return keys
	}
	if got, want := restart(), []string{"user", "control.socket", "usb.hotplug", "trust.supervisor"}; !reflect.DeepEqual(got, want) {
		t.Errorf("want %v said to need a restart, got %v", want, got)
	}

	for _, broken := range []string{"user = 5\n", "[trust]\npolicy = 'maybe'\n", "listen = ['0.0.0.0:1']\n"} {
		write(broken)
		d.signalled(syscall.SIGHUP)
		if d.settings.Load() != now || logs.FilterMessageSnippet("nothing has changed").Len() != 1 {
			t.Errorf("%q: want nothing changed, and that said; got %v", broken, logs.All())
		}
		logs.TakeAll()
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	d.signalled(syscall.SIGHUP)
	if d.settings.Load() != now {
		t.Error("a file that is gone has changed something")
	}
}

// TestEveryKeyIsSorted asserts that each key is either read again or said to need
// a restart, and that the file that is installed says which.
func TestEveryKeyIsSorted(t *testing.T) {
	text, err := os.ReadFile("../../packaging/usbmuxd.conf")
	if err != nil {
		t.Fatal(err)
	}
	table, restart, seen := "", false, 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		key, _, isKey := strings.Cut(strings.TrimPrefix(line, "#"), " = ")
		switch {
		case strings.HasPrefix(line, "["):
			table = strings.Trim(line, "[]") + "."
		case line == "":
			restart = false
		case strings.HasPrefix(line, "# "):
			restart = restart || strings.Contains(line, "(restart)")
		case isKey:
			seen++
			again := false
			for _, k := range reloadable {
				again = again || k == table+key
			}
			if again == restart {
				t.Errorf("%s%s: read again: %v, marked (restart): %v", table, key, again, restart)
			}
		}
	}
	for _, key := range configKeys() {
		if !strings.HasPrefix(key, "access.rule.") && !strings.HasPrefix(key, "device.") && !strings.HasPrefix(key, "socket.") { // they are shown as examples
			seen--
		}
	}
	if seen != 0 {
		t.Errorf("%d keys more are shown than there are", seen)
	}
}
