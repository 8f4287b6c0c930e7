package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"gomuxd/control"
	"gomuxd/control/observer"
)

// topLab is a model of top that a test plays with. did are its deeds.
type topLab struct {
	topModel
	did []string
}

func newTopLab(width, height int, devices ...control.Device) *topLab {
	l := &topLab{topModel: newTop(style{width: width})}
	deed := func(name string) func(string) tea.Cmd {
		return func(arg string) tea.Cmd {
			l.did = append(l.did, name+" "+arg)
			return nil
		}
	}
	l.look = func(uint64, <-chan struct{}) tea.Cmd { return nil }
	l.copy = deed("copy")
	l.do = func(action, ref string) tea.Cmd { return deed(action)(ref) }
	l.send(tea.WindowSizeMsg{Width: width, Height: height})
	l.show(devices...)
	return l
}

func (l *topLab) send(msg tea.Msg) tea.Cmd {
	m, cmd := l.Update(msg)
	l.topModel = m.(topModel)
	return cmd
}

// keys presses keys, of which those with a name stand alone.
func (l *topLab) keys(keys ...string) {
	named := map[string]rune{"esc": tea.KeyEscape, "enter": tea.KeyEnter, "up": tea.KeyUp, "down": tea.KeyDown, "end": tea.KeyEnd,
		"home": tea.KeyHome, "pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace}
	for _, k := range keys {
		if code, ok := named[k]; ok {
			l.send(tea.KeyPressMsg{Code: code})
			continue
		}
		for _, r := range k {
			l.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

// show has the daemon tell of these devices and no others.
func (l *topLab) show(devices ...control.Device) {
	v := observer.View{Time: noon, Daemon: &observer.Daemon{Connected: true, Version: "1.2.0"}, Keys: []string{}, Traffic: map[string]observer.Traffic{}}
	for i, d := range devices {
		k := observer.KeyOf(d)
		v.Keys = append(v.Keys, k)
		v.Phones = append(v.Phones, observer.Phone{Key: k, Title: observer.TitleOf(d), Standing: observer.StandingOf(d.Trust), Device: d})
		t := observer.Traffic{Counters: d.Counters}
		if d.Sessions > 0 {
			t.InRate, t.OutRate = float64(i+1)*1.5e6, 20_000
		}
		v.Traffic[k] = t
	}
	l.send(topView{View: v})
}

// screen is what top draws; it must fit.
func (l *topLab) fits(t *testing.T) string {
	t.Helper()
	s := l.screen()
	lines := strings.Split(s, "\n")
	if len(lines) > l.height {
		t.Errorf("%d lines on a screen of %d", len(lines), l.height)
	}
	for _, line := range lines {
		if w := width(regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(line, "")); w > l.width {
			t.Errorf("a line of %d columns on a screen of %d: %q", w, l.width, line)
		}
	}
	return s + "\n"
}

func farmOf(n int) []control.Device {
	devices := []control.Device{anna(), bo(), recovery(), evil()}
	for i := len(devices); i < n; i++ {
		d := anna()
		d.UDID, d.DeviceID, d.Name, d.PortPath = ptr(fmt.Sprintf("00008110-%016X", i)), ptr(uint32(i+10)), fmt.Sprintf("Test %02d", i), fmt.Sprintf("3-%d", i)
		if d.Sessions = i % 3; i%3 == 0 {
			d.Counters = control.Counters{}
		}
		devices = append(devices, d)
	}
	return devices[:n]
}

func TestTopScreens(t *testing.T) {
	for _, tt := range []struct {
		name          string
		width, height int
		phones        int
		play          func(l *topLab)
	}{
		{"top-80x24", 80, 24, 14, func(l *topLab) {
			for i := range 30 {
				l.send(topTime(noon.Add(time.Duration(i) * topTick)))
			}
		}},
		{"top-wide", 132, 20, 14, func(l *topLab) { l.keys("down", "down", "down") }},
		{"top-narrow", 40, 12, 4, func(*topLab) {}},
		{"top-low", 60, 8, 14, func(l *topLab) { l.keys("end") }},
		{"top-farm", 80, 24, 100, func(l *topLab) { l.keys("s", "s", "end") }},
		{"top-filter", 80, 16, 14, func(l *topLab) { l.keys("/", "test 1", "enter") }},
		{"top-no-match", 80, 12, 14, func(l *topLab) { l.keys("/", "zzz") }},
		{"top-none", 80, 12, 0, func(*topLab) {}},
		{"top-help", 80, 24, 3, func(l *topLab) { l.keys("?") }},
		{"top-no-daemon", 80, 14, 3, func(l *topLab) {
			l.send(topView{View: observer.View{Time: noon, Daemon: &observer.Daemon{Problem: "no daemon answers: start it with \"systemctl start usbmuxd\""}}})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newTopLab(tt.width, tt.height, farmOf(tt.phones)...)
			tt.play(l)
			golden(t, tt.name, l.fits(t))
		})
	}
}

// TestTopFits asserts that no size of a terminal breaks a line or a limit.
func TestTopFits(t *testing.T) {
	l := newTopLab(80, 24, farmOf(20)...)
	for w := 1; w < 200; w += 7 {
		for h := 1; h < 40; h += 3 {
			l.send(tea.WindowSizeMsg{Width: w, Height: h})
			l.keys("down")
			if w >= 20 {
				l.fits(t)
			}
		}
	}
}

func TestTopKeys(t *testing.T) {
	l := newTopLab(80, 24, farmOf(14)...)
	at := func(want string) {
		t.Helper()
		if got := l.phones[l.chosen].Title; got != want {
			t.Errorf("want %s chosen, got %s", want, got)
		}
	}
	at("iPhone") // in recovery, the only fault
	l.keys("down", "down")
	at("Bo")
	l.keys("c", "t")
	if got := strings.Join(l.did, ", "); got != "copy "+boUDID+", trust "+boUDID {
		t.Errorf("c and t did %q", got)
	}
	l.did = nil
	l.keys("R", "n", "y", "O", "down", "y")
	if len(l.did) != 0 {
		t.Errorf("unconfirmed, top did %q", l.did)
	}
	l.keys("up", "R", "y", "y", "O", "y")
	if got := strings.Join(l.did, ", "); got != "reset "+boUDID+", reopen "+boUDID {
		t.Errorf("R and O did %q", got)
	}
	// What is chosen stays so, wherever it goes.
	l.keys("s")
	at("Bo")
	l.keys("home", "up")
	if l.rows()[0].Key != l.chosen {
		t.Error("home and up do not lead to the first")
	}
	l.did = nil
	l.keys("/", "recovery", "enter", "c", "t")
	if len(l.did) != 0 || !strings.Contains(l.note, "has not told its UDID") {
		t.Errorf("a phone without UDID: %q, %q", l.did, l.note)
	}
	l.keys("/")
	l.send(tea.PasteMsg{Content: "\x1bx\n"})
	if l.filter != "recovery\ufffdx" {
		t.Errorf("pasted, the filter is %q", l.filter)
	}
	l.keys("esc")
	if n := len(l.rows()); n != 14 {
		t.Errorf("Esc shows %d phones", n)
	}
	l.keys("/", "bos", "backspace")
	if n := len(l.rows()); n != 1 || !l.typing {
		t.Errorf("the filter %q shows %d phones", l.filter, n)
	}
	l.keys("q") // a letter of the filter
	if l.filter != "boq" {
		t.Errorf("the filter is %q", l.filter)
	}
	l.keys("esc", "?")
	if !strings.Contains(l.screen(), "Any key goes back") {
		t.Error("? gives no help")
	}
	l.keys("q")
	for _, quit := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		if cmd := l.send(quit); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%v does not quit", quit)
		}
	}
}

// TestTopChosenGoes asserts that the cursor stays on the list when its phone goes.
func TestTopChosenGoes(t *testing.T) {
	l := newTopLab(80, 24, farmOf(14)...)
	l.keys("end")
	l.show(farmOf(5)...)
	if l.phones[l.chosen] == nil {
		t.Error("none is chosen")
	}
	l.fits(t)
	l.keys("R")
	l.show(farmOf(2)...)
	if l.keys("y"); len(l.did) != 0 {
		t.Errorf("another phone was chosen for %q", l.did)
	}
	l.show()
	if l.keys("down", "t", "c"); len(l.did) != 0 || l.note == "" {
		t.Errorf("without phones: %q, %q", l.did, l.note)
	}
}

func TestTopColor(t *testing.T) {
	l := newTopLab(80, 24, farmOf(5)...)
	if s := l.screen(); strings.Contains(s, "\x1b") {
		t.Errorf("without colour there is %q", s)
	}
	l.style.color = true
	if s := l.fits(t); !strings.Contains(s, "\x1b["+red+"m") || strings.Contains(s, "\x1b]") || strings.Contains(s, "owned\a") {
		t.Errorf("with colour: %q", s)
	}
}

func TestTopNeedsTerminal(t *testing.T) {
	l := newLab(t)
	if code, out, errOut := l.run("top"); code != exitUsage || out != "" || !strings.Contains(errOut, "muxctl list") {
		t.Errorf("in a pipe = %d, %q, %q", code, out, errOut)
	}
	l.terminal, l.vars["TERM"] = true, "dumb"
	if code, _, errOut := l.run("top"); code != exitUsage || !strings.Contains(errOut, "terminal") {
		t.Errorf("on a dumb terminal = %d, %q", code, errOut)
	}
}
