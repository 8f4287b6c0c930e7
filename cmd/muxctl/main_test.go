package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"gomuxd/control"
	"gomuxd/control/doctor"
	"gomuxd/lockdown/trust"
)

func TestUsage(t *testing.T) {
	l := newLab(t)
	for _, args := range []string{"", "lits", "list extra", "--nonsense", "list --nonsense", "trust a b", "trust --timeout x", "trust --timeout -1s",
		"records", "records show", "records export", "records export a --all", "explain", "completion", "completion powershell", "untrust"} {
		code, out, errOut := l.run(strings.Fields(args)...)
		if code != exitUsage || out != "" || !strings.Contains(errOut, "--help") {
			t.Errorf("%q = %d, %q, %q; want %d", args, code, out, errOut, exitUsage)
		}
	}
	if code, _, errOut := l.run("--socket", "localhost:99999", "list"); code != exitUsage || !strings.Contains(errOut, "99999") {
		t.Errorf("odd address = %d, %q", code, errOut)
	}
	if code, _, errOut := l.run("list"); code != exitNoDaemon || errOut == "" {
		t.Errorf("no daemon = %d, %q", code, errOut)
	}
	if code, out, _ := l.run("--version"); code != exitOK || out != "muxctl "+version+"\n" {
		t.Errorf("--version = %d, %q", code, out)
	}
}

// TestHelp asserts that every command explains itself, on any terminal.
func TestHelp(t *testing.T) {
	l := newLab(t)
	l.width = 80
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Example == "" || c.Short == "" || c.Long == "" && c.Name() != "list" && c.Name() != "show" {
			t.Errorf("%s lacks an example or description", c.CommandPath())
		}
		code, out, _ := l.run(append(strings.Fields(c.CommandPath())[1:], "--help")...)
		if code != exitOK || !strings.Contains(out, "Examples:") {
			t.Errorf("%s --help = %d, %q", c.CommandPath(), code, out)
		}
		for line := range strings.Lines(out) {
			if width(strings.TrimSuffix(line, "\n")) > l.width {
				t.Errorf("%s --help has a line of more than %d columns: %q", c.CommandPath(), l.width, line)
			}
		}
		for _, sub := range c.Commands() {
			if sub.Name() != "help" {
				walk(sub)
			}
		}
	}
	walk(l.app.root())
	_, out, _ := l.run("--help")
	for code := exitOK; code <= exitTimeout; code++ {
		if !strings.Contains(out, fmt.Sprintf("\n  %d  ", code)) {
			t.Errorf("--help does not tell exit code %d", code)
		}
	}
}

// TestManPage asserts that the man page knows every command, option and exit code.
func TestManPage(t *testing.T) {
	b, err := os.ReadFile("../../packaging/man/muxctl.1")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(b), "Fl Fl ", "--")
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if path := strings.TrimPrefix(c.CommandPath(), "muxctl "); c.HasParent() && !strings.Contains(page, "Cm "+path) {
			t.Errorf("no command %q", path)
		}
		for line := range strings.Lines(c.LocalFlags().FlagUsages()) {
			if _, name, ok := strings.Cut(line, "--"); ok {
				name = strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '[' })[0]
				if !strings.Contains(page, "--"+name) {
					t.Errorf("no option --%s of %s", name, c.CommandPath())
				}
			}
		}
		for _, sub := range c.Commands() {
			if sub.Name() != "help" {
				walk(sub)
			}
		}
	}
	walk(newLab(t).app.root())
	for code := exitOK; code <= exitTimeout; code++ {
		if !strings.Contains(page, fmt.Sprintf(".It %d\n", code)) {
			t.Errorf("no exit code %d", code)
		}
	}
}

