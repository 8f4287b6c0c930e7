package observer

import (
	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

// Standing says who has to do something about a phone.
type Standing string

const (
	Ready   Standing = "ready"   // nobody: it can be worked with
	Pending Standing = "pending" // nobody, or nobody now: it is under way, or was not asked for
	Person  Standing = "person"  // the person at the phone
	Fault   Standing = "fault"   // whoever looks after this computer
)

// StandingOf returns the standing of a trust state's name. An unknown name, as of
// a later daemon, is a fault.
func StandingOf(state string) Standing {
	switch trust.State(state) {
	case trust.Trusted, trust.NoLockdown:
		return Ready
	case trust.Connecting, trust.NotAsked, trust.Disabled, trust.RestoreMode, "unknown":
		return Pending
	case trust.Locked, trust.LockedSinceBoot, trust.DialogShown, trust.PasscodeAwaited, trust.DialogGone,
		trust.AnswerNotAccepted, trust.Expiring, trust.AccessoryRestricted, trust.ServiceLimit, trust.EscrowLocked:
		return Person
	}
	return Fault
}

// Needs reports whether somebody has to do something.
func (s Standing) Needs() bool { return s == Person || s == Fault }

// KeyOf tells one device from another for as long as it is plugged in.
func KeyOf(d control.Device) string {
	if d.PortPath != "" {
		return d.PortPath
	}
	return udidOf(d) + " " + d.Connection
}

// TitleOf is what a person calls a device.
func TitleOf(d control.Device) string {
	for _, s := range []string{d.Name, d.Model, d.Class, udidOf(d)} {
		if s != "" {
			return s
		}
	}
	return "Apple device"
}

func udidOf(d control.Device) string {
	if d.UDID == nil {
		return ""
	}
	return *d.UDID
}
