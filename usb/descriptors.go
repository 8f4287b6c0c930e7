package usb

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errDescriptors is wrapped when a device's descriptors make no sense.
var errDescriptors = errors.New("malformed descriptors")

// Descriptor types and lengths, USB 2.0 section 9.6.
const (
	descDevice        = 1
	descConfiguration = 2
	descInterface     = 4
	descEndpoint      = 5

	lenDevice        = 18
	lenConfiguration = 9
	lenInterface     = 9
	lenEndpoint      = 7

	endpointTypeMask = 3
	endpointBulk     = 2
)

// descriptors is what matters of all descriptors of a device.
type descriptors struct {
	vendor, product uint16
	configurations  []configuration
}

// parseDescriptors reads the descriptors as sysfs gives them: the device's, then
// each configuration's whole. A configuration of the wrong length ends it; what
// came before counts.
func parseDescriptors(b []byte) (descriptors, error) {
	var d descriptors
	if len(b) < lenDevice || b[0] != lenDevice || b[1] != descDevice {
		return d, fmt.Errorf("%w: no device descriptor in %d bytes", errDescriptors, len(b))
	}
	d.vendor = binary.LittleEndian.Uint16(b[8:])
	d.product = binary.LittleEndian.Uint16(b[10:])
	for b = b[lenDevice:]; len(b) > 0; {
		if len(b) < lenConfiguration || b[0] < lenConfiguration || b[1] != descConfiguration {
			return d, d.cut()
		}
		total := int(binary.LittleEndian.Uint16(b[2:]))
		if total < int(b[0]) || total > len(b) {
			return d, d.cut()
		}
		d.configurations = append(d.configurations, parseConfiguration(b[:total]))
		b = b[total:]
	}
	return d, d.cut()
}

// cut is the error for descriptors that end, or stop making sense, here.
func (d *descriptors) cut() error {
	if len(d.configurations) == 0 {
		return fmt.Errorf("%w: no configuration", errDescriptors)
	}
	return nil
}

// parseConfiguration reads one configuration up to the first thing that makes no
// sense. Descriptors of other types are skipped.
func parseConfiguration(b []byte) configuration {
	c := configuration{value: int(b[5])}
	var last *alternate
	for b = b[b[0]:]; len(b) >= 2; b = b[b[0]:] {
		size := int(b[0])
		if size < 2 || size > len(b) {
			break
		}
		switch b[1] {
		case descInterface:
			if size < lenInterface {
				return c
			}
			c.interfaces = append(c.interfaces, alternate{
				number: int(b[2]), setting: int(b[3]),
				class: b[5], subclass: b[6], protocol: b[7],
			})
			last = &c.interfaces[len(c.interfaces)-1]
		case descEndpoint:
			if size < lenEndpoint || last == nil {
				return c
			}
			last.endpoints = append(last.endpoints, endpoint{
				address:   b[2],
				bulk:      b[3]&endpointTypeMask == endpointBulk,
				maxPacket: int(binary.LittleEndian.Uint16(b[4:]) & 0x7ff),
			})
		}
	}
	return c
}
