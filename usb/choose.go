package usb

import (
	"cmp"
	"slices"
)

// configuration is what matters of a configuration descriptor.
type configuration struct {
	value      int
	interfaces []alternate // each alternate setting of each interface, in the order of the descriptor
}

// alternate is one alternate setting of one interface.
type alternate struct {
	number, setting           int
	class, subclass, protocol uint8
	endpoints                 []endpoint
}

// endpoint is one endpoint descriptor.
type endpoint struct {
	address   uint8
	bulk      bool
	maxPacket int // bytes
}

// The usbmux interface is Apple's vendor class, subclass and protocol; all three
// must match. Others share one or two of them: Valeria is 255/42/255, Ethernet
// over the phone 255/253/1.
const (
	muxClass    = 255
	muxSubclass = 254
	muxProtocol = 2

	valeriaSubclass = 42
	valeriaProtocol = 255

	cdcClass    = 2
	ncmSubclass = 13
)

func (a *alternate) isMux() bool {
	return a.class == muxClass && a.subclass == muxSubclass && a.protocol == muxProtocol
}

func (a *alternate) isValeria() bool {
	return a.class == muxClass && a.subclass == valeriaSubclass && a.protocol == valeriaProtocol
}

func (a *alternate) isNCM() bool { return a.class == cdcClass && a.subclass == ncmSubclass }

// pipes gives the two endpoints of a usbmux interface: exactly one bulk endpoint
// in each direction, in either order.
func (a *alternate) pipes() (endpoints, bool) {
	ep := endpoints{iface: a.number}
	if a.setting != 0 || len(a.endpoints) != 2 {
		return ep, false
	}
	for _, e := range a.endpoints {
		if !e.bulk || e.maxPacket <= 0 {
			return ep, false
		}
		if e.address&endpointIn != 0 {
			ep.in, ep.inMax = e.address, e.maxPacket
		} else {
			ep.out, ep.outMax = e.address, e.maxPacket
		}
	}
	return ep, ep.inMax != 0 && ep.outMax != 0
}

// choice is a configuration that has the usbmux interface.
type choice struct {
	value int
	endpoints
}

// choices lists the configurations with a usbmux interface, highest value first:
// that is the one with tethering.
func choices(all []configuration) []choice {
	best := make([]choice, 0, len(all))
	for _, c := range sorted(all) {
		for i := range c.interfaces {
			if !c.interfaces[i].isMux() {
				continue
			}
			if ep, ok := c.interfaces[i].pipes(); ok {
				best = append(best, choice{c.value, ep})
				break
			}
		}
	}
	return best
}

// guessMode tells the mode by the configurations, Keep if they fit none.
//
//	1 configuration     direct, if it has no usbmux
//	2 to 4              initial
//	5                   Valeria or NCM, by what is in the fifth beside usbmux
//	6                   both Ethernets
func guessMode(all []configuration) Mode {
	switch n := len(all); {
	case n == 1 && len(choices(all)) == 0:
		return ModeDirect
	case n >= 2 && n <= 4:
		return ModeInitial
	case n == 6:
		return ModeEthernetNCM
	case n != 5:
		return Keep
	}
	var mux, valeria, ncm bool
	for _, c := range all {
		if c.value != 5 {
			continue
		}
		for i := range c.interfaces {
			a := &c.interfaces[i]
			mux = mux || a.isMux()
			valeria = valeria || a.isValeria()
			ncm = ncm || a.isNCM()
		}
	}
	switch {
	case mux && valeria:
		return ModeValeria
	case mux && ncm:
		return ModeNCM
	}
	return Keep
}

// wants reports whether a phone in mode now is to be switched.
func (m Mode) wants(now Mode) bool {
	return m >= ModeInitial && m <= ModeDirect && now != Keep && now != m
}

// sorted gives the configurations by falling value.
func sorted(all []configuration) []configuration {
	all = append([]configuration(nil), all...)
	slices.SortStableFunc(all, func(a, b configuration) int { return cmp.Compare(b.value, a.value) })
	return all
}
