package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestBrokenConfig(t *testing.T) {
	const device = "[device.00008110-000A111122223333]\n"
	for _, tt := range []struct{ name, text, want string }{
		{"syntax", "\n\n[usb\n", "conf:3: "},
		{"no value", "user =\n", "conf:1: "},
		{"text without quotes", "user = usbmux\n", "conf:1: "},
		{"twice", "user = 'a'\nuser = 'b'\n", "conf:2: "},
		{"unknown key", "\nlisten_on = ['/x']\n", "conf:2: unknown key listen_on; the nearest is listen"},
		{"unknown key in a table", "[usb]\nmod = 3\n", "conf:2: unknown key usb.mod; the nearest is usb.mode"},
		{"key in the wrong table", "[log]\npolicy = 'ask'\n", "conf:2: unknown key log.policy; the nearest is trust.policy"},
		{"unknown table", "[usbb]\nmode = 3\n", "conf:1: unknown key usbb; the nearest is "},
		{"unknown key of a device", device + "modus = 3\n", "conf:2: unknown key device.00008110-000A111122223333.modus; the nearest is device.UDID.mode"},
		{"number for a text", "user = 5\n", "conf:1: user wants a text in quotes"},
		{"text for a list", "\nlisten = '/x'\n", "conf:2: listen wants a list of texts in quotes"},
		{"number in a list", "listen = [5]\n", "conf:1: listen wants a list of texts in quotes"},
		{"text for a truth", "allow_remote = 'yes'\n", "conf:1: allow_remote wants true or false"},
		{"text for a number", "[usb]\nmode = 'keep'\n", "conf:2: usb.mode wants a number"},
		{"value for a table", "usb = 3\n", "conf:1: usb wants a table of its own: [usb]"},
		{"value for tables", "[access]\nrule = 3\n", "conf:2: access.rule wants tables of its own: [[access.rule]]"},
		{"no address", "listen = []\n", "conf:1: listen names no address"},
		{"bad address", "\nlisten = ['/x', 'host:port']\n", "conf:2: listen wants an address"},
		{"relative path", "record_dir = 'lockdown'\n", `conf:1: record_dir wants an absolute path, got "lockdown"`},
		{"relative path of a pid file", "pid_file = 'none'\n", "conf:1: pid_file wants an absolute path"},
		{"bad level", "[log]\nfile = '/x'\nlevel = 'loud'\n", `conf:3: log.level wants error, warn, info or debug, got "loud"`},
		{"bad mode", "[usb]\n\nmode = 6\n", "conf:3: usb.mode wants a mode from 1 to 5"},
		{"bad rule", "[usb]\ndeny = ['05ac:12a8', 'phone']\n", `conf:2: usb.deny rule "phone"`},
		{"bad policy", "[trust]\npolicy = 'maybe'\n", `conf:2: trust.policy wants auto, ask or never, got "maybe"`},
		{"bad profile", "[access]\nprofile = 'lax'\n", `conf:2: access.profile wants default or strict, got "lax"`},
		{"socket for no device", "[[socket]]\nlisten = '/run/one'\n", "conf:1: socket wants devices"},
		{"socket nowhere", "[[socket]]\nlisten = '127.0.0.1:7'\ndevices = ['port:1-1']\n", "conf:1: socket wants listen, the path of a Unix socket"},
		{"socket for a name", "[[socket]]\nlisten = '/run/one'\ndevices = ['my phone']\n", "conf:1: socket wants UDIDs or"},
		{"socket's odd mode", "[[socket]]\nlisten = '/run/one'\ndevices = ['port:1-1']\nmode = 'rw'\n", `conf:1: socket wants a mode like "0660", got "rw"`},
		{"one file for TLS", "[tls]\ncertificate = '/c'\n", "conf:1: tls.key wants a file: certificate, key and clients go together"},
		{"two files for TLS", "[tls]\nkey = '/k'\nclients = '/a'\n", "conf:1: tls.certificate wants a file"},
		{"relative path for TLS", "[tls]\ncertificate = '/c'\nkey = 'k'\nclients = '/a'\n", `conf:3: tls.key wants an absolute path, got "k"`},
		{"TLS without files", "\nlisten = ['/x', 'tls:0.0.0.0:27016']\n", "conf:2: listen wants certificate, key and clients in [tls] for tls:0.0.0.0:27016"},
		{"TLS on no host", "listen = ['tls:27016']\n", "conf:1: listen wants an address"},
		{"bad access rule", "[[access.rule]]\nmay = ['fly']\n", "conf:1: access.rule "},
		{"bad UDID", "[device.\"../x\"]\nmode = 1\n", "conf:1: device.../x "},
		{"bad mode of a device", device + "mode = 9\n", "conf:2: device.00008110-000A111122223333.mode wants a mode"},
		{"bad policy of a device", device + "mode = 1\ntrust = ''\n[log]\nlevel = ''\n", "conf:5: log.level"},
		{"device twice", device + "[device.00008110000a111122223333]\n", "is the same device as"},
		{"not text", "\xff\xfe\x00", "conf:1: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := defaults()
			err := s.parseConfig("/etc/conf", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("want one line with %q, got %v", tt.want, err)
			}
		})
	}
}

