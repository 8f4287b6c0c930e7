package usb

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSerial(t *testing.T) {
	forty := strings.Repeat("0123456789abcdef0123", 2)
	for _, tt := range []struct{ name, in, serial, udid string }{
		{"24 characters", "00008110000A11112222001E", "00008110000A11112222001E", "00008110-000A11112222001E"},
		{"40 characters", forty, forty, forty},
		{"hyphen already there", "00008110-000A11112222001E", "00008110-000A11112222001E", "00008110-000A11112222001E"},
		{"padded with NULs", "00008110000A11112222001E\x00\x00\x00", "00008110000A11112222001E", "00008110-000A11112222001E"},
		{"NUL inside", "abc\x00def", "abc", "abc"},
		{"not ASCII", "caf\u00e9\u4e2d", "caf??", "caf??"},
		{"broken UTF-8", "a\xff\xfeb", "a??b", "a??b"},
		{"control characters", "a\nb\x7f", "a?b?", "a?b?"},
		{"24 with one that is not ASCII", "00008110000A1111222200\u00e9E", "00008110000A1111222200?E", "00008110-000A1111222200?E"},
		{"too long", strings.Repeat("x", 300), strings.Repeat("x", 255), strings.Repeat("x", 255)},
		{"empty", "", "", ""},
		{"NUL first", "\x00abc", "", ""},
	} {
		if got := cleanSerial(tt.in); got != tt.serial {
			t.Errorf("%s: serial %q, want %q", tt.name, got, tt.serial)
		}
		if got := udidOf(cleanSerial(tt.in)); got != tt.udid {
			t.Errorf("%s: UDID %q, want %q", tt.name, got, tt.udid)
		}
	}
}

func FuzzSerial(f *testing.F) {
	f.Add("00008110000A11112222001E\x00")
	f.Add("\xff\xfe\u4e2d")
	f.Fuzz(func(t *testing.T, in string) {
		s := cleanSerial(in)
		if len(s) > maxSerial || len(s) > len(in) || cleanSerial(s) != s {
			t.Errorf("cleanSerial(%q) = %q", in, s)
		}
		for _, b := range []byte(s) {
			if b < ' ' || b > '~' {
				t.Errorf("cleanSerial(%q) = %q", in, s)
			}
		}
	})
}

func TestSpeed(t *testing.T) {
	for in, want := range map[string]uint64{
		"1.5": 1_500_000, "12": 12_000_000, "480": 480_000_000, "5000": 5_000_000_000,
		"10000": 10_000_000_000, "20000": 20_000_000_000,
		"": 480_000_000, "unknown": 480_000_000, "-1": 480_000_000, "NaN": 480_000_000, "1e300": 480_000_000,
	} {
		if got := parseSpeed(in); got != want {
			t.Errorf("parseSpeed(%q) = %d, want %d", in, got, want)
		}
	}
}

