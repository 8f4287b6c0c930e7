package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"gomuxd/e2e/bench/result"
)

// sample is a file with two rounds of some measures.
func sample() *result.File {
	f := &result.File{Options: result.Options{Speeds: []string{"high"}, Rounds: 2, MiB: 32}}
	f.Machine.Emulated = true
	for round := range 2 {
		// The machine is twice as fast in the second round: ratios do not see it.
		v := 10 * float64(round+1)
		for daemon, mibs := range map[string]float64{result.C: v, result.Ours: 2.5 * v, result.Null: 4 * v} {
			f.Runs = append(f.Runs, result.Run{Speed: "high", Measure: "down", Daemon: daemon, Round: round, Values: map[string][]float64{
				"mibs/1": {mibs}, "mibs/8": {mibs}, "mibs/64": {mibs / 2},
				"cpu/1": {100 / mibs}, "cpu/8": {200 / mibs}, "cpu/64": {300 / mibs}, "rss/64": {12},
				"limit/1": {4 * v}, "limit/8": {4 * v}, "limit/64": {4 * v},
			}})
		}
		f.Runs = append(f.Runs,
			result.Run{Speed: "high", Measure: "stuckclient", Daemon: result.Ours, Round: round, Values: map[string][]float64{"loss": {1, 9, 2}}},
			result.Run{Speed: "high", Measure: "flood", Daemon: result.C, Round: round, Values: map[string][]float64{"share/up": {70, 60, 80}}},
			result.Run{Speed: "high", Measure: "flood", Daemon: result.Ours, Round: round, Values: map[string][]float64{"share/up": {98, 97, 99}}},
			result.Run{Speed: "high", Measure: "idle", Daemon: result.Ours, Round: round, Values: map[string][]float64{"rss": {11}}},
		)
	}
	return f
}

// lineOf is the line of a label.
func lineOf(t *testing.T, f *result.File, label string) line {
	t.Helper()
	for _, l := range (table{f, "high"}).lines() {
		if strings.HasPrefix(l.label, label) {
			return l
		}
	}
	t.Fatalf("no line %q", label)
	return line{}
}

func TestTable(t *testing.T) {
	f := sample()
	for label, want := range map[string]line{
		"down, 1 session":                       {c: "15.0 (10.0–20.0)", ours: "37.5 (25.0–50.0)", ratio: "2.50×", verdict: "ok", limit: "60.0 (40.0–80.0)", null: "60.0 (40.0–80.0)"},
		"down, mean of":                         {c: "15.0 (10.0–20.0)", ours: "6.00 (4.00–8.00)", ratio: "0.40×", verdict: "missed", limit: "–", null: "3.75 (2.50–5.00)"},
		"loss beside a stuck client":            {c: "–", ours: "2.00 (1.00–9.00)", verdict: "ok", limit: "–", null: "–"},
		"of their fair share, 8 others get, up": {c: "70.0 (60.0–80.0)", ours: "98.0 (97.0–99.0)", ratio: "1.40×", verdict: "ok", limit: "–", null: "–"},
		"peak RSS, idle":                        {c: "–", ours: "11.0 (11.0–11.0)", verdict: "missed", limit: "–", null: "–"},
	} {
		got := lineOf(t, f, label)
		want.section, want.label, want.target, want.base = got.section, got.label, got.target, got.base
		if got != want {
			t.Errorf("%s\n got %+v\nwant %+v", label, got, want)
		}
	}
}

// TestFailedRuns proves that a run with an error is shown as such and gives no figure.
func TestFailedRuns(t *testing.T) {
	f := sample()
	for i := range f.Runs {
		if r := &f.Runs[i]; r.Measure == "down" && r.Daemon == result.Ours && r.Round == 0 {
			r.Values, r.Error = nil, "phone 1 counted violations: beyond window 1"
		}
	}
	l := lineOf(t, f, "down, 1 session")
	if l.ours != "50.0, 1 of 2 failed" || l.verdict != "missed" {
		t.Errorf("one of two: got %q, %q", l.ours, l.verdict)
	}
	if err := failures(f); err == nil || !strings.Contains(err.Error(), "beyond window") {
		t.Errorf("failures = %v", err)
	}
	if text := document(f); !strings.Contains(text, "beyond window") {
		t.Error("the document is silent on the failed run")
	}
	for i := range f.Runs {
		if r := &f.Runs[i]; r.Measure == "down" && r.Daemon == result.Ours {
			r.Values, r.Error = nil, "wrong byte"
		}
	}
	if l := lineOf(t, f, "down, 1 session"); l.ours != "failed" || l.ratio != "" || l.verdict != "" {
		t.Errorf("all: got %+v", l)
	}
}

func TestJudge(t *testing.T) {
	f := func(v float64) figure { return figureOf([]float64{v}, 0) }
	more := row{more: true, ratio: 2, limit: "x"}
	goal := row{ratio: 1, goal: 0.7}
	least := row{more: true, least: 90, unit: "%"}
	for _, tt := range []struct {
		name         string
		row          *row
		ours, limit  float64
		ratio        float64
		want         string
		withoutLimit bool
	}{
		{"ratio reached", &more, 20, 100, 2.1, "ok", false},
		{"near the limit", &more, 81, 100, 1.5, "ok", false},
		{"neither", &more, 79, 100, 1.5, "missed", false},
		{"no limit known", &more, 79, 0, 1.5, "missed", true},
		{"at most", &goal, 1, 0, 0.9, "ok", true},
		{"goal", &goal, 1, 0, 0.6, "ok, goal reached", true},
		{"over", &goal, 1, 0, 1.1, "missed", true},
		{"at least", &least, 90, 0, 0.5, "ok", true},
		{"less", &least, 89, 0, 2, "missed", true},
	} {
		limit := f(tt.limit)
		if tt.withoutLimit {
			limit = figure{}
		}
		if got := tt.row.judge(f(tt.ours), limit, f(tt.ratio)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDocumentBegins(t *testing.T) {
	first, _, _ := strings.Cut(document(sample()), "\n")
	for _, word := range []string{"virtual", "emulates", "ratios"} {
		if !strings.Contains(first, word) {
			t.Errorf("the first line does not say %q: %s", word, first)
		}
	}
}

// TestPlotsParse proves that plots are well-formed and have a bar for each figure.
func TestPlotsParse(t *testing.T) {
	charts := (table{sample(), "high"}).charts()
	if len(charts) != 2 || charts["throughput"] == nil || charts["cpu"] == nil {
		t.Fatalf("want throughput and cpu, got %v", charts)
	}
	for name, c := range charts {
		bars := 0
		for dec := xml.NewDecoder(strings.NewReader(c.svg())); ; {
			token, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
				bars++
			}
		}
		if want := 3*3 + 3; bars != want { // with the legend
			t.Errorf("%s: %d bars, want %d", name, bars, want)
		}
	}
}

func TestExpand(t *testing.T) {
	got, err := expand("throughput,down,idle")
	if want := "down up echo idle"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
	if _, err := expand("speed"); err == nil {
		t.Error("an unknown name is taken")
	}
}
