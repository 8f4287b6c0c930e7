package doctor

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"gomuxd/lockdown/trust"
)

// foul are names that somebody gave a device.
var foul = []string{
	"\x1b]0;gotcha\x07\x1b[2J\x1b[31mred",
	"Anna\r\nPROBLEM  Cable: pull it out",
	"\u202eenohPi\u202c\u200b\u2066",
	"bad \xff\xfe\xc3\x28 bytes",
	strings.Repeat("long", 1024),
	"Z" + strings.Repeat("\u0301", 500),
	"\x9b31m8-bit",
	strings.Repeat("電話", 300),
	"\u2028\u2029\x00",
	"%s%n%!d(string=x)",
}

// fit fails if text would harm a terminal.
func fit(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Fatalf("%s is no UTF-8: %q", what, text)
	}
	for _, r := range text {
		if r != '\n' && !unicode.IsGraphic(r) {
			t.Fatalf("%s has %q: %q", what, r, text)
		}
	}
}

// rendered is a report as text, with the lines measured.
func rendered(t *testing.T, r Report, width int) string {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, r, Style{Width: width}); err != nil {
		t.Fatal(err)
	}
	fit(t, "the text", b.String())
	for line := range strings.Lines(b.String()) {
		if n := columns(strings.TrimSuffix(line, "\n")); n > width {
			t.Fatalf("%d columns in %d: %q", n, width, line)
		}
	}
	return b.String()
}

// TestHostileNames plugs in devices with foul names, through sysfs and through
// the daemon.
func TestHostileNames(t *testing.T) {
	for _, s := range foul {
		w := newWorld(t)
		w.file("/sys/bus/usb/devices/1-2/product", s)
		w.plug("1-2.1", "12a8", map[string]string{
			"product": s, "serial": s, "power/control": s, "power/runtime_status": s, "bConfigurationValue": s, "authorized": s, "speed": s,
		})
		w.plug("1-3", "024f", map[string]string{"product": s, "descriptors": s})
		w.run(900, "usbmuxd")
		w.file("/proc/900/comm", s)
		f := Gather(t.Context(), w.o)
		rendered(t, Judge(f), 80)

		f.Device = s
		rendered(t, Judge(f), 80)

		f = facts(trust.Trusted)
		f.Daemon.Devices[0].Name, f.Daemon.Devices[0].Reason, f.Daemon.RecordDirError = s, s, s
		f.Socket.Peer.Program, f.Socket.Peer.PID, f.Records.Path, f.Records.Owner = s, 3, s, s
		f.Daemon.Records[0].Problem, f.Udev.Rules = s, []string{s}
		r := Judge(f)
		for _, c := range r.Checks {
			fit(t, c.ID, c.Device+c.Found+c.Means+c.Do)
			if n := utf8.RuneCountInString(c.Found); n > maxText+1 {
				t.Errorf("%s: %d characters", c.ID, n)
			}
		}
		rendered(t, r, 40)
	}
}

// TestRenderForeignReport renders a report that Judge has not made.
func TestRenderForeignReport(t *testing.T) {
	for _, s := range foul {
		rendered(t, Report{
			Checks:   []Check{{ID: s, Title: s, Device: s, Result: Result(s), Evidence: Evidence(s), Found: s, Means: s, Do: s}, {Device: "x"}},
			Verdict:  s,
			Remedies: []Remedy{{Name: s, Do: s, Price: s}},
		}, 40)
	}
}

// TestColor asks for colours only where they are wanted.
func TestColor(t *testing.T) {
	r := Judge(facts(trust.Locked))
	var plain, color bytes.Buffer
	if err := Render(&plain, r, Style{}); err != nil {
		t.Fatal(err)
	}
	if err := Render(&color, r, Style{Color: true}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("colours nobody asked for")
	}
	stripped := color.String()
	for _, m := range marks {
		stripped = strings.ReplaceAll(stripped, m.color, "")
	}
	stripped = strings.NewReplacer(reset, "", bold, "").Replace(stripped)
	if stripped != plain.String() {
		t.Errorf("colours change the text:\n%s", stripped)
	}
}

func TestClean(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"Anna's iPhone", "Anna's iPhone"},
		{"  a \n\t b  ", "a b"},
		{"a\x1b[2Jb", "a?[2Jb"},
		{"a\xffb", "a?b"},
		{"\u202ea", "?a"},
		{"12345678901234567890123", "12345678901234567890…"},
		{"e\u0301\u0301\u0301", "e\u0301\u0301"},
		{"電話", "電話"},
	} {
		if got := clean(tt.in, 20); got != tt.want {
			t.Errorf("clean(%q): want %q, got %q", tt.in, tt.want, got)
		}
	}
}

// FuzzJudge judges and renders facts that are nobody's.
func FuzzJudge(f *testing.F) {
	for _, s := range []trust.State{trust.Trusted, trust.Denied, trust.Connecting, trust.BUIDMismatch} {
		v := facts(s)
		v.Processes, v.Device = []Process{{PID: 812, Program: "usbmuxd"}}, "anna"
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, 80)
	}
	f.Add([]byte(`{"daemon":{"devices":[{"trust":"locked"},{}],"records":[{}]},"usb":[{},{}]}`), 0)
	f.Fuzz(func(t *testing.T, b []byte, width int) {
		var v Facts
		if json.Unmarshal(b, &v) != nil {
			return
		}
		r := Judge(v)
		if r.Verdict == "" || len(r.Checks) == 0 || r.Result == "" {
			t.Fatalf("no verdict: %+v", r)
		}
		for _, c := range r.Checks {
			if c.Found == "" || c.Title == "" || c.Result == "" || c.Evidence == "" {
				t.Fatalf("half a check: %+v", c)
			}
		}
		rendered(t, r, min(max(width, minWidth), maxWidth))
		var report bytes.Buffer
		if err := WriteReport(&report, v, r); err != nil {
			return // years that JSON has no way to write
		}
		fit(t, "the report", report.String())
	})
}
