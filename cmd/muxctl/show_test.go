package main

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gomuxd/control"
)

func TestListAndStatusGolden(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	for i, d := range []control.Device{anna(), bo(), recovery(), evil()} {
		l.hub.Put(fmt.Sprint(i), d)
	}
	for _, command := range []string{"list", "status"} {
		for _, w := range []int{60, 100, 160} {
			for _, color := range []bool{false, true} {
				name := fmt.Sprintf("%s-%d", command, w)
				if color {
					name += "-color"
				}
				t.Run(name, func(t *testing.T) {
					l.width, l.terminal = w, color
					code, out, errOut := l.run(command)
					if code != exitOK || errOut != "" {
						t.Fatalf("%s = %d, %q", command, code, errOut)
					}
					if !color {
						for line := range strings.Lines(out) {
							if n := width(strings.TrimRight(line, "\n")); n > w {
								t.Errorf("%d columns in %d: %q", n, w, line)
							}
						}
						if strings.ContainsAny(out, "\x1b\a\u202e") {
							t.Errorf("a phone's name writes to the terminal: %q", out)
						}
					}
					golden(t, name, out)
				})
			}
		}
	}
}

func TestColorIsOff(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.hub.Put("1", anna())
	for _, tt := range []struct {
		name  string
		vars  map[string]string
		args  []string
		color bool
	}{
		{"terminal", nil, nil, true},
		{"NO_COLOR", map[string]string{"NO_COLOR": "1"}, nil, false},
		{"dumb", map[string]string{"TERM": "dumb"}, nil, false},
		{"flag", nil, []string{"--no-color"}, false},
		{"pipe", nil, nil, false},
		{"pipe, forced", map[string]string{"CLICOLOR_FORCE": "1"}, nil, true},
		{"pipe, not forced", map[string]string{"CLICOLOR_FORCE": "0"}, nil, false},
		{"pipe, forced and NO_COLOR", map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.vars, l.terminal = tt.vars, !strings.HasPrefix(tt.name, "pipe")
			if _, out, _ := l.run(append(tt.args, "list")...); strings.Contains(out, "\x1b[") != tt.color {
				t.Errorf("colour is not %v: %q", tt.color, out)
			}
		})
	}
}

func TestColumnsVariable(t *testing.T) {
	l := newLab(t)
	l.width, l.vars = 0, map[string]string{"COLUMNS": "72"}
	if got := l.app.style().width; got != 72 {
		t.Errorf("width = %d; want 72", got)
	}
	l.vars["COLUMNS"] = "wide"
	if got := l.app.style().width; got != defaultWidth {
		t.Errorf("width = %d; want %d", got, defaultWidth)
	}
}

func TestStatusOfOne(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.hub.Put("1", anna())
	l.hub.Put("2", bo())
	for _, ref := range []string{"Bo", "bo", "2b6f", "1-3.4", strings.ToUpper(boUDID)} {
		code, out, errOut := l.run("status", ref)
		if code != exitOK || !strings.HasPrefix(out, "Bo\n") || !strings.Contains(out, "iPadOS:") {
			t.Errorf("status %q = %d, %q, %q", ref, code, out, errOut)
		}
	}
	code, out, _ := l.run("status", "Bo", "--json")
	var d control.Device
	if err := json.Unmarshal([]byte(out), &d); code != exitOK || err != nil || d.Trust != "dialog-shown" || *d.UDID != boUDID {
		t.Errorf("status --json = %d, %v, %+v", code, err, d)
	}
	if code, _, errOut := l.run("status", "Cleo"); code != exitNoSuch || !strings.Contains(errOut, "plugged in:") {
		t.Errorf("status of nobody = %d, %q", code, errOut)
	}
}

func TestListJSON(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	if code, out, _ := l.run("list", "--json"); code != exitOK || strings.TrimSpace(out) != "[]" {
		t.Errorf("list --json = %d, %q; want []", code, out)
	}
	if code, out, _ := l.run("list"); code != exitOK || !strings.Contains(out, "muxctl doctor") {
		t.Errorf("list = %d, %q; want advice", code, out)
	}
	l.hub.Put("r", recovery())
	code, out, _ := l.run("list", "--json")
	var devices []map[string]any
	if err := json.Unmarshal([]byte(out), &devices); code != exitOK || err != nil || len(devices) != 1 || devices[0]["udid"] != nil {
		t.Errorf("list --json = %d, %v, %v", code, err, devices)
	}
	for _, k := range strings.Fields("device_id udid name product model version class capacity connection speed port_path trust since reason next_step expires_in_days sessions bytes_in bytes_out") {
		if _, ok := devices[0][k]; !ok {
			t.Errorf("no key %s", k)
		}
	}
}