func TestCompletion(t *testing.T) {
	l := newLab(t)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, _ := l.run("completion", shell); code != exitOK || !strings.Contains(out, "muxctl") {
			t.Errorf("completion %s = %d", shell, code)
		}
	}
	// The shell's own call has the flags after the command.
	complete := func(args ...string) string {
		args = append([]string{"__complete", "--control", l.controlPath(), "--socket", l.socketPath()}, args...)
		l.out.reset()
		if code := l.app.run(t.Context(), args); code != exitOK {
			t.Errorf("%v = %d", args, code)
		}
		return l.out.String()
	}
	l.serveSocket()
	l.attach(boUDID, "Bo")
	if out := complete("status", ""); !strings.Contains(out, boUDID) {
		t.Errorf("completion without a control socket: %q", out)
	}
	l.serveControl()
	l.hub.Put("a", anna())
	l.hub.Put("e", evil())
	l.acts.records = []control.Record{annaRecord()}
	if out := complete("status", ""); !strings.Contains(out, annaUDID) || !strings.Contains(out, "Anna’s iPhone\t") || strings.Contains(out, "\x1b") {
		t.Errorf("completion of devices: %q", out)
	}
	for _, command := range []string{"forward", "proxy", "capture"} {
		if out := complete(command, ""); !strings.Contains(out, annaUDID) {
			t.Errorf("completion of %s: %q", command, out)
		}
	}
	const files, noFiles = ":0\n", ":4\n" // directives to the shell
	for args, want := range map[string]string{"proxy 7 -- ./": files, "forward " + annaUDID + " :": noFiles, "capture -w ./": files, "capture --port ": noFiles} {
		if out := complete(strings.Split(args, " ")...); !strings.HasSuffix(out, want) {
			t.Errorf("completion of %q: %q; want %q", args, out, want)
		}
	}
	if out := complete("records", "restore", annaUDID, ""); !strings.Contains(out, "20261120T101500Z") {
		t.Errorf("completion of copies: %q", out)
	}
}

func TestDoctor(t *testing.T) {
	l := newLab(t)
	var asked doctor.Options
	l.app.gather = func(_ context.Context, o doctor.Options) doctor.Facts {
		asked = o
		return doctor.Facts{Now: noon, Controllers: 1}
	}
	file := filepath.Join(l.dir, "report")
	code, out, errOut := l.run("doctor", "Anna", "--report", file)
	if code != exitOK && code != exitFailed || out == "" || errOut != "" {
		t.Errorf("doctor = %d, %q, %q", code, out, errOut)
	}
	if asked.Device != "Anna" || asked.Control != l.controlPath() || asked.Socket != l.socketPath() {
		t.Errorf("options %+v", asked)
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("no report: %v", err)
	}
	_, out, _ = l.run("doctor", "--json")
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Verdict == "" {
		t.Errorf("doctor --json: %v, %+v", err, r)
	}
	if want := map[bool]int{true: exitFailed, false: exitOK}[r.Result == doctor.Problem]; code != want {
		t.Errorf("doctor = %d for %s; want %d", code, r.Result, want)
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("x"), exitFailed},
		{usagef("x"), exitUsage},
		{control.ErrNoDaemon, exitNoDaemon},
		{control.Errorf(control.CodeNotFound, "x"), exitNoSuch},
		{control.Errorf(control.CodeAmbiguous, "x"), exitNoSuch},
		{control.Errorf(control.CodeNoRecord, "x"), exitNoSuch},
		{control.Errorf(control.CodeForbidden, "x"), exitForbidden},
		{control.Errorf(control.CodeNoMux, "x"), exitRefused},
		{control.Errorf(control.CodeFailed, "x"), exitFailed},
		{os.ErrPermission, exitForbidden},
		{context.DeadlineExceeded, exitTimeout},
		{silent(exitRefused), exitRefused},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("exitCode(%v) = %d; want %d", tt.err, got, tt.want)
		}
	}
}

func TestExplain(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"PasswordProtected", exitOK, "PasswordProtected"},
		{"-17", exitOK, "(lockdown)"},
		{"0xE8000065", exitOK, "mobile device"},
		{"dialog-shown locked", exitOK, "dialog-shown"},
		{"Result 3", exitOK, "Result 3"},
		{"error code: -17", exitOK, "PasswordProtected"},
		{"ERROR: Could not connect to lockdownd: -17.", exitOK, "PasswordProtected"},
		{"0xE8000065 Pasword", exitFailed, `nothing is known of "Pasword"`},
		{"PasswordProtekted", exitFailed, "did you mean PasswordProtected"},
		{"gibberishandnonsense", exitFailed, "nothing is known of"},
	} {
		code, out, errOut := l.run(append([]string{"explain"}, strings.Fields(tt.args)...)...)
		if code != tt.code || !strings.Contains(out+errOut, tt.want) {
			t.Errorf("explain %s = %d, %q, %q; want %d, %q", tt.args, code, out, errOut, tt.code, tt.want)
		}
	}
	code, out, _ := l.run("explain", "--json", "locked")
	var all []explanation
	if err := json.Unmarshal([]byte(out), &all); code != exitOK || err != nil || len(all) == 0 || all[0].Meaning == "" || all[0].Remedy == "" {
		t.Errorf("explain --json = %d, %v, %+v", code, err, all)
	}
	for _, s := range trust.States() {
		if code, _, errOut := l.run("explain", string(s)); code != exitOK {
			t.Errorf("explain %s = %d, %q", s, code, errOut)
		}
	}
}
