package hotplug

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// kernelAdd is what Linux sends when a phone is plugged in.
const kernelAdd = "add@/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2.3\x00" +
	"ACTION=add\x00" +
	"DEVPATH=/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2.3\x00" +
	"SUBSYSTEM=usb\x00" +
	"MAJOR=189\x00" +
	"MINOR=8\x00" +
	"DEVNAME=bus/usb/001/009\x00" +
	"DEVTYPE=usb_device\x00" +
	"PRODUCT=5ac/12a8/1402\x00" +
	"TYPE=0/0/0\x00" +
	"BUSNUM=001\x00" +
	"DEVNUM=009\x00" +
	"SEQNUM=3012\x00"

// udevRemove is what udevd sends after its rules, here as on a little-endian
// machine: 40 bytes of header, 153 (0x99) of properties.
const udevRemove = "libudev\x00" + "\xfe\xed\xca\xfe" + "\x28\x00\x00\x00" + "\x28\x00\x00\x00" + "\x99\x00\x00\x00" +
	"\xab\x63\xd4\x1f" + "\xb7\x12\x86\x33" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" +
	"ACTION=remove\x00" +
	"DEVPATH=/devices/pci0000:00/0000:00:14.0/usb2/2-1\x00" +
	"SUBSYSTEM=usb\x00" +
	"DEVTYPE=usb_device\x00" +
	"PRODUCT=5ac/1281/0\x00" +
	"BUSNUM=002\x00" +
	"DEVNUM=127\x00" +
	"TAGS=:systemd:\x00"

// udevNull is a message of udevd 252, as received on a little-endian machine.
const udevNull = "libudev\x00" + "\xfe\xed\xca\xfe" + "\x28\x00\x00\x00" + "\x28\x00\x00\x00" + "\xba\x00\x00\x00" +
	"\xc3\x65\xcd\x83" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" +
	"UDEV_DATABASE_VERSION=1\x00" +
	"ACTION=change\x00" +
	"DEVPATH=/devices/virtual/mem/null\x00" +
	"SUBSYSTEM=mem\x00" +
	"SYNTH_UUID=0\x00" +
	"DEVNAME=/dev/null\x00" +
	"DEVMODE=0666\x00" +
	"SEQNUM=1283\x00" +
	"MAJOR=1\x00" +
	"MINOR=3\x00" +
	"USEC_INITIALIZED=3162322332\x00"

// others are messages that concern nobody here, in both formats.
var others = []string{
	"change@/devices/virtual/mem/null\x00ACTION=change\x00DEVPATH=/devices/virtual/mem/null\x00SUBSYSTEM=mem\x00SYNTH_UUID=0\x00MAJOR=1\x00MINOR=3\x00DEVNAME=null\x00DEVMODE=0666\x00SEQNUM=822\x00",
	strings.ReplaceAll(kernelAdd, "usb_device", "usb_interface"),
	strings.ReplaceAll(kernelAdd, "5ac/12a8", "1d6b/2"),
	strings.ReplaceAll(udevEvent(kernelAdd[len("add@/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2.3\x00"):]), "5ac/12a8", "8087/024"),
}

func isApple(v uint16) bool { return v == apple }

