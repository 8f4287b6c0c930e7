package usbip

import "encoding/binary"

// Descriptor types, USB 2.0 table 9-5 and USB 3.2 table 9-6.
const (
	typeDevice    = 1
	typeConfig    = 2
	typeString    = 3
	typeInterface = 4
	typeEndpoint  = 5
	typeQualifier = 6
	typeOther     = 7
	typeBOS       = 15
	typeHID       = 0x21
	typeReport    = 0x22
	typeCSIface   = 0x24
	typeCSPoint   = 0x25
	typeCompanion = 48
)

// Transfer types of endpoints.
const (
	isochronous = 5 // asynchronous
	bulk        = 2
	interrupt   = 3
)

// Indices of string descriptors.
const (
	stringNone = iota
	stringManufacturer
	stringProduct
	stringSerial
	stringMAC
	stringConfig // and one more for each configuration
)

// endpoint is an endpoint of an interface.
type endpoint struct {
	address  byte
	kind     byte
	packet   uint16 // bytes; 0 = the bulk packet size of the speed
	interval byte
	audio    bool   // the longer form of audio class 1
	extra    []byte // class-specific descriptors after it
}

// alt is one alternate setting of an interface.
type alt struct {
	number    byte
	setting   byte
	class     [3]byte // class, subclass, protocol
	extra     []byte  // class-specific descriptors
	endpoints []endpoint
}

// config is one configuration.
type config struct {
	name string
	alts []alt
}

// interfaces is the number of interfaces, each with all its settings.
func (c *config) interfaces() int {
	n := 0
	for _, a := range c.alts {
		n = max(n, int(a.number)+1)
	}
	return n
}

// milliampere is what a phone draws from the bus.
const milliampere = 500

// bytes is the whole configuration descriptor. value is its number.
func (c *config) bytes(value int, speed Speed, kind byte) []byte {
	unit := 2 // mA
	if speed == Super {
		unit = 8
	}
	b := []byte{9, kind, 0, 0, byte(c.interfaces()), byte(value), byte(stringConfig + value - 1), 0xc0, byte(milliampere / unit)}
	for _, a := range c.alts {
		b = append(b, 9, typeInterface, a.number, a.setting, byte(len(a.endpoints)), a.class[0], a.class[1], a.class[2], 0)
		b = append(b, a.extra...)
		for _, e := range a.endpoints {
			b = e.append(b, speed)
		}
	}
	binary.LittleEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func (e *endpoint) append(b []byte, speed Speed) []byte {
	packet := e.packet
	if packet == 0 {
		packet = uint16(speed.PacketSize())
	}
	length := byte(7)
	if e.audio {
		length = 9
	}
	b = append(b, length, typeEndpoint, e.address, e.kind, byte(packet), byte(packet>>8), e.interval)
	if e.audio {
		b = append(b, 0, 0)
	}
	if speed == Super {
		perInterval := uint16(0) // bytes, of periodic endpoints
		if e.kind&3 != bulk {
			perInterval = packet
		}
		b = append(b, 6, typeCompanion, 0, 0, byte(perInterval), byte(perInterval>>8))
	}
	return append(b, e.extra...)
}

// deviceBytes is the device descriptor.
func (g *Gadget) deviceBytes() []byte {
	usb, packet0 := uint16(0x0200), byte(64)
	if g.cfg.Speed == Super {
		usb, packet0 = 0x0320, 9 // a power of two
	}
	b := []byte{18, typeDevice, 0, 0, 0, 0, 0, packet0, 0, 0, 0, 0, 0, 0, stringManufacturer, stringProduct, stringSerial, byte(len(g.configs))}
	binary.LittleEndian.PutUint16(b[2:], usb)
	binary.LittleEndian.PutUint16(b[8:], vendorApple)
	binary.LittleEndian.PutUint16(b[10:], g.cfg.Product)
	binary.LittleEndian.PutUint16(b[12:], g.cfg.Release)
	return b
}

// qualifierBytes tells what the device would be at its other speed.
func (g *Gadget) qualifierBytes() []byte {
	return []byte{10, typeQualifier, 0, 2, 0, 0, 0, 64, byte(len(g.configs)), 0}
}

// bosBytes is the descriptor of a super speed device's abilities: link power
// management, and its speeds.
func bosBytes() []byte {
	return []byte{
		5, typeBOS, 22, 0, 2,
		7, 16, 2, 2, 0, 0, 0, // USB 2.0 extension with link power management
		10, 16, 3, 0, 0x0e, 0, 1, 10, 0xff, 7, // full, high and super speed
	}
}

// stringBytes is a string descriptor: a length, and UTF-16.
func stringBytes(s string) []byte {
	b := []byte{0, typeString}
	for _, r := range s {
		b = binary.LittleEndian.AppendUint16(b, uint16(r))
	}
	b[0] = byte(len(b))
	return b
}

// english is string descriptor 0: the languages there are.
func english() []byte { return []byte{4, typeString, 0x09, 0x04} }
