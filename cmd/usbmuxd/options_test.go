package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"gomuxd/lockdown/trust"
)

// set gives the settings that options make of the defaults.
func set(args ...string) *settings {
	o, err := parseOptions(args)
	if err != nil {
		panic(err)
	}
	s := defaults()
	for _, change := range o.changes {
		change(&s)
	}
	return &s
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		args string
		want func(s *settings) // changes the defaults
	}{
		{"", func(*settings) {}},
		{"-fvvp", func(s *settings) { s.Foreground, s.Log.Level, s.Trust.Policy = true, "debug", "never" }},
		{"--foreground --verbose --no-preflight", func(s *settings) { s.Foreground, s.Log.Level, s.Trust.Policy = true, "debug", "never" }},
		{"--fore --verb --no", func(s *settings) { s.Foreground, s.Log.Level, s.Trust.Policy = true, "debug", "never" }},
		{"-S/run/x -C /tmp/c -PNONE", func(s *settings) { s.Listen, s.RecordDir, s.PidFile = []string{"/run/x"}, "/tmp/c", none }},
		{"--socket=127.0.0.1:27015 --socket /s --config-dir=/c --pidfile=/p", func(s *settings) {
			s.Listen, s.RecordDir, s.PidFile = []string{"127.0.0.1:27015", "/s"}, "/c", "/p"
		}},
		{"--conf /c --sock /s", func(s *settings) { s.RecordDir, s.Listen = "/c", []string{"/s"} }},
		{"-s", func(s *settings) { s.EnableExit, s.Foreground = true, true }},
		{"--systemd", func(s *settings) { s.EnableExit, s.Foreground = true, true }},
		{"-u", func(s *settings) { s.EnableExit, s.USB.Hotplug = true, false }},
		{"-nz", func(s *settings) { s.EnableExit, s.USB.Hotplug = true, false }},
		{"-fzUusbmux", func(s *settings) { s.Foreground, s.EnableExit, s.User = true, true, "usbmux" }},
		{"-U usbmux -l /var/log/x", func(s *settings) { s.User, s.Log.File = "usbmux", "/var/log/x" }},
		{"--control NONE --control-group staff", func(s *settings) { s.Control = controlSettings{none, "staff"} }},
		{"--trust-policy ask", func(s *settings) { s.Trust.Policy = "ask" }},
		{"--trust-policy 00008110-000A111122223333=ask --trust-policy 00008110-000a111122223333=never", func(s *settings) {
			s.Device = map[string]deviceSettings{"00008110-000a111122223333": {Trust: "never"}}
		}},
		{"--supervisor /i --supervisor-password /p", func(s *settings) { s.Trust.Supervisor, s.Trust.SupervisorPassword = "/i", "/p" }},
	} {
		want := defaults()
		tt.want(&want)
		if got := set(strings.Fields(tt.args)...); !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\nwant %+v\n got %+v", tt.args, want, *got)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string // part of the error
	}{
		{[]string{"-q"}, "-q"},
		{[]string{"--qq"}, "--qq"},
		{[]string{"--s"}, "--s"}, // socket or systemd
		{[]string{"phone"}, `unexpected argument "phone"`},
		{[]string{"--foreground=yes"}, "--foreground takes no value"},
		{[]string{"-S", ""}, "--socket wants an address"},
		{[]string{"-S", "-f"}, `--socket wants an address, got "-f"`},
		{[]string{"-S"}, "argument"},
		{[]string{"-S", "127.0.0.1:99999"}, `"99999" is no number from 1 to 65535`},
		{[]string{"-S", "localhost:"}, "localhost:"},
		{[]string{"-S", "[::1:5"}, "[address]:port"},
		{[]string{"-S", "UNIX:"}, "no path"},
		{[]string{"-C", ""}, "--config-dir wants a value"},
		{[]string{"-P", ""}, "--pidfile wants a value"},
		{[]string{"-U", ""}, "--user wants a value"},
		{[]string{"-l", "/a", "-l", "/b"}, "--logfile is given twice"},
		{[]string{"--config", ""}, "--config wants a value"},
		{[]string{"--trust-policy", "maybe"}, "--trust-policy wants auto, ask or never"},
		{[]string{"--trust-policy", "../x=ask"}, "--trust-policy"},
		{[]string{"-fh"}, errHelp.Error()},
		{[]string{"-V", "--qq"}, errVersion.Error()}, // which comes first
	} {
		if _, err := parseOptions(tt.args); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: want an error with %q, got %v", tt.args, tt.want, err)
		}
	}
}

// TestUniqueAbbreviations asserts that every beginning of a long option that only
// one option of the C daemon has is taken for that one, whatever was added.
func TestUniqueAbbreviations(t *testing.T) {
	flags := new(options).flags()
	for _, name := range inherited {
		for n := 1; n <= len(name); n++ {
			short := name[:n]
			unique := !slices.ContainsFunc(inherited, func(other string) bool {
				return other != name && strings.HasPrefix(other, short) && short != name
			})
			if short == "config" {
				continue // which is the whole name of an option of ours
			}
			if got := flags.Lookup(short); unique && (got == nil || got.Name != name) {
				t.Errorf("--%s is not taken for --%s", short, name)
			} else if !unique && short != name && got != nil && !slices.Contains(inherited, short) {
				t.Errorf("--%s, which is ambiguous, is taken for --%s", short, got.Name)
			}
		}
	}
}

