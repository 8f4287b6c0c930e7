package hotplug

import (
	"fmt"
	"strconv"
	"strings"
)

// Rule picks devices for Config.Allow and Config.Deny. Every field that is set
// must match; zero fields match anything.
type Rule struct {
	Vendor  uint16
	Product uint16
	Serial  string // hyphens and case do not count, so a UDID will do
	Port    string // kernel name, "1-2.3"
}

// ParseRule reads a rule as written on a command line: parts joined by commas,
// each "vendor:product" in hexadecimal ("05ac:12a8"; "05ac:*" for any product),
// "serial=..." or "port=1-2.3".
func ParseRule(s string) (Rule, error) {
	var r Rule
	for part := range strings.SplitSeq(s, ",") {
		key, value, named := strings.Cut(part, "=")
		switch {
		case named && key == "serial" && plainSerial(value) != "":
			r.Serial = value
		case named && key == "port" && isPort(value):
			r.Port = value
		case !named:
			v, p, ok := strings.Cut(part, ":")
			vendor, err := strconv.ParseUint(v, 16, 16)
			if !ok || err != nil || vendor == 0 {
				return Rule{}, fmt.Errorf("rule %q: %q is not vendor:product", s, part)
			}
			r.Vendor, r.Product = uint16(vendor), 0
			if p == "*" {
				continue
			}
			product, err := strconv.ParseUint(p, 16, 16)
			if err != nil || product == 0 {
				return Rule{}, fmt.Errorf("rule %q: %q is not vendor:product", s, part)
			}
			r.Product = uint16(product)
		default:
			return Rule{}, fmt.Errorf("rule %q: %q is neither vendor:product, serial= nor port=", s, part)
		}
	}
	return r, nil
}

// matches reports whether all set fields of r fit d.
func (r Rule) matches(d *Device) bool {
	return (r.Vendor == 0 || r.Vendor == d.Vendor) &&
		(r.Product == 0 || r.Product == d.Product) &&
		(r.Serial == "" || plainSerial(r.Serial) == plainSerial(d.Serial)) &&
		(r.Port == "" || r.Port == d.Port)
}

// plainSerial makes a serial number and the UDID made of it compare equal.
func plainSerial(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, "-", ""))
}

// isPort reports whether s is the kernel's name of a USB device other than a
// root hub: bus, hyphen, and port numbers joined by dots.
func isPort(s string) bool {
	bus, ports, ok := strings.Cut(s, "-")
	if !ok || !isNumber(bus) {
		return false
	}
	for ports != "" || ok {
		var port string
		port, ports, ok = strings.Cut(ports, ".")
		if !isNumber(port) {
			return false
		}
	}
	return true
}

func isNumber(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