// TestPlainDaemon has a usbmuxd without a control socket.
func TestPlainDaemon(t *testing.T) {
	l := newLab(t)
	l.serveSocket()
	l.attach(annaUDID, "Anna")
	l.attach(boUDID, "Bo")
	l.records.m[annaUDID] = []byte("<plist><dict><key>HostID</key><string>h</string><key>SystemBUID</key><string>" + hostBUID + "</string></dict></plist>")
	for _, command := range []string{"list", "status"} {
		code, out, errOut := l.run(command)
		if code != exitOK || strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, "nobody answers on the control socket DIR/control") {
			t.Errorf("%s = %d, %q", command, code, errOut)
		}
		golden(t, "plain-"+command, out)
	}
	for _, ref := range []string{"anna", "00008110", strings.ReplaceAll(annaUDID, "-", "")} {
		if code, out, errOut := l.run("status", ref); code != exitOK || !strings.HasPrefix(out, "Anna\n") || !strings.Contains(strings.Join(strings.Fields(out), " "), "has a pair record") {
			t.Errorf("status %s = %d, %q, %q", ref, code, out, errOut)
		}
		code, out, errOut := l.run("records", "show", ref)
		if code != exitOK || !strings.Contains(out, "(this computer's)") || !strings.Contains(errOut, "unknown") {
			t.Errorf("records show %s = %d, %q, %q", ref, code, out, errOut)
		}
	}
	if code, out, _ := l.run("records", "show", "anna", "--json"); code != exitOK || !strings.Contains(out, `"saved": null`) || !strings.Contains(out, `"host_id": "h"`) {
		t.Errorf("records show --json = %d, %q", code, out)
	}
	if code, out, _ := l.run("list", "--json"); code != exitOK || strings.Count(out, `"since": null`) != 2 || !strings.Contains(out, annaUDID) {
		t.Errorf("list --json = %d, %q", code, out)
	}
	if code, _, errOut := l.run("records", "show", boUDID); code != exitNoSuch || !strings.Contains(errOut, "no pair record") {
		t.Errorf("records show = %d, %q", code, errOut)
	}
	if code, _, _ := l.run("status", "nobody"); code != exitNoSuch {
		t.Errorf("status nobody = %d; want %d", code, exitNoSuch)
	}
	for _, args := range [][]string{{"trust"}, {"untrust", "Anna"}, {"records", "list"}, {"records", "restore", "Anna"}} {
		if code, _, errOut := l.run(args...); code != exitNoDaemon || !strings.Contains(errOut, "needs the control socket") {
			t.Errorf("%v = %d, %q; want %d", args, code, errOut, exitNoDaemon)
		}
	}
}

func TestText(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want []string
	}{
		{"one two three", 8, []string{"one two", "three"}},
		{"電話電話電話", 8, []string{"電話電話", "電話"}},
		{"  ", 20, nil},
		{"aaaaaaaaaaaa b", 8, []string{"aaaaaaaa", "aaaa b"}},
	} {
		if got := wrap(tt.in, tt.n); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("wrap(%q, %d) = %q; want %q", tt.in, tt.n, got, tt.want)
		}
	}
	for _, tt := range []struct {
		in   uint64
		want string
	}{{0, "0 B"}, {999, "999 B"}, {1000, "1.0 kB"}, {12_345_678, "12 MB"}, {128e9, "128 GB"}, {999_999, "1.0 MB"}, {2e12, "2 TB"}} {
		if got := bytesText(tt.in); got != tt.want {
			t.Errorf("bytesText(%d) = %q; want %q", tt.in, got, tt.want)
		}
	}
	if got := cut("電話電話", 5); got != "電話…" {
		t.Errorf("cut = %q", got)
	}
}

// TestMuteDaemon has a daemon that accepts connections and says nothing.
func TestMuteDaemon(t *testing.T) {
	l := newLab(t)
	l.app.look, l.app.act = 20*time.Millisecond, 20*time.Millisecond
	mute, err := net.Listen("unix", l.controlPath())
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if code, _, errOut := l.run("trust"); code != exitTimeout || !strings.Contains(errOut, "does not answer") {
		t.Errorf("trust = %d, %q; want %d", code, errOut, exitTimeout)
	}
	l.serveSocket()
	l.attach(annaUDID, "Anna")
	if code, out, errOut := l.run("list"); code != exitOK || !strings.Contains(out, "Anna") || !strings.Contains(errOut, "does not answer") {
		t.Errorf("list = %d, %q, %q", code, out, errOut)
	}
}
