package hotplug

import (
	"errors"
	"os"
	"slices"
	"testing"
)

func (f *fake) tree() tree { return tree{sys: f.root + "/sys", dev: "/dev"} }

func TestObserve(t *testing.T) {
	f := newFake(t)
	f.plug(phone{port: "1-2.3", address: 9, serial: "00008110001C20223E29401E", speed: "5000"})
	got, err := f.tree().observe(devpath("1-2.3"), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	want := Device{
		Path: "/devices/pci0000:00/usb1/1-2/1-2.3", Port: "1-2.3", Bus: 1, Address: 9,
		Vendor: 0x05ac, Product: 0x12a8, BcdDevice: 0x1402, Serial: "00008110001C20223E29401E",
		Node: "/dev/bus/usb/001/009", Speed: 5_000_000_000, Kind: Mux,
	}
	if got.Device != want || got.devno != "189:8" || got.inode == 0 {
		t.Errorf("observe:\nwant %+v\ngot  %+v", want, got)
	}
}

func TestSpeed(t *testing.T) {
	for in, want := range map[string]uint64{
		"1.5": 1_500_000, "12": 12_000_000, "480": 480_000_000, "5000": 5_000_000_000,
		"10000": 10_000_000_000, "20000": 20_000_000_000, "": 0, "unknown": 0,
	} {
		if got := speed(in); got != want {
			t.Errorf("speed(%q) = %d; want %d", in, got, want)
		}
	}
}

func TestObserveMissingParts(t *testing.T) {
	for _, tt := range []struct {
		missing string
		gone    bool
	}{
		{"serial", false}, {"speed", false}, {"bcdDevice", false}, {"dev", false},
		{"idVendor", true}, {"idProduct", true}, {"busnum", true}, {"devnum", true}, {"descriptors", true},
	} {
		t.Run(tt.missing, func(t *testing.T) {
			f := newFake(t)
			f.plug(phone{port: "1-1", address: 3, serial: "a"})
			f.must(os.Remove(f.root + "/sys" + devpath("1-1") + "/" + tt.missing))
			got, err := f.tree().observe(devpath("1-1"), nil, false)
			if errors.Is(err, errGone) != tt.gone || (err != nil) != tt.gone {
				t.Errorf("observe = %+v, %v; want gone %v", got, err, tt.gone)
			}
		})
	}
}

func TestObserveMalformed(t *testing.T) {
	for name, text := range map[string]string{"busnum": "x\n", "devnum": "128\n", "idVendor": "apple\n", "idProduct": ""} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.plug(phone{port: "1-1", address: 3})
			f.write("sys"+devpath("1-1")+"/"+name, text)
			if got, err := f.tree().observe(devpath("1-1"), nil, false); err == nil || errors.Is(err, errGone) {
				t.Errorf("observe = %+v, %v; want an error other than gone", got, err)
			}
		})
	}
}

// The kernel may block on "serial", so what is known is not read again.
func TestObserveKeepsTheSerial(t *testing.T) {
	f := newFake(t)
	f.plug(phone{port: "1-1", address: 3})
	tr := f.tree()
	first, err := tr.observe(devpath("1-1"), nil, false)
	if err != nil || first.Serial != "" {
		t.Fatalf("observe = %+v, %v", first, err)
	}
	for _, serial := range []string{"a", "b"} {
		f.write("sys"+devpath("1-1")+"/serial", serial+"\n")
		if first, err = tr.observe(devpath("1-1"), &first, false); err != nil || first.Serial != "a" {
			t.Fatalf("serial %q, %v; want the first that was readable", first.Serial, err)
		}
	}
}

func TestListIgnoresInterfacesAndHubs(t *testing.T) {
	f := newFake(t)
	f.plug(phone{port: "1-1", address: 3})
	f.plug(phone{port: "1-1.4", address: 4})
	for link, target := range map[string]string{
		"usb1":    "../../../devices/pci0000:00/usb1",
		"1-1:1.0": "../../../devices/pci0000:00/usb1/1-1/1-1:1.0",
		"1-7":     "../../../../etc/1-7", // leaves sysfs
	} {
		f.must(os.Symlink(target, f.root+"/sys/bus/usb/devices/"+link))
	}
	got, err := f.tree().list()
	if want := []string{devpath("1-1"), devpath("1-1.4")}; err != nil || !slices.Equal(got, want) {
		t.Errorf("list = %v, %v; want %v", got, err, want)
	}
	if got, err := (tree{sys: t.TempDir()}).list(); err != nil || got != nil {
		t.Errorf("list without USB = %v, %v; want nothing", got, err)
	}
}

// Attributes of a real sysfs are pollable files of unknown size.
func TestAttributesOfRealSysfs(t *testing.T) {
	root, err := os.OpenRoot("/sys/devices/virtual/mem/null")
	if err != nil {
		t.Skipf("no sysfs here: %v", err)
	}
	defer root.Close()
	a := attributes{root: root}
	if got := a.optional("dev"); got != "1:3" {
		t.Errorf("dev = %q; want 1:3", got)
	}
	if got := a.number("nothing", 10, 1); got != 0 || !errors.Is(a.err, errGone) {
		t.Errorf("missing attribute = %d, %v; want errGone", got, a.err)
	}
}
