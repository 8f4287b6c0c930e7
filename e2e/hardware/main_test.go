package main

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		args string
		err  string
		size int64
	}{
		{"", "", 1 << 30},
		{"--size 64MiB --limit 10s -o x --daemon y", "", 64 << 20},
		{"--size 1KiB", "", 1 << 10},
		{"--size 1024GiB", "", 1 << 40},
		{"--size 1025GiB", "--size wants", 0},
		{"--size 0MiB", "--size wants", 0},
		{"--size -1MiB", "--size wants", 0},
		{"--size 64", "--size wants", 0},
		{"--limit 10ms", "too short", 0},
		{"--limit x", "invalid", 0},
		{"x", `unexpected argument "x"`, 0},
		{"--what", "not defined", 0},
	} {
		var out strings.Builder
		cfg, err := parse(strings.Fields(tt.args), &out)
		switch {
		case tt.err == "" && (err != nil || cfg.size != tt.size):
			t.Errorf("parse %q = %+v, %v; want %d bytes", tt.args, cfg, err, tt.size)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("parse %q: %v, want %q", tt.args, err, tt.err)
		}
	}
}

func TestUsage(t *testing.T) {
	var out, errs strings.Builder
	if exit := run(t.Context(), []string{"--size", "x"}, strings.NewReader(""), &out, &errs); exit != exitUsage || !strings.Contains(errs.String(), "--size wants") {
		t.Errorf("exit code %d with %q", exit, errs.String())
	}
	errs.Reset()
	if exit := run(t.Context(), []string{"--help"}, strings.NewReader(""), &out, &errs); exit != 0 || !strings.Contains(errs.String(), "-size") {
		t.Errorf("exit code %d with %q", exit, errs.String())
	}
}

func TestTexts(t *testing.T) {
	for n, want := range map[int64]string{512: "512 bytes", 1 << 10: "1 KiB", 3 << 19: "1.5 MiB", 1 << 30: "1 GiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("sizeText(%d) = %q, want %q", n, got, want)
		}
	}
	if got := rate(64<<20, 2*time.Second); got != "64 MiB in 2.0 s, 32.0 MiB/s" {
		t.Errorf("rate = %q", got)
	}
}

// TestReportLines asserts that the table is one that can be read, whatever
// stands in it.
func TestReportLines(t *testing.T) {
	var r report
	r.plan("a", "longer")
	r.set("longer", fail, "x | y")
	r.set("longer", pass, "too late")
	const want = `| verdict | what   | measured |
|---------|--------|---|
|         | a      |  |
| fail    | longer | x / y |
`
	if got := r.table(); got != want {
		t.Errorf("table:\n%swant\n%s", got, want)
	}
	if open := r.open([]string{"a", "longer"}); len(open) != 1 || open[0] != "a" {
		t.Errorf("open = %q, want a", open)
	}
}
