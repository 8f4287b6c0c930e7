package usbip

// usbmux is the interface's class, subclass and protocol.
var usbmux = [3]byte{255, 254, 2}

// Endpoint addresses of usbmux.
const (
	muxOut = 0x04
	muxIn  = 0x85
)

// configurations are a phone's configurations in a USB mode. Without mux, the
// usbmux interface is left out.
func configurations(mode int, mux bool) []config {
	withMux := func(name string, more ...[]alt) config {
		c := config{name: name, alts: ptp()}
		if mux {
			c.alts = append(c.alts, alt{number: 1, class: usbmux, endpoints: []endpoint{
				{address: muxOut, kind: bulk}, {address: muxIn, kind: bulk},
			}})
		}
		for _, m := range more {
			next := byte(c.interfaces())
			low := m[0].number
			for _, a := range m {
				a.number += next - low
				c.alts = append(c.alts, a)
			}
		}
		return c
	}
	if mode == 5 {
		return []config{{name: "NCM", alts: ncm(0)}}
	}
	all := []config{
		{name: "PTP", alts: ptp()},
		{name: "iPod USB Interface", alts: append(ptp(), audio()...)},
		withMux("PTP + Apple Mobile Device"),
		withMux("PTP + Apple Mobile Device + Apple USB Ethernet", ethernet()),
	}
	number := byte(2)
	if !mux {
		number = 1
	}
	switch mode {
	case 2:
		all = append(all, withMux("PTP + Apple Mobile Device + Valeria", valeria()))
	case 3:
		all = append(all, withMux("PTP + Apple Mobile Device + NCM", ncm(number)))
	case 4:
		all = append(all,
			withMux("PTP + Apple Mobile Device + NCM", ncm(number)),
			withMux("PTP + Apple Mobile Device + Apple USB Ethernet + NCM", ethernet(), ncm(number+1)))
	}
	return all
}

// ptp is the camera, interface 0.
func ptp() []alt {
	return []alt{{class: [3]byte{6, 1, 1}, endpoints: []endpoint{
		{address: 0x02, kind: bulk}, {address: 0x81, kind: bulk}, {address: 0x83, kind: interrupt, packet: 64, interval: 10},
	}}}
}

// ethernet is the tethering interface, idle in its first setting.
func ethernet() []alt {
	class := [3]byte{255, 253, 1}
	points := []endpoint{{address: 0x86, kind: bulk}, {address: 0x05, kind: bulk}}
	return []alt{{class: class}, {setting: 1, class: class, endpoints: points}, {setting: 2, class: class, endpoints: points}}
}

// valeria is the screen capture interface.
func valeria() []alt {
	return []alt{{class: [3]byte{255, 42, 255}, endpoints: []endpoint{
		{address: 0x86, kind: bulk}, {address: 0x05, kind: bulk},
	}}}
}

// ncm is a network device of class CDC-NCM: a control interface with the given
// number, and the data interface after it.
func ncm(number byte) []alt {
	functions := []byte{
		5, typeCSIface, 0, 0x10, 0x01, // header: CDC 1.10
		5, typeCSIface, 6, number, number + 1, // union
		13, typeCSIface, 15, stringMAC, 0, 0, 0, 0, 0xea, 0x05, 0, 0, 0, // Ethernet: segments of 1514 bytes
		6, typeCSIface, 26, 0x00, 0x01, 0x00, // NCM 1.0
	}
	data := [3]byte{10, 0, 1}
	return []alt{
		{number: number, class: [3]byte{2, 13, 0}, extra: functions, endpoints: []endpoint{{address: 0x87, kind: interrupt, packet: 64, interval: 10}}},
		{number: number + 1, class: data},
		{number: number + 1, setting: 1, class: data, endpoints: []endpoint{{address: 0x88, kind: bulk}, {address: 0x06, kind: bulk}}},
	}
}

// ntbParameters answers GET_NTB_PARAMETERS: 16-bit blocks of up to 64 KiB.
var ntbParameters = []byte{
	28, 0, 1, 0,
	0, 0, 1, 0, 4, 0, 0, 0, 4, 0, 0, 0, // in: size, divisor, remainder, alignment
	0, 0, 1, 0, 4, 0, 0, 0, 4, 0, 0, 0, // out
}

// audio is the dock connector's interfaces 1 to 3: sound from the phone, class
// 1, and a HID device for remote controls.
func audio() []alt {
	rates := []uint32{32000, 44100, 48000}
	format := []byte{byte(8 + 3*len(rates)), typeCSIface, 2, 1, 2, 2, 16, byte(len(rates))}
	for _, r := range rates {
		format = append(format, byte(r), byte(r>>8), byte(r>>16))
	}
	stream := [3]byte{1, 2, 0}
	return []alt{
		{number: 1, class: [3]byte{1, 1, 0}, extra: []byte{
			9, typeCSIface, 1, 0x00, 0x01, 30, 0, 1, 2, // header: one stream, interface 2
			12, typeCSIface, 2, 1, 0x01, 0x02, 0, 2, 3, 0, 0, 0, // terminal 1: microphone, left and right
			9, typeCSIface, 3, 2, 0x01, 0x01, 0, 1, 0, // terminal 2: the bus, from terminal 1
		}},
		{number: 2, class: stream},
		{
			number: 2, setting: 1, class: stream,
			extra: append([]byte{7, typeCSIface, 1, 2, 1, 1, 0}, format...),
			endpoints: []endpoint{{
				address: 0x84, kind: isochronous, packet: 192, interval: 4, audio: true,
				extra: []byte{7, typeCSPoint, 1, 1, 0, 0, 0},
			}},
		},
		{
			number: 3, class: [3]byte{3, 0, 0},
			extra:     []byte{9, typeHID, 0x11, 0x01, 0, 1, typeReport, byte(len(hidReport)), 0},
			endpoints: []endpoint{{address: 0x83 + 4, kind: interrupt, packet: 64, interval: 1}},
		},
	}
}

// hidReport describes reports of 63 bytes with a number, of a vendor's own kind.
var hidReport = []byte{
	0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, 0x01, 0x75, 0x08, 0x15, 0x80, 0x25, 0x7f,
	0x85, 0x01, 0x95, 0x3f, 0x09, 0x01, 0x81, 0x02, 0xc0,
}
