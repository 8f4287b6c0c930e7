package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomuxd/virtualphone"
)

func TestRun(t *testing.T) {
	p, err := virtualphone.New(virtualphone.Config{Name: "Anna", Passcode: "1"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- virtualphone.ServeControl(ctx, l, func() []*virtualphone.Phone { return []*virtualphone.Phone{p} })
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	env := func(string) string { return socket }
	for _, tt := range []struct {
		args string
		env  func(string) string
		code int
		out  string // part of standard output
		err  string // part of standard error
	}{
		{args: "status", out: "Anna (iPhone14,5, iOS 17.5)\n  cable        unplugged\n  lock         unlocked"},
		{args: "status --json", out: `"dialog": "none"`},
		{args: "replug"},
		{args: "lock"},
		{args: "status", out: "lock         locked"},
		{args: "unlock 2", code: 1, err: "wrong passcode"},
		{args: "unlock 1"},
		{args: "violations", out: "none"},
		{args: "tap trust", code: 1, err: "no dialog is shown; no host has asked to pair"},
		{args: "wait dialog --timeout 1ms", code: 1, err: "timed out waiting for dialog"},
		{args: "--phone x status", code: 1, err: `no phone "x"; there are: ` + p.UDID()},
		{args: "--help", out: "Examples:"},
		{args: "--help", out: "                               wrong-types\n"},
		{args: "--help", out: "\n  reject-answer ERROR|off\n"},
		{args: "behavior dialog-timeout 30s"},
		{args: "behavior dialog-timeout soon", code: 1, err: "dialog-timeout is a time like 30s, or off"},
		{args: "supervise /nowhere/cert.pem", code: 2, err: "no such file"},
		{args: "supervise main_test.go", code: 1, err: "no certificate in PEM"},
		{args: "garbage Pair jam", code: 2, err: `"jam" is not one of wrong-types|`},
		{args: "erase"},
		{args: "status", out: "lock         no passcode, in setup"},
		{args: "wait dialog --timeout 1ms", code: 1, err: "finish-setup"},
		{args: "finish-setup"},
		{args: "finish-setup", code: 1, err: "not in setup"},
		{args: "set-passcode 1"},
		{args: "attach --help", out: "\n  iphone-3gs   iPhone2,1, version 6.1.6\n"},
		{args: "attach --preset fridge", code: 2, err: `no preset "fridge"; there are: iphone-3gs, `},
		{args: "attach --behavior mood=bad", code: 2, err: `no behavior "mood"; there are: dialog-delay, `},
		{args: "attach --count 0", code: 2, err: "--count 0 is not in 1 to 120"},
		{args: "serve --help", out: "virtualphone serve --bus /tmp/bus"},
		{args: "serve", code: 2, err: "two sockets are wanted"},
		{args: "serve --bus b --preset fridge", code: 2, err: `no preset "fridge"`},
		{args: "serve --bus /nowhere/bus", code: 1, err: "socket /nowhere/bus: "},
		{args: "", code: 2, err: "no command given"},
		{args: "dance", code: 2, err: `unknown command "dance"`},
		{args: "tap", code: 2, err: "usage: tap trust|dont-trust|dismiss"},
		{args: "lock --timeout 1s", code: 2, err: "--timeout is for wait"},
		{args: "--nonsense", code: 2, err: "unknown flag"},
		{args: "status", env: func(string) string { return "" }, code: 2, err: "give -s SOCKET or set VIRTUALPHONE_SOCKET"},
		{args: "-s /nowhere/s status", code: 1, err: "no control socket at /nowhere/s"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			if tt.env == nil {
				tt.env = env
			}
			var out, errs bytes.Buffer
			code := run(t.Context(), strings.Fields(tt.args), tt.env, &out, &errs)
			if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(errs.String(), tt.err) {
				t.Errorf("exit %d, want %d\nstdout %q, want %q\nstderr %q, want %q", code, tt.code, &out, tt.out, &errs, tt.err)
			}
			if code == 0 && errs.Len() > 0 || code != 0 && out.Len() > 0 {
				t.Errorf("exit %d with stdout %q and stderr %q", code, &out, &errs)
			}
			if strings.Contains(tt.args, "--json") && !json.Valid(out.Bytes()) {
				t.Errorf("not JSON: %q", &out)
			}
		})
	}
}

// TestHelpIsComplete: every command is in the help.
func TestHelpIsComplete(t *testing.T) {
	help := helpText()
	for _, name := range virtualphone.Commands() {
		if !strings.Contains(help, "\n  "+name) && !strings.Contains(help, ", "+name+" ") {
			t.Errorf("%s is not in the help", name)
		}
	}
}

func TestPhoneOptions(t *testing.T) {
	o := phoneOptions{count: 2, preset: "watch", behavior: []string{"dialog-delay=20s", "tap-notifies=on"}, ios: "11.1"}
	all, err := o.configs()
	if err != nil {
		t.Fatal(err)
	}
	one, two := all[0], all[1]
	if one.UDID == two.UDID || one.DeviceClass != "Watch" || one.ProductVersion != "11.1" || one.Behavior.DialogDelay != 20*time.Second || !one.Behavior.TapNotifies {
		t.Errorf("watches = %+v, %+v", one, two)
	}
}
