package hotplug

import (
	"errors"
	"slices"
)

// apple is the vendor id of Apple, Inc.
const apple = 0x05ac

// policy decides which devices are ours, by their ids and the operator's lists.
type policy struct {
	allow, deny []Rule
}

func (p policy) validate() error {
	if slices.Contains(p.allow, Rule{}) || slices.Contains(p.deny, Rule{}) {
		return errors.New("a rule of the allow or deny list names nothing")
	}
	return nil
}

// vendor reports whether a device of this vendor can be ours at all.
func (p policy) vendor(v uint16) bool {
	return v == apple || slices.ContainsFunc(p.allow, func(r Rule) bool { return r.Vendor == v && r.Product != 0 })
}

// classify says what d is. mux reads its descriptors and is called only where
// the answer depends on them; its error is returned as it is.
func (p policy) classify(d *Device, mux func() (bool, error)) (Kind, error) {
	matches := func(r Rule) bool { return r.matches(d) }
	if slices.ContainsFunc(p.deny, matches) {
		return Ignored, nil
	}
	if len(p.allow) > 0 && !slices.ContainsFunc(p.allow, matches) {
		return Ignored, nil
	}
	named := slices.ContainsFunc(p.allow, func(r Rule) bool { return r.Vendor != 0 && r.Product != 0 && r.matches(d) })
	without := NoMux // what d is if it has no usbmux interface
	switch family(d.Vendor, d.Product) {
	case familyRecovery:
		return Recovery, nil
	case familyDFU:
		return DFU, nil
	case familyMux:
		return Mux, nil
	case familyPhone:
	case familyApple, familyOther:
		if !named && d.Vendor != apple {
			return Ignored, nil
		}
		if !named {
			without = Ignored
		}
	}
	has, err := mux()
	if err != nil {
		return Ignored, err
	}
	if has {
		return Mux, nil
	}
	return without, nil
}

// families of ids.
const (
	familyOther    = iota // another vendor
	familyApple           // Apple, to be judged by its interfaces
	familyPhone           // a phone in normal mode: usbmux, unless its USB mode lacks it
	familyMux             // restore mode of Apple silicon, T1 and T2: always usbmux
	familyRecovery        // iBoot
	familyDFU             // boot ROM, or the stage loaded by it
)

// family sorts ids. Sources: the product ranges of the reference usbmuxd and its
// udev rule; 1905 is also the id of ordinary Macs (usbmuxd issue 283) and 12b1,
// Vision Pro, lies behind the range (usbmuxd pull request 282), so both are
// judged by their interfaces. Recovery and DFU ids as libirecovery names them;
// 1226 is taken for DFU with its neighbours.
func family(vendor, product uint16) int {
	switch {
	case vendor != apple:
		return familyOther
	case product >= 0x1290 && product <= 0x12af:
		return familyPhone
	case product >= 0x1901 && product <= 0x1904, product == 0x8600:
		return familyMux
	case product >= 0x1280 && product <= 0x1283:
		return familyRecovery
	case product == 0x1222, product == 0x1226, product == 0x1227:
		return familyDFU
	}
	return familyApple
}
