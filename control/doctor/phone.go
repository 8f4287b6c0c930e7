package doctor

import (
	"fmt"
	"slices"
	"strings"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

// phone is one device as both sysfs and the daemon know it; either may be nil.
type phone struct {
	usb *USBDevice
	dev *control.Device
}

// phones joins what is on the bus with what the daemon knows, by port. Apple
// devices that are no phones are left out, but for those the daemon knows.
func phones(f *Facts) []phone {
	var all []phone
	byPort := make(map[string]int)
	for i := range f.USB {
		byPort[f.USB[i].Port] = len(all)
		all = append(all, phone{usb: &f.USB[i]})
	}
	if f.Daemon != nil {
		for i := range f.Daemon.Devices {
			d := &f.Daemon.Devices[i]
			if at, ok := byPort[d.PortPath]; ok && all[at].dev == nil {
				all[at].dev = d
			} else {
				all = append(all, phone{dev: d})
			}
		}
	}
	return slices.DeleteFunc(all, func(p phone) bool { return p.dev == nil && p.usb.Kind == KindOther })
}

// minAbbreviation is how many characters of a UDID are enough.
const minAbbreviation = 4

// find returns the phones that a person means by ref: by the first of UDID or
// port, name, beginnings of these that fits any.
func find(all []phone, ref string) []phone {
	udid := plain(ref)
	for _, means := range []func(phone) bool{
		func(p phone) bool { return udid != "" && p.udid() == udid || p.port() == ref },
		func(p phone) bool { return strings.EqualFold(p.ownName(), ref) },
		func(p phone) bool {
			return len(udid) >= minAbbreviation && strings.HasPrefix(p.udid(), udid) ||
				strings.HasPrefix(strings.ToLower(p.ownName()), strings.ToLower(ref))
		},
	} {
		var found []phone
		for _, p := range all {
			if means(p) {
				found = append(found, p)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// plain is a UDID as they are compared.
func plain(udid string) string { return strings.ToLower(strings.ReplaceAll(udid, "-", "")) }

// udid is plain; "" if unknown.
func (p phone) udid() string {
	if p.dev != nil && p.dev.UDID != nil {
		return plain(*p.dev.UDID)
	}
	if p.usb != nil && (p.usb.Kind == KindMux || p.usb.Kind == KindNoMux || p.usb.Kind == KindCharging) {
		return plain(p.usb.Serial)
	}
	return ""
}

func (p phone) port() string {
	if p.usb != nil {
		return p.usb.Port
	}
	return p.dev.PortPath
}

// ownName is what its owner calls it.
func (p phone) ownName() string {
	if p.dev == nil {
		return ""
	}
	return p.dev.Name
}

// label says which phone a check is about.
func (p phone) label() string {
	at := "port " + name(p.port())
	if p.port() == "" {
		at = "no port"
	}
	return fmt.Sprintf("%s (%s)", p.what(), at)
}

// what is the best name that there is.
func (p phone) what() string {
	if d := p.dev; d != nil {
		for _, s := range []string{d.Name, d.Model, d.Class} {
			if s = name(s); s != "" {
				return s
			}
		}
	}
	if p.usb != nil {
		if s := name(p.usb.Name); s != "" {
			return s
		}
	}
	return "Apple device"
}

// kind is by the bus, or by the state where the bus was not seen.
func (p phone) kind() Kind {
	if p.usb != nil {
		return p.usb.Kind
	}
	switch p.state() {
	case trust.ChargingOnly:
		return KindCharging
	case trust.NoMux:
		return KindNoMux
	case trust.Recovery:
		return KindRecovery
	case trust.DFU:
		return KindDFU
	}
	return KindMux
}

func (p phone) state() trust.State {
	if p.dev == nil {
		return ""
	}
	return trust.State(p.dev.Trust)
}

// opened reports whether the daemon has talked to the phone: it knows its UDID
// and the multiplexer answers.
func (p phone) opened() bool {
	return p.dev != nil && p.dev.UDID != nil && *p.dev.UDID != "" && p.state() != trust.NoMux && p.state() != ""
}
