package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	apple          = "05ac"
	maxAttribute   = 4096       // bytes; sysfs gives one page
	maxDescriptors = 18 + 65535 // bytes
	maxUSB         = 1024       // devices that are looked at
)

// usb lists Apple's devices.
func (g *gatherer) usb(context.Context) {
	dir := filepath.Join(g.o.SysRoot, "bus/usb/devices")
	entries, err := os.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			g.unseen("the USB bus", err)
		}
		return // a kernel without USB has none
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "usb") {
			g.f.Controllers++
		}
		if !isPort(name) || len(g.f.USB) == maxUSB {
			continue
		}
		if a := attributes(filepath.Join(dir, name)); strings.EqualFold(a.get("idVendor"), apple) {
			g.f.USB = append(g.f.USB, g.device(name, a))
		}
	}
	slices.SortFunc(g.f.USB, func(a, b USBDevice) int { return comparePorts(a.Port, b.Port) })
	g.overCurrent(dir)
}

// overCurrent looks for ports that have cut the power. Source: the kernel's
// Documentation/ABI/testing/sysfs-bus-usb, over_current_count.
func (g *gatherer) overCurrent(devices string) {
	ports, _ := filepath.Glob(filepath.Join(devices, "*", "*", "*-port*"))
	for _, dir := range ports {
		// usb1/1-0:1.0/usb1-port2 is port 1-2, 1-2/1-2:1.0/1-2-port3 is 1-2.3.
		hub, number, _ := strings.Cut(filepath.Base(dir), "-port")
		port := hub + "." + number
		if bus, root := strings.CutPrefix(hub, "usb"); root {
			port = bus + "-" + number
		}
		n, err := strconv.Atoi(attributes(dir).get("over_current_count"))
		if err == nil && n > 0 && len(g.f.OverCurrent) < maxUSB {
			g.f.OverCurrent = append(g.f.OverCurrent, PortFault{Port: port, Times: n})
		}
	}
	slices.SortFunc(g.f.OverCurrent, func(a, b PortFault) int { return comparePorts(a.Port, b.Port) })
}

// isPort reports whether the name of a directory is a device's: "1-2.3". Root
// hubs are called usb1, interfaces 1-2:1.0.
func isPort(name string) bool {
	return name != "" && name[0] >= '0' && name[0] <= '9' && strings.Contains(name, "-") && !strings.Contains(name, ":")
}

// device reads one device.
func (g *gatherer) device(port string, a attributes) USBDevice {
	d := USBDevice{
		Port:          port,
		Vendor:        strings.ToLower(a.get("idVendor")),
		Product:       strings.ToLower(a.get("idProduct")),
		Name:          a.get("product"),
		Serial:        a.get("serial"),
		Speed:         speed(a.get("speed")),
		Configuration: a.get("bConfigurationValue"),
		Authorized:    a.get("authorized"),
		PowerControl:  a.get("power/control"),
		RuntimeStatus: a.get("power/runtime_status"),
		Driver:        a.link("driver"),
		Hub:           g.hub(port),
	}
	d.Bus, _ = strconv.Atoi(a.get("busnum"))
	d.Address, _ = strconv.Atoi(a.get("devnum"))
	descriptors, _ := readFile(filepath.Join(string(a), "descriptors"), maxDescriptors)
	d.Kind = kind(d.Product, descriptors)
	d.Node = g.node(filepath.Join(g.o.DevRoot, fmt.Sprintf("bus/usb/%03d/%03d", d.Bus, d.Address)))

	interfaces, _ := filepath.Glob(filepath.Join(string(a), port+":*"))
	for _, dir := range interfaces {
		if i := attributes(dir); i.get("bInterfaceClass") == "ff" && i.get("bInterfaceSubClass") == "fe" && i.get("bInterfaceProtocol") == "02" {
			d.MuxInterface, d.MuxDriver = filepath.Base(dir), i.link("driver")
			break
		}
	}
	return d
}

// hub names the hub that a device hangs on: by what it calls itself, with its
// port; "" on a port of the computer.
func (g *gatherer) hub(port string) string {
	cut := strings.LastIndexByte(port, '.')
	if cut < 0 {
		return ""
	}
	at := port[:cut]
	name := attributes(filepath.Join(g.o.SysRoot, "bus/usb/devices", at)).get("product")
	return strings.TrimSpace(name + " at port " + at)
}

// kind says what a product id and descriptors are. Package hotplug has the
// sources of the ids; a test compares the two.
func kind(product string, descriptors []byte) Kind {
	n, err := strconv.ParseUint(product, 16, 16)
	if err != nil {
		return KindOther
	}
	phone := false
	switch {
	case n >= 0x1280 && n <= 0x1283:
		return KindRecovery
	case n == 0x1222, n == 0x1226, n == 0x1227:
		return KindDFU
	case n >= 0x1901 && n <= 0x1904, n == 0x8600:
		return KindMux
	case n >= 0x1290 && n <= 0x12af:
		phone = true
	}
	mux, data := interfaces(descriptors)
	switch {
	case mux:
		return KindMux
	case phone && data:
		return KindNoMux
	case phone:
		return KindCharging
	}
	return KindOther
}

// interfaces reports whether any configuration has a usbmux interface, and
// whether it has one that carries data: any but those for buttons (HID).
// Descriptors that are not well-formed end where they go wrong.
func interfaces(b []byte) (mux, data bool) {
	for len(b) >= 2 {
		n := int(b[0])
		if n < 2 || n > len(b) {
			return mux, data
		}
		if b[1] == 4 && n >= 9 {
			mux = mux || b[5] == 255 && b[6] == 254 && b[7] == 2
			data = data || b[5] != 3
		}
		b = b[n:]
	}
	return mux, data
}

// speed reads the sysfs attribute of that name, which is in Mbit/s, as bits per
// second.
func speed(s string) uint64 {
	if s == "1.5" {
		return 1_500_000
	}
	n, err := strconv.ParseUint(s, 10, 20)
	if err != nil {
		return 0
	}
	return n * 1_000_000
}

// attributes is a directory of sysfs.
type attributes string

// get reads an attribute, "" if that cannot be done.
func (a attributes) get(name string) string {
	b, err := readFile(filepath.Join(string(a), name), maxAttribute)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

// link gives the last part of what a link leads to.
func (a attributes) link(name string) string {
	to, err := os.Readlink(filepath.Join(string(a), name))
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// comparePorts orders "1-2" before "1-10".
func comparePorts(a, b string) int {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '.' })
	}
	return slices.CompareFunc(split(a), split(b), func(x, y string) int {
		m, _ := strconv.Atoi(x)
		n, _ := strconv.Atoi(y)
		return cmp.Or(cmp.Compare(m, n), strings.Compare(x, y))
	})
}