// TestOrder asserts that the command line wins over the environment, that over
// the file, and that over the defaults.
func TestOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf")
	text := "record_dir = '/file'\nlisten = ['/file', '/other']\n[log]\nlevel = 'warn'\n[usb]\nmode = 3\n[trust]\npolicy = 'ask'\n[device.00008110-000A111122223333]\nmode = 4\ntrust = 'never'\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(args ...string) settings {
		t.Helper()
		o, err := parseOptions(append(args, "--config", path))
		if err != nil {
			t.Fatal(err)
		}
		s, err := o.settings()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := read()
	if s.RecordDir != "/file" || !slices.Equal(s.Listen, []string{"/file", "/other"}) || s.USB.Mode != 3 || s.PidFile != defaultPidFile {
		t.Errorf("the file does not win over the defaults: %+v", s)
	}
	if s.policy("x") != trust.Ask || s.policy("00008110000a111122223333") != trust.Never || s.mode("00008110000A111122223333") != 4 || s.mode("x") != 3 {
		t.Errorf("what is set for a device does not hold for it alone: %+v", s)
	}
	t.Setenv(modeVariable, "keep")
	if s = read(); s.USB.Mode != 0 {
		t.Errorf("the environment does not win over the file: %+v", s)
	}
	s = read("-C", "/flag", "-S", "/flag", "-v", "--trust-policy", "auto", "--trust-policy", "00008110-000a111122223333=ask")
	if s.RecordDir != "/flag" || !slices.Equal(s.Listen, []string{"/flag"}) || s.Log.Level != "info" ||
		s.policy("x") != trust.Auto || s.policy("00008110-000A111122223333") != trust.Ask || s.mode("00008110-000A111122223333") != 4 {
		t.Errorf("the options do not win over the file: %+v", s)
	}
}

// TestRelativePaths asserts that paths of the command line are below the
// directory where it was given, also for a daemon that then works elsewhere.
func TestRelativePaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	o, err := parseOptions([]string{"-S", "UNIX:s", "-S", "127.0.0.1:1", "-C", "c", "-P", "NONE", "-l", "l", "--config", "f"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("f", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir("/")
	s, err := o.settings()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{dir + "/s", "127.0.0.1:1"}; !slices.Equal(s.Listen, want) || s.RecordDir != dir+"/c" || s.Log.File != dir+"/l" || s.PidFile != none {
		t.Errorf("want paths below %s, got %+v", dir, s)
	}
}

// TestVersionLine asserts what clients parse: one line, a word and a semantic
// version, nothing on standard error.
func TestVersionLine(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--version"}, &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Fatalf("want exit 0 and no errors, got %d, %q", code, stderr.String())
	}
	if !regexp.MustCompile(`^usbmuxd \d+\.\d+\.\d+(\+[0-9A-Za-z.]+)?\n$`).MatchString(stdout.String()) {
		t.Fatalf("got %q", stdout.String())
	}
}

func TestBadOptionIsOneLine(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--frobnicate"}, &stdout, &stderr); code != exitUsage || stdout.Len() > 0 {
		t.Fatalf("want exit 2 and nothing on standard output, got %d, %q", code, stdout.String())
	}
	if s := stderr.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "--frobnicate") || !strings.Contains(s, "--help") {
		t.Fatalf("want one line with the option and the remedy, got %q", s)
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-h"}, &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Fatalf("want exit 0, got %d, %q", code, stderr.String())
	}
	for _, option := range []string{"-h, --help", "-V, --version", "-v, --verbose", "-f, --foreground", "-U, --user USER", "-n, --disable-hotplug",
		"-z, --enable-exit", "-p, --no-preflight", "-u, --udev", "-s, --systemd", "-C, --config-dir DIR", "-S, --socket ADDRESS", "-P, --pidfile FILE",
		"-x, --exit", "-X, --force-exit", "-l, --logfile FILE", "--config FILE", "--check-config", "--trust-policy [UDID=]POLICY"} {
		if !strings.Contains(stdout.String(), option) {
			t.Errorf("help does not name %s", option)
		}
	}
}

// TestOptionsAreDocumented asserts that README and man page name every option.
func TestOptionsAreDocumented(t *testing.T) {
	for _, doc := range []struct{ path, long string }{
		{"../../README.md", "--%s"},
		{"../../packaging/man/usbmuxd.8", "Fl Fl %s"},
	} {
		text, err := os.ReadFile(doc.path)
		if err != nil {
			t.Fatal(err)
		}
		new(options).flags().VisitAll(func(f *pflag.Flag) {
			if name := fmt.Sprintf(doc.long, f.Name); !strings.Contains(string(text), name) && !strings.HasPrefix(f.Name, "virtual-phone") {
				t.Errorf("%s does not name %s", doc.path, name)
			}
		})
	}
}
