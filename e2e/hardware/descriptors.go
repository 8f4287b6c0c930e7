package main

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Descriptor types of USB 2.0 section 9.4, and of USB 3.2 section 9.6 the last.
const (
	typeDevice        = 1
	typeConfiguration = 2
	typeInterface     = 4
	typeEndpoint      = 5
	typeCompanion     = 48
)

// each calls f for each descriptor, up to the first that makes no sense. What it
// gets has at least the length that its type must have.
func each(b []byte, f func(kind byte, d []byte)) {
	least := map[byte]int{typeDevice: 18, typeConfiguration: 9, typeInterface: 9, typeEndpoint: 7, typeCompanion: 6}
	for len(b) >= 2 {
		n := int(b[0])
		if n < 2 || n > len(b) || n < least[b[1]] {
			return
		}
		f(b[1], b[:n])
		b = b[n:]
	}
}

// configurations counts the configurations.
func configurations(b []byte) (n int) {
	each(b, func(kind byte, _ []byte) {
		if kind == typeConfiguration {
			n++
		}
	})
	return n
}

var transferTypes = [4]string{"control", "isochronous", "bulk", "interrupt"}

// describe prints descriptors for people, a line each. They tell nothing of one
// phone alone: names and the serial number are in strings, of which they have
// only the numbers.
func describe(b []byte) string {
	var out strings.Builder
	each(b, func(kind byte, d []byte) {
		switch kind {
		case typeDevice:
			fmt.Fprintf(&out, "device %04x:%04x release %04x, USB %x.%02x, class %d/%d/%d, packets of %d on endpoint 0, %d configurations\n",
				binary.LittleEndian.Uint16(d[8:]), binary.LittleEndian.Uint16(d[10:]), binary.LittleEndian.Uint16(d[12:]),
				d[3], d[2], d[4], d[5], d[6], d[7], d[17])
		case typeConfiguration:
			fmt.Fprintf(&out, "configuration %d: %d interfaces, attributes %02x, power %d, %d bytes\n",
				d[5], d[4], d[7], d[8], binary.LittleEndian.Uint16(d[2:]))
		case typeInterface:
			fmt.Fprintf(&out, "  interface %d setting %d: class %d/%d/%d, %d endpoints%s\n",
				d[2], d[3], d[5], d[6], d[7], d[4], map[bool]string{true: ", usbmux"}[d[5] == 255 && d[6] == 254 && d[7] == 2])
		case typeEndpoint:
			fmt.Fprintf(&out, "    endpoint %02x: %s, packets of %d, interval %d\n",
				d[2], transferTypes[d[3]&3], binary.LittleEndian.Uint16(d[4:])&0x7ff, d[6])
		case typeCompanion:
			fmt.Fprintf(&out, "      bursts of %d, attributes %02x\n", int(d[2])+1, d[3])
		default:
			fmt.Fprintf(&out, "      type %d: % x\n", kind, d[2:])
		}
	})
	return out.String()
}
