package virtualphone

import (
	"fmt"
	"strings"
	"time"
)

// setting is one field of a Behavior as it is called in a shell.
type setting struct {
	name  string
	field func(*Behavior) any // *bool, *time.Duration or *string
}

var settings = []setting{
	{"dialog-delay", func(b *Behavior) any { return &b.DialogDelay }},
	{"dialog-timeout", func(b *Behavior) any { return &b.DialogTimeout }},
	{"pairing-forbidden", func(b *Behavior) any { return &b.PairingForbidden }},
	{"mc-protected", func(b *Behavior) any { return &b.MCProtected }},
	{"pairing-lifetime", func(b *Behavior) any { return &b.PairingLifetime }},
	{"tap-notifies", func(b *Behavior) any { return &b.TapNotifies }},
	{"denial-notifies", func(b *Behavior) any { return &b.DenialNotifies }},
	{"reject-answer", func(b *Behavior) any { return &b.RejectAnswer }},
	{"reject-time", func(b *Behavior) any { return &b.RejectTime }},
	{"setup-assistant", func(b *Behavior) any { return &b.SetupAssistant }},
	{"usb-restricted", func(b *Behavior) any { return &b.USBRestricted }},
	{"usb-restricted-after", func(b *Behavior) any { return &b.USBRestrictedAfter }},
}

// Set changes one field by its name in a shell, such as "dialog-delay". Switches
// are "on" or "off", times as time.ParseDuration reads them, or "off" for 0, and
// error names themselves, or "off" for none.
func (b *Behavior) Set(name, value string) error {
	var names []string
	for _, s := range settings {
		if s.name == name {
			return s.set(b, value)
		}
		names = append(names, s.name)
	}
	return fmt.Errorf("no behavior %q; there are: %s", name, strings.Join(names, ", "))
}

func (s *setting) set(b *Behavior, value string) error {
	switch f := s.field(b).(type) {
	case *bool:
		if value != "on" && value != "off" {
			return fmt.Errorf("%s is on or off, not %q", s.name, value)
		}
		*f = value == "on"
	case *time.Duration:
		if value == "off" {
			value = "0s"
		}
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return fmt.Errorf("%s is a time like 30s, or off, not %q", s.name, value)
		}
		*f = d
	case *string:
		if value == "off" {
			value = ""
		}
		*f = value
	}
	return nil
}

// BehaviorSettings lists what Set takes, each with the kind of its value.
func BehaviorSettings() []string {
	var all []string
	for _, s := range settings {
		kind := "on|off"
		switch s.field(new(Behavior)).(type) {
		case *time.Duration:
			kind = "DURATION|off"
		case *string:
			kind = "ERROR|off"
		}
		all = append(all, s.name+" "+kind)
	}
	return all
}