func TestParseUevent(t *testing.T) {
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	for _, tt := range []struct {
		name string
		in   string
		want uevent
		path string
		ok   bool
		skip bool
	}{
		{name: "kernel add", in: kernelAdd, ok: true,
			path: "/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2.3", want: uevent{vendor: apple, bus: 1, address: 9}},
		{name: "udev remove", in: udevRemove, ok: true, skip: !little,
			path: "/devices/pci0000:00/0000:00:14.0/usb2/2-1", want: uevent{udev: true, removed: true, vendor: apple, bus: 2, address: 127}},
		{name: "udev other subsystem", in: udevNull, skip: !little},
		{name: "kernel other subsystem", in: others[0]},
		{name: "kernel interface", in: others[1]},
		{name: "kernel hub", in: others[2]},
		{name: "udev other vendor", in: others[3]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.skip {
				t.Skip("the bytes are those of a little-endian machine")
			}
			got, ok, err := parseUevent([]byte(tt.in), isApple)
			if err != nil || ok != tt.ok {
				t.Fatalf("parseUevent = %v, %v; want %v, nil", ok, err, tt.ok)
			}
			if !ok {
				return
			}
			if string(got.path) != tt.path {
				t.Errorf("path:\nwant %s\ngot  %s", tt.path, got.path)
			}
			got.path = nil
			if got.udev != tt.want.udev || got.removed != tt.want.removed || got.vendor != tt.want.vendor ||
				got.bus != tt.want.bus || got.address != tt.want.address {
				t.Errorf("want %+v\ngot  %+v", tt.want, got)
			}
		})
	}
}

// malformed are messages that cannot be used.
var malformed = map[string]string{
	"empty":                "",
	"no zero byte":         "add@/devices/x",
	"no path in the head":  "add\x00ACTION=add\x00",
	"no properties":        "add@/devices/x\x00",
	"cut in a property":    kernelAdd[:len(kernelAdd)-1],
	"product not hex":      strings.ReplaceAll(kernelAdd, "5ac/", "zz/"),
	"product too large":    strings.ReplaceAll(kernelAdd, "5ac/", "105ac/"),
	"no product":           strings.ReplaceAll(kernelAdd, "PRODUCT=", "P="),
	"no action":            strings.ReplaceAll(kernelAdd, "ACTION=add", "X="),
	"no path":              strings.ReplaceAll(kernelAdd, "DEVPATH=", "X="),
	"path with ..":         strings.ReplaceAll(kernelAdd, "/0000:00:14.0/", "/../"),
	"path with //":         strings.ReplaceAll(kernelAdd, "/0000:00:14.0/", "//"),
	"path elsewhere":       strings.ReplaceAll(kernelAdd, "DEVPATH=/devices/", "DEVPATH=/bus/"),
	"path of an interface": strings.ReplaceAll(kernelAdd, "1-2.3\x00", "1-2.3:1.0\x00"),
	"path too long":        strings.ReplaceAll(kernelAdd, "DEVPATH=/devices/", "DEVPATH=/devices/"+strings.Repeat("x/", 1100)),
	"device 128":           strings.ReplaceAll(kernelAdd, "DEVNUM=009", "DEVNUM=128"),
	"bus negative":         strings.ReplaceAll(kernelAdd, "BUSNUM=001", "BUSNUM=-1"),
	"udev short":           udevRemove[:30],
	"udev magic":           strings.ReplaceAll(udevRemove, "\xfe\xed\xca\xfe", "\xfe\xca\xed\xfe"),
	"udev too long":        strings.ReplaceAll(udevRemove, "\x99\x00\x00\x00", "\x9a\x00\x00\x00"),
	"udev much too long":   strings.ReplaceAll(udevRemove, "\x99\x00\x00\x00", "\xff\xff\xff\xff"),
	"udev into the header": strings.ReplaceAll(udevRemove, "\x28\x00\x00\x00\x99", "\x08\x00\x00\x00\xb9"),
	"udev cut":             strings.ReplaceAll(udevRemove, "\x99\x00\x00\x00", "\x98\x00\x00\x00"),
}

func TestParseMalformedUevent(t *testing.T) {
	for name, in := range malformed {
		t.Run(name, func(t *testing.T) {
			if e, ok, err := parseUevent([]byte(in), isApple); ok || !errors.Is(err, errUevent) {
				t.Errorf("parseUevent = %+v, %v, %v; want errUevent", e, ok, err)
			}
		})
	}
}

