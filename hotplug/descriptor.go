package hotplug

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Descriptor types and the fixed sizes of their first parts, USB 2.0 section 9.6.
const (
	typeDevice    = 1
	typeConfig    = 2
	typeInterface = 4

	deviceLen    = 18
	configLen    = 9
	interfaceLen = 9
)

// usbmux is the class, subclass and protocol of the interface that speaks the
// mux protocol. Source: reference usbmuxd, all phones in normal and restore mode.
var usbmux = [3]byte{255, 254, 2}

// errDescriptors is wrapped by every complaint about descriptors.
var errDescriptors = errors.New("malformed descriptors")

// hasUsbmux walks the bytes of the sysfs file "descriptors", the device
// descriptor and then every configuration as the device sent it, and reports
// whether an interface of any configuration and alternate setting is usbmux.
// Anything out of line is an error, as then no part can be trusted.
func hasUsbmux(b []byte) (bool, error) {
	if len(b) < deviceLen || b[0] != deviceLen || b[1] != typeDevice {
		return false, fmt.Errorf("%w: no device descriptor in %d bytes", errDescriptors, len(b))
	}
	configs := int(b[17])
	b = b[deviceLen:]
	found := false
	for i := range configs {
		if len(b) < configLen || b[0] < configLen || b[1] != typeConfig {
			return false, fmt.Errorf("%w: no configuration %d of %d", errDescriptors, i+1, configs)
		}
		total := int(binary.LittleEndian.Uint16(b[2:]))
		if total < int(b[0]) || total > len(b) {
			return false, fmt.Errorf("%w: configuration %d of %d claims %d of %d bytes",
				errDescriptors, i+1, configs, total, len(b))
		}
		mux, err := configHasUsbmux(b[:total])
		if err != nil {
			return false, fmt.Errorf("%w in configuration %d of %d", err, i+1, configs)
		}
		found = found || mux
		b = b[total:]
	}
	if len(b) > 0 {
		return false, fmt.Errorf("%w: %d bytes after configuration %d", errDescriptors, len(b), configs)
	}
	return found, nil
}

// configHasUsbmux looks at one configuration with all that belongs to it.
func configHasUsbmux(b []byte) (bool, error) {
	found := false
	for len(b) > 0 {
		n := int(b[0])
		if n < 2 || n > len(b) {
			return false, fmt.Errorf("%w: length %d with %d bytes left", errDescriptors, n, len(b))
		}
		if b[1] == typeInterface {
			if n < interfaceLen {
				return false, fmt.Errorf("%w: interface of %d bytes", errDescriptors, n)
			}
			found = found || [3]byte(b[5:8]) == usbmux
		}
		b = b[n:]
	}
	return found, nil
}