func TestMissingConfig(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, maxConfig+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"none": "no such file", ".": "not a regular file", "big": "larger than"} {
		s := defaults()
		err := s.readConfig(filepath.Join(dir, name))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: want the path and %q, got %v", name, want, err)
		}
	}
}

func TestConfig(t *testing.T) {
	s := defaults()
	err := s.parseConfig("conf", []byte(`
listen = ["/run/usbmuxd", "127.0.0.1:27015"]
pid_file = "NONE"
[usb]
mode = 0
hotplug = false
deny = ["port=1-2", "05ac:8600"]
[[access.rule]]
who = ["user:root"]
may = ["everything"]
[device."00008110-000A111122223333"]
mode = 4
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"listen", "pid_file", "usb.mode", "usb.hotplug", "usb.deny", "access.rule", "device"}
	if got := differences(defaults(), s); !reflect.DeepEqual(got, want) {
		t.Errorf("want %v changed, got %v", want, got)
	}
	if _, deny := s.rules(); len(deny) != 2 || s.mode("00008110000a111122223333") != 4 || s.mode("") != 0 {
		t.Errorf("got %+v", s)
	}
}

// FuzzConfig asserts that any file gives one line that names it, or settings that
// hold.
func FuzzConfig(f *testing.F) {
	text, err := os.ReadFile("../../packaging/usbmuxd.conf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("listen = ['/x']\n[usb]\nmod = 3\n")
	f.Add("[device.x]\nmode = '3'\n[[access.rule]]\nwho = 1")
	f.Fuzz(func(t *testing.T, text string) {
		s := defaults()
		if err := s.parseConfig("conf", []byte(text)); err != nil {
			if !strings.HasPrefix(err.Error(), "conf:") || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q: want one line that begins with the file, got %q", text, err)
			}
			return
		}
		if err := s.validate(); err != nil {
			t.Fatalf("%q: taken, but %v", text, err)
		}
	})
}

// TestDefaultFile asserts that the file that is installed sets nothing, shows
// the defaults, and names every key, as the man page does.
func TestDefaultFile(t *testing.T) {
	text, err := os.ReadFile("../../packaging/usbmuxd.conf")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAllString(string(text), "$1")
	for name, text := range map[string]string{"as it is": string(text), "with what it shows": shown} {
		s := defaults()
		if strings.HasPrefix(name, "with") {
			s = settings{}
		}
		if err := s.parseConfig("usbmuxd.conf", []byte(text)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := differences(defaults(), s); len(got) > 0 {
			t.Errorf("%s: differs from the defaults in %v", name, got)
		}
	}
	examples := regexp.MustCompile(`(?m)^#    `).ReplaceAllString(string(text), "")
	s := defaults()
	if err := s.parseConfig("usbmuxd.conf", []byte(examples)); err != nil {
		t.Errorf("the examples: %v", err)
	}
	if got := differences(defaults(), s); !reflect.DeepEqual(got, []string{"access.rule", "socket", "device"}) {
		t.Errorf("the examples set %v", got)
	}

	man, err := os.ReadFile("../../packaging/man/usbmuxd.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range configKeys() {
		last := key[strings.LastIndexByte(key, '.')+1:]
		if !regexp.MustCompile(`(?m)^#? *` + last + ` = `).Match(text) {
			t.Errorf("the file does not show %s", key)
		}
		if !strings.Contains(string(man), ".It Cm "+key+"\n") {
			t.Errorf("the man page does not name %s", key)
		}
	}
	for _, key := range reloadable {
		if !slices.ContainsFunc(configKeys(), func(k string) bool { return k == key || strings.HasPrefix(k, key+".") }) {
			t.Errorf("%s, which is said to be read again, is no key", key)
		}
	}
}

func TestCheckConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf")
	for _, tt := range []struct {
		text   string
		args   []string
		code   int
		stderr string // part of its only line
	}{
		{text: "user = 'x'\n"},
		{text: "listen = ['0.0.0.0:27015']\nallow_remote = true\n"},
		{text: "listen = ['tls:0.0.0.0:27016']\n[tls]\ncertificate = '/c'\nkey = '/k'\nclients = '/a'\n"},
		{text: "", args: []string{"-S", "tls:[::]:27016"}, code: exitUsage, stderr: "[tls]"},
		{text: "usre = 'x'\n", code: exitUsage, stderr: path + ":1: unknown key usre; the nearest is user"},
		{text: "listen = ['0.0.0.0:27015']\n", code: exitUsage, stderr: "allow_remote = true"},
		{text: "", args: []string{"-S", "[::]:27015"}, code: exitUsage, stderr: "allow_remote = true"},
		{text: "", args: []string{"-S", "host:x"}, code: exitUsage, stderr: "--socket"},
	} {
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr strings.Builder
		code := run(append([]string{"--check-config", "--config", path}, tt.args...), &stdout, &stderr)
		if code != tt.code || !strings.Contains(stderr.String(), tt.stderr) || (code == 0) != (stdout.Len() > 0) || strings.Count(stderr.String(), "\n") > 1 {
			t.Errorf("%q %v: want %d and %q, got %d, %q, %q", tt.text, tt.args, tt.code, tt.stderr, code, stdout.String(), stderr.String())
		}
	}
}
