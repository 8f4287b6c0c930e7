package hotplug

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The header that udevd puts before its properties: eight bytes of name, a magic
// in network order, then sizes in host order. Further fields, up to 40 bytes,
// are hashes for socket filters.
const (
	udevName      = "libudev\x00"
	udevMagic     = 0xfeedcafe
	udevHeaderLen = 40
)

// maxPath bounds a DEVPATH; the kernel's whole environment has 2 KiB.
const maxPath = 2048

// errUevent is wrapped by every complaint about a message.
var errUevent = errors.New("malformed uevent")

// uevent is what a message tells of a USB device. path points into the message.
type uevent struct {
	path    []byte // DEVPATH
	udev    bool   // sent by udevd, after its rules
	removed bool   // ACTION=remove
	vendor  uint16
	bus     int
	address int
}

// parseUevent reads one message of either format. It reports false for a message
// that is well-formed as far as read and concerns no USB device of a vendor that
// wanted accepts; it does not allocate then. path may be set along with an error.
func parseUevent(msg []byte, wanted func(vendor uint16) bool) (e uevent, ok bool, err error) {
	props, udev, err := properties(msg)
	if err != nil {
		return e, false, err
	}
	e.udev = udev
	if len(props) == 0 || props[len(props)-1] != 0 {
		return e, false, fmt.Errorf("%w: last property without end", errUevent)
	}
	var action, subsystem, devtype, product, bus, address []byte
	for len(props) > 0 {
		var prop []byte
		prop, props, _ = bytes.Cut(props, []byte{0})
		key, value, found := bytes.Cut(prop, []byte{'='})
		if !found {
			continue
		}
		switch string(key) {
		case "ACTION":
			action = value
		case "DEVPATH":
			e.path = value
		case "SUBSYSTEM":
			if string(value) != "usb" {
				return e, false, nil
			}
			subsystem = value
		case "DEVTYPE":
			if string(value) != "usb_device" {
				return e, false, nil
			}
			devtype = value
		case "PRODUCT":
			product = value
		case "BUSNUM":
			bus = value
		case "DEVNUM":
			address = value
		}
	}
	if subsystem == nil || devtype == nil {
		return e, false, nil
	}
	vendor, _, _ := bytes.Cut(product, []byte{'/'})
	v, good := number(vendor, 16, 0xffff)
	if !good {
		return e, false, fmt.Errorf("%w: product %q", errUevent, product)
	}
	e.vendor = uint16(v)
	if !wanted(e.vendor) {
		return e, false, nil
	}
	var goodBus, goodAddress bool
	e.bus, goodBus = number(bus, 10, 999)
	e.address, goodAddress = number(address, 10, 127)
	if !goodBus || !goodAddress {
		return e, false, fmt.Errorf("%w: bus %q device %q", errUevent, bus, address)
	}
	if len(action) == 0 {
		return e, false, fmt.Errorf("%w: no action", errUevent)
	}
	if !isDevpath(e.path) {
		return e, false, fmt.Errorf("%w: path %q", errUevent, e.path)
	}
	e.removed = string(action) == "remove"
	return e, true, nil
}

// properties strips the header of either format off and says which it was.
func properties(msg []byte) (props []byte, udev bool, err error) {
	if !bytes.HasPrefix(msg, []byte(udevName)) {
		// The kernel: "add@/devices/..." and a zero byte.
		head, props, ok := bytes.Cut(msg, []byte{0})
		if !ok || !bytes.Contains(head, []byte("@/")) {
			return nil, false, fmt.Errorf("%w: head %q", errUevent, head[:min(len(head), 64)])
		}
		return props, false, nil
	}
	if len(msg) < udevHeaderLen {
		return nil, true, fmt.Errorf("%w: %d bytes are no udev header", errUevent, len(msg))
	}
	if magic := binary.BigEndian.Uint32(msg[8:]); magic != udevMagic {
		return nil, true, fmt.Errorf("%w: udev magic %#x", errUevent, magic)
	}
	header := binary.NativeEndian.Uint32(msg[12:])
	off := binary.NativeEndian.Uint32(msg[16:])
	n := binary.NativeEndian.Uint32(msg[20:])
	size := uint64(len(msg))
	if header < udevHeaderLen || off < header || uint64(off)+uint64(n) > size {
		return nil, true, fmt.Errorf("%w: udev header of %d bytes, %d of properties at %d in %d",
			errUevent, header, n, off, size)
	}
	return msg[off : off+n], true, nil
}

// isDevpath reports whether p can be appended to the sysfs root: absolute, below
// /devices, without empty, "." and ".." elements, and ending in the name of a USB
// device. Root hubs do not count.
func isDevpath(p []byte) bool {
	const root = "/devices/"
	if len(p) > maxPath || !bytes.HasPrefix(p, []byte(root)) {
		return false
	}
	rest := p[1:]
	for {
		elem, after, more := bytes.Cut(rest, []byte{'/'})
		if s := string(elem); s == "" || s == "." || s == ".." || bytes.IndexByte(elem, 0) >= 0 {
			return false
		}
		if !more {
			return isPort(string(elem))
		}
		rest = after
	}
}

// number reads an unsigned number of at most limit and, leading zeros included,
// eight digits. It does not allocate.
func number(b []byte, base, limit int) (int, bool) {
	if len(b) == 0 || len(b) > 8 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		d := 0
		switch {
		case c >= '0' && c <= '9':
			d = int(c - '0')
		case base == 16 && c >= 'a' && c <= 'f':
			d = int(c-'a') + 10
		case base == 16 && c >= 'A' && c <= 'F':
			d = int(c-'A') + 10
		default:
			return 0, false
		}
		n = n*base + d
		if n > limit {
			return 0, false
		}
	}
	return n, true
}