func TestJudgeTrusts(t *testing.T) {
	udev := udevEvent(kernelAdd[strings.IndexByte(kernelAdd, 0)+1:])
	for _, tt := range []struct {
		name string
		msg  string
		from sender
		want bool
	}{
		{"kernel", kernelAdd, sender{creds: true}, true},
		{"kernel in a user namespace", kernelAdd, sender{creds: true, uid: 65534}, true},
		{"process in the kernel's format", kernelAdd, sender{port: 1, creds: true}, false},
		{"udevd", udev, sender{port: 300, creds: true}, true},
		{"user in udevd's format", udev, sender{port: 300, creds: true, uid: 1000}, false},
		{"unknown in udevd's format", udev, sender{port: 300}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := reader{log: zap.NewNop(), wanted: isApple}
			if _, got := r.judge([]byte(tt.msg), tt.from); got != tt.want {
				t.Errorf("judge = %v; want %v", got, tt.want)
			}
		})
	}
}

func TestJudgeDoesNotAllocateForOthers(t *testing.T) {
	r := reader{log: zap.NewNop(), wanted: policy{}.vendor}
	for _, msg := range others {
		b := []byte(msg)
		if n := testing.AllocsPerRun(100, func() {
			if _, ok := r.judge(b, sender{creds: true}); ok {
				t.Fatalf("judge accepts %q", msg)
			}
		}); n != 0 {
			t.Errorf("%v allocations for %q; want 0", n, msg)
		}
	}
}

func BenchmarkJudgeOther(b *testing.B) {
	r := reader{log: zap.NewNop(), wanted: policy{}.vendor}
	msg := []byte(others[1])
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		r.judge(msg, sender{creds: true})
	}
}

func FuzzUevent(f *testing.F) {
	f.Add([]byte(kernelAdd))
	f.Add([]byte(udevRemove))
	f.Add([]byte(udevNull))
	for _, s := range others {
		f.Add([]byte(s))
	}
	for _, s := range malformed {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		e, ok, err := parseUevent(in, isApple)
		if !bytes.Equal(in, before) {
			t.Fatal("the message was changed")
		}
		if ok && err != nil {
			t.Fatalf("accepted with error %v", err)
		}
		if err != nil && !errors.Is(err, errUevent) {
			t.Fatalf("error %v does not wrap errUevent", err)
		}
		if !ok {
			return
		}
		p := string(e.path)
		if full := path.Join("/sys", p); full != "/sys"+p || !strings.HasPrefix(full, "/sys/devices/") || !isPort(path.Base(p)) {
			t.Fatalf("path %q leaves /sys/devices or is no device", p)
		}
		if e.vendor != apple || e.bus < 0 || e.bus > 999 || e.address < 0 || e.address > 127 {
			t.Fatalf("out of range: %+v", e)
		}
		// A second reader, which splits all properties into a map, finds the same.
		props, udev, err := properties(in)
		if err != nil || udev != e.udev {
			t.Fatalf("properties = %v, %v", udev, err)
		}
		env := map[string]string{}
		for _, kv := range strings.Split(strings.TrimSuffix(string(props), "\x00"), "\x00") {
			if k, v, found := strings.Cut(kv, "="); found {
				env[k] = v
			}
		}
		if env["DEVPATH"] != p || env["SUBSYSTEM"] != "usb" || env["DEVTYPE"] != "usb_device" || (env["ACTION"] == "remove") != e.removed {
			t.Fatalf("read %+v from %q", e, env)
		}
		// The same properties in the other format say the same.
		var other string
		if e.udev {
			other = "x@/x\x00" + string(props)
		} else {
			other = udevEvent(string(props))
		}
		o, ok, err := parseUevent([]byte(other), isApple)
		if !ok || err != nil || o.udev == e.udev || !bytes.Equal(o.path, e.path) || o.bus != e.bus || o.address != e.address || o.removed != e.removed {
			t.Fatalf("in the other format: %+v, %v, %v; want %+v", o, ok, err, e)
		}
	})
}
