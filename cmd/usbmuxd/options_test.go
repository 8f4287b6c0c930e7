package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want options
		err  string // part of the error
	}{
		{name: "none", want: options{sockets: []string{defaultSocket}, records: defaultRecords, pidFile: defaultPidFile}},
		{name: "cluster", args: []string{"-fvvp"}, want: options{foreground: true, verbose: 2, noPreflight: true, sockets: []string{defaultSocket}, records: defaultRecords, pidFile: defaultPidFile}},
		{name: "values glued and apart", args: []string{"-S/run/x", "-C", "/tmp/c", "-PNONE"}, want: options{sockets: []string{"/run/x"}, records: "/tmp/c", pidFile: "NONE"}},
		{name: "long", args: []string{"--foreground", "--verbose", "--no-preflight", "--socket=127.0.0.1:27015", "--socket", "/s", "--config-dir=/c", "--pidfile=/p"}, want: options{foreground: true, verbose: 1, noPreflight: true, sockets: []string{"127.0.0.1:27015", "/s"}, records: "/c", pidFile: "/p"}},
		{name: "unknown letter", args: []string{"-q"}, err: "-q"},
		{name: "unknown word", args: []string{"--qq"}, err: "--qq"},
		{name: "argument", args: []string{"phone"}, err: `unexpected argument "phone"`},
		{name: "empty socket", args: []string{"-S", ""}, err: "--socket wants an address"},
		{name: "socket that is an option", args: []string{"-S", "-f"}, err: `--socket wants an address, got "-f"`},
		{name: "socket without value", args: []string{"-S"}, err: "argument"},
		{name: "socket with a port beyond", args: []string{"-S", "127.0.0.1:99999"}, err: `"99999" is no number from 1 to 65535`},
		{name: "socket without port", args: []string{"-S", "localhost:"}, err: "localhost:"},
		{name: "socket with a broken IPv6 address", args: []string{"-S", "[::1:5"}, err: "[address]:port"},
		{name: "socket without path", args: []string{"-S", "UNIX:"}, err: "no path"},
		{name: "empty directory", args: []string{"-C", ""}, err: "--config-dir wants a path"},
		{name: "empty pid file", args: []string{"-P", ""}, err: "--pidfile wants a path"},
		{name: "help", args: []string{"-fh"}, err: errHelp.Error()},
		{name: "version", args: []string{"-V"}, err: errVersion.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseOptions(tt.args)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("want an error with %q, got %v", tt.err, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.foreground != tt.want.foreground || got.verbose != tt.want.verbose || got.noPreflight != tt.want.noPreflight ||
				!slices.Equal(got.sockets, tt.want.sockets) || got.records != tt.want.records || got.pidFile != tt.want.pidFile {
				t.Fatalf("want %+v\n got %+v", tt.want, *got)
			}
		})
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
	for _, option := range []string{"-f, --foreground", "-v, --verbose", "-S, --socket", "-C, --config-dir", "-P, --pidfile", "-p, --no-preflight", "-h, --help", "-V, --version"} {
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
		fs, _, _ := new(options).flags()
		fs.VisitAll(func(f *pflag.Flag) {
			if name := fmt.Sprintf(doc.long, f.Name); !strings.Contains(string(text), name) && !strings.HasPrefix(f.Name, "virtual-phone") {
				t.Errorf("%s does not name %s", doc.path, name)
			}
		})
	}
}
