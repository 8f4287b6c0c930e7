package hotplug

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// maxDescriptors is the size of the sysfs file "descriptors" at most. Source:
// Linux drivers/usb/core/sysfs.c.
const maxDescriptors = 18 + 65535

// maxAttribute bounds every other attribute: sysfs gives one page.
const maxAttribute = 4096

// errGone says that sysfs has no such device, or only what is left of it while
// the kernel takes it down.
var errGone = errors.New("device is gone")

// plug is one plugged period of a device. The inode of its sysfs directory
// tells two periods apart whose device addresses happen to be equal.
type plug struct {
	Device
	inode uint64
	devno string // "189:5", the major and minor number of the node
}

// same reports whether p and q are one plugged period.
func (p *plug) same(q *plug) bool {
	return p != nil && q != nil && p.inode == q.inode && p.Bus == q.Bus && p.Address == q.Address
}

// tree reads devices out of sysfs.
type tree struct {
	sys, dev string // roots
	policy   policy
}

// list gives the path of every USB device but root hubs. A kernel without USB
// has none.
func (t tree) list() ([]string, error) {
	const dir = "/bus/usb/devices"
	entries, err := os.ReadDir(t.sys + dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if !isPort(e.Name()) {
			continue // an interface or a root hub
		}
		target, err := os.Readlink(filepath.Join(t.sys, dir, e.Name()))
		if err != nil {
			continue // unplugged since
		}
		if p := path.Join(dir, target); isDevpath([]byte(p)) {
			paths = append(paths, p)
		}
	}
	return paths, nil
}

// observe reads the device at p. known is what was seen there before or nil; a
// quick look ends as soon as it is known that this is the same plugged period
// and that nothing more is to be learned about it.
//
// It returns errGone when nothing is there. With any other error the identity
// in the result (inode, Bus, Address) is valid if the inode is not zero.
func (t tree) observe(p string, known *plug, quick bool) (plug, error) {
	// All reads go through one directory handle, so that they cannot mix two
	// devices which follow each other at the same port.
	root, err := os.OpenRoot(t.sys + p)
	if err != nil {
		return plug{}, missing(err)
	}
	defer root.Close()
	a := attributes{root: root}
	d := plug{Device: Device{Path: p, Port: path.Base(p)}}
	d.Vendor = uint16(a.number("idVendor", 16, 0xffff))
	if a.err == nil && !t.policy.vendor(d.Vendor) {
		return d, nil
	}
	d.Bus = a.number("busnum", 10, 999)
	d.Address = a.number("devnum", 10, 127)
	info, err := root.Stat(".")
	if err != nil {
		a.fail(err)
	}
	if a.err != nil {
		return plug{}, a.err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		d.inode = st.Ino
	}
	if d.same(known) {
		if quick && known.Kind != NoMux && known.Serial != "" {
			return *known, nil
		}
		// The kernel answers "serial" only while nobody holds the device, so it
		// is not asked twice.
		d.Serial = known.Serial
	}
	d.Product = uint16(a.number("idProduct", 16, 0xffff))
	if a.err != nil {
		return d, a.err
	}
	if d.Serial == "" {
		d.Serial = a.optional("serial")
	}
	release, _ := number([]byte(a.optional("bcdDevice")), 16, 0xffff)
	d.BcdDevice = uint16(release)
	d.Speed = speed(a.optional("speed"))
	d.devno = a.optional("dev")
	d.Node = filepath.Join(t.dev, "bus/usb", fmt.Sprintf("%03d/%03d", d.Bus, d.Address))
	d.Kind, err = t.policy.classify(&d.Device, func() (bool, error) {
		b, err := a.read("descriptors", maxDescriptors)
		if err != nil {
			return false, missing(err)
		}
		return hasUsbmux(b)
	})
	return d, err
}

// speed reads the sysfs attribute of that name, which is in Mbit/s: "1.5", "12",
// "480", "5000", "10000", "20000". The result is in bits per second.
func speed(s string) uint64 {
	if s == "1.5" {
		return 1_500_000
	}
	n, _ := number([]byte(s), 10, 1_000_000)
	return uint64(n) * 1_000_000
}

// missing turns the errors of a directory or file that sysfs no longer has into
// errGone.
func missing(err error) error {
	for _, gone := range []error{syscall.ENOENT, syscall.ENODEV, syscall.ENXIO, syscall.ENOTDIR} {
		if errors.Is(err, gone) {
			return errGone
		}
	}
	return err
}

// attributes reads the files of one device and keeps the first error.
type attributes struct {
	root *os.Root
	err  error
}

func (a *attributes) fail(err error) {
	if a.err == nil {
		a.err = missing(err)
	}
}

// read gives at most limit bytes of an attribute.
func (a *attributes) read(name string, limit int64) ([]byte, error) {
	f, err := a.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// optional reads a text attribute and gives "" if that cannot be done.
func (a *attributes) optional(name string) string {
	b, err := a.read(name, maxAttribute)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

// number reads an attribute which every device has.
func (a *attributes) number(name string, base, limit int) int {
	b, err := a.read(name, maxAttribute)
	if err != nil {
		a.fail(err)
		return 0
	}
	n, ok := number([]byte(strings.TrimSuffix(string(b), "\n")), base, limit)
	if !ok {
		a.fail(fmt.Errorf("attribute %s: %q is no number up to %d", name, b, limit))
	}
	return n
}
