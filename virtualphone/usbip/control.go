package usbip

import (
	"encoding/binary"
	"slices"
)

// Requests, USB 2.0 table 9-4 and USB 3.2 table 9-5.
const (
	getStatus        = 0
	clearFeature     = 1
	setFeature       = 3
	setAddress       = 5
	getDescriptor    = 6
	getConfiguration = 8
	setConfiguration = 9
	getInterface     = 10
	setInterface     = 11
	setSEL           = 48
	setIsochDelay    = 49
)

// Requests of a phone. Source: reference usbmuxd and the kernel's ipheth.
const (
	getMAC    = 0x00
	getMode   = 0x45 // with index 2 the state of tethering
	setMode   = 0x52
	carrier   = 2    // index
	noCarrier = 0x03 // tethering is off
)

// setup is a control request.
type setup struct {
	kind, request        byte
	value, index, length uint16
}

func parseSetup(b [8]byte) setup {
	return setup{
		kind: b[0], request: b[1],
		value:  binary.LittleEndian.Uint16(b[2:]),
		index:  binary.LittleEndian.Uint16(b[4:]),
		length: binary.LittleEndian.Uint16(b[6:]),
	}
}

// control answers one request on endpoint 0: bytes for the host, and whether
// the request is known; an unknown one stalls.
func (g *Gadget) control(s setup) (answer []byte, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch s.kind & 0x60 {
	case 0x00:
		return g.standardLocked(s)
	case 0x20:
		return classRequest(s)
	case 0x40:
		return g.vendorLocked(s)
	}
	return nil, false
}

func (g *Gadget) standardLocked(s setup) ([]byte, bool) {
	recipient := s.kind & 0x1f // 0 device, 1 interface, 2 endpoint
	switch s.request {
	case getStatus:
		if recipient == 2 && g.halted[byte(s.index)] {
			return []byte{1, 0}, true
		}
		if recipient == 0 {
			return []byte{1, 0}, true // has power of its own
		}
		return []byte{0, 0}, true
	case clearFeature:
		if recipient == 2 && s.value == 0 {
			delete(g.halted, byte(s.index))
		}
		return nil, true
	case setFeature:
		if recipient == 2 && s.value == 0 {
			g.halted[byte(s.index)] = true
		}
		return nil, true
	case setAddress, setSEL, setIsochDelay:
		return nil, true
	case getDescriptor:
		return g.descriptorLocked(s)
	case getConfiguration:
		return []byte{byte(g.active)}, true
	case setConfiguration:
		value := int(s.value & 0xff)
		if value > len(g.configs) || slices.Contains(g.faults.RefuseConfiguration, value) && value != 0 {
			return nil, false
		}
		g.active = value
		clear(g.alts)
		clear(g.halted)
		return nil, true
	case getInterface:
		return []byte{g.alts[int(s.index)]}, g.active != 0
	case setInterface:
		return nil, g.setInterfaceLocked(int(s.index), byte(s.value))
	}
	return nil, false
}

func (g *Gadget) setInterfaceLocked(number int, setting byte) bool {
	c := g.configLocked(g.active)
	if c == nil {
		return false
	}
	for _, a := range c.alts {
		if int(a.number) == number && a.setting == setting {
			g.alts[number] = setting
			for _, e := range a.endpoints {
				delete(g.halted, e.address)
			}
			return true
		}
	}
	return false
}

func (g *Gadget) descriptorLocked(s setup) ([]byte, bool) {
	kind, index := byte(s.value>>8), int(s.value&0xff)
	switch kind {
	case typeDevice:
		return g.deviceBytes(), true
	case typeConfig, typeOther:
		speed := g.cfg.Speed
		c := g.configLocked(index + 1)
		if c == nil || kind == typeOther && speed == Super {
			return nil, false
		}
		b := c.bytes(index+1, speed, kind)
		if g.faults.BadDescriptors && len(b) > 20 {
			b[9+9] = 0xff // the first endpoint claims to be longer than all there is
		}
		return b, true
	case typeString:
		return g.stringLocked(index)
	case typeQualifier:
		return g.qualifierBytes(), g.cfg.Speed == High
	case typeBOS:
		return bosBytes(), g.cfg.Speed == Super
	case typeReport:
		return hidReport, s.kind&0x1f == 1
	}
	return nil, false
}

func (g *Gadget) stringLocked(index int) ([]byte, bool) {
	switch index {
	case stringNone:
		return english(), true
	case stringManufacturer:
		return stringBytes("Apple Inc."), true
	case stringProduct:
		switch g.cfg.Product {
		case ProductDFU:
			return stringBytes("Apple Mobile Device (DFU Mode)"), true
		case ProductRecovery:
			return stringBytes("Apple Mobile Device (Recovery Mode)"), true
		}
		return stringBytes("iPhone"), true
	case stringSerial:
		return stringBytes(g.cfg.Phone.Serial()), !g.faults.NoSerial
	case stringMAC:
		return stringBytes("02005E100002"), true
	}
	if c := g.configLocked(index - stringConfig + 1); c != nil {
		return stringBytes(c.name), true
	}
	return nil, false
}

// classRequest answers what drivers of the camera, sound, HID and network
// interfaces ask while they bind.
func classRequest(s setup) ([]byte, bool) {
	if s.kind&0x80 == 0 {
		return nil, true
	}
	switch {
	case s.kind == 0xa1 && s.request == 0x80:
		return ntbParameters, true
	case s.kind == 0xa1 && s.request == 0x83: // NTB format: 16 bit
		return []byte{0, 0}, true
	case s.kind == 0xa1 && s.request == 0x85: // NTB input size
		return ntbParameters[4:8], true
	case s.kind == 0xa1 && s.request == 0x67: // status of the camera: ready
		return []byte{4, 0, 1, 0x20}, true
	case s.kind == 0xa2 && s.request == 0x81: // sampling rate: 44100 Hz
		return []byte{0x44, 0xac, 0}, true
	}
	return nil, false
}

func (g *Gadget) vendorLocked(s setup) ([]byte, bool) {
	if s.kind != 0xc0 {
		return nil, false
	}
	switch s.request {
	case getMAC:
		return []byte{0x02, 0x00, 0x5e, 0x10, 0x00, 0x02}, s.index == carrier
	case getMode:
		switch s.index {
		case carrier:
			return []byte{noCarrier}, true
		case 0:
			if g.mode == 1 {
				return []byte{3, 3, 3, 0}, true
			}
			return []byte{5, 3, 3, 0}, true
		}
	case setMode:
		mode := int(s.index)
		if mode < 1 || mode > 5 {
			return []byte{1}, true
		}
		if !g.faults.KeepMode {
			g.next = mode
		}
		return []byte{0}, true
	}
	return nil, false
}

// isVendor reports whether s is one of the phone's own requests.
func (s setup) isVendor() bool { return s.kind&0x60 == 0x40 }