// sysTree makes a device directory and returns the root of its sysfs.
func sysTree(t *testing.T, attributes map[string]string) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "devices/usb1/1-2")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range attributes {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

var testAddress = Address{Bus: 1, Address: 5, Node: "/dev/bus/usb/001/005", SysPath: "/devices/usb1/1-2", Port: "1-2"}

// lost tells an unplug, another configuration and a stolen claim apart.
func TestLost(t *testing.T) {
	for _, tt := range []struct {
		name string
		sys  map[string]string
		want error
	}{
		{"unplugged", nil, ErrGone},
		{"another phone there", map[string]string{"devnum": "6", "bConfigurationValue": "4"}, ErrGone},
		{"unconfigured by udev", map[string]string{"devnum": "5", "bConfigurationValue": ""}, ErrConfiguration},
		{"configured by the charging driver", map[string]string{"devnum": "5", "bConfigurationValue": "1"}, ErrConfiguration},
		{"same configuration", map[string]string{"devnum": "5", "bConfigurationValue": "4"}, ErrClaimLost},
	} {
		d := &Device{sys: newSysDevice(sysTree(t, tt.sys), testAddress)}
		d.info.Configuration = 4
		if err := d.lost(0); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestHolder(t *testing.T) {
	proc := t.TempDir()
	for pid, target := range map[string]string{"77": "/dev/bus/usb/001/005", "12": "/dev/null", "99": "/dev/bus/usb/001/005"} {
		dir := filepath.Join(proc, pid, "fd")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, "3")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "comm"), []byte("prog"+pid+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.MkdirAll(filepath.Join(proc, "self"), 0o755)
	if pid, name := holder(proc, "/dev/bus/usb/001/005", 77); pid != 99 || name != "prog99" {
		t.Errorf("holder = %d %q, want 99 prog99", pid, name)
	}
	if pid, _ := holder(proc, "/dev/bus/usb/009/009", 1); pid != 0 {
		t.Errorf("holder of an unused node = %d", pid)
	}
}

func TestBusyError(t *testing.T) {
	for _, tt := range []struct {
		err  BusyError
		want string
	}{
		{BusyError{Interface: 1, Driver: "ipheth"}, "interface in use: interface 1 is held by the kernel driver ipheth"},
		{BusyError{Interface: 1, Driver: "usbfs"}, "interface in use: interface 1 is held by another program"},
		{BusyError{Interface: 1, Driver: "usbfs", PID: 42, Program: "usbmuxd"}, "interface in use: interface 1 is held by usbmuxd (pid 42)"},
		{BusyError{Interface: 1}, "interface in use: interface 1"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
		if !errors.Is(&tt.err, ErrBusy) {
			t.Errorf("%v is not ErrBusy", &tt.err)
		}
	}
}

func TestBudget(t *testing.T) {
	b := &Budget{Limit: 16 << 20}
	count := map[buffers]int{}
	var plans []buffers
	for range 108 {
		plan := b.take()
		count[plan]++
		plans = append(plans, plan)
	}
	if count[plentiful] != 2 || count[normal] != 38 || b.used > b.Limit {
		t.Errorf("plans %v use %d bytes", count, b.used)
	}
	for _, plan := range plans {
		b.put(plan)
	}
	if b.used != 0 {
		t.Errorf("%d bytes still used", b.used)
	}
	small := &Budget{Limit: 1 << 20}
	for range 8 {
		small.take()
	}
	if small.used > small.Limit {
		t.Errorf("eight phones use %d bytes of 1 MiB", small.used)
	}
	if plan := (&Budget{Limit: -1}).take(); plan != plentiful {
		t.Errorf("without a limit: %+v", plan)
	}
	if plan := (&Budget{Limit: 1}).take(); plan != scarce {
		t.Errorf("without memory: %+v", plan)
	}
}

func TestMemoryLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usbfs_memory_mb")
	for text, want := range map[string]int{"16\n": 16 << 20, "0\n": -1, "1000": 1000 << 20, "x": defaultMemory, "-3": defaultMemory} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := readMemoryLimit(path); got != want {
			t.Errorf("limit %q = %d, want %d", text, got, want)
		}
	}
	if got := readMemoryLimit(path + "-"); got != defaultMemory {
		t.Errorf("limit without the file = %d, want %d", got, defaultMemory)
	}
}

func TestSwitches(t *testing.T) {
	var s switches
	now := time.Now()
	again := testAddress
	again.Address++
	if v := s.ask(testAddress, now); v != mayAsk {
		t.Errorf("first: %v", v)
	}
	s.note(testAddress, now)
	if v := s.ask(testAddress, now.Add(time.Second)); v != stillLeaving {
		t.Errorf("same address at once: %v", v)
	}
	if v := s.ask(testAddress, now.Add(leaveTime)); v != tried {
		t.Errorf("same address later: %v", v)
	}
	if v := s.ask(again, now.Add(time.Second)); v != tried {
		t.Errorf("came back in another mode: %v", v)
	}
	if v := s.ask(again, now.Add(switchPause)); v != mayAsk {
		t.Errorf("long after: %v", v)
	}
}
