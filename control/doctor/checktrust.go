package doctor

import (
	"fmt"

	"gomuxd/control/explain"
	"gomuxd/lockdown/trust"
)

// states says which check a trust state is a finding of, and how bad it is.
// States that checks of the bus or the records tell are not among them.
var states = map[trust.State]struct {
	id     string
	result Result
}{
	trust.Connecting:   {CheckTrust, Note},
	trust.NotAnswering: {CheckTrust, Problem},
	trust.ServiceLimit: {CheckTrust, Problem},
	trust.Disabled:     {CheckTrust, Problem},

	trust.Locked:          {CheckLock, Problem},
	trust.LockedSinceBoot: {CheckLock, Problem},
	trust.EscrowLocked:    {CheckLock, Problem},

	trust.NotAsked:          {CheckDialog, Problem},
	trust.DialogShown:       {CheckDialog, Problem},
	trust.PasscodeAwaited:   {CheckDialog, Problem},
	trust.DialogGone:        {CheckDialog, Problem},
	trust.AnswerNotAccepted: {CheckDialog, Problem},

	trust.Denied: {CheckDenial, Problem},

	trust.SupervisedChallenge: {CheckSupervision, Problem},
	trust.PairingProhibited:   {CheckSupervision, Problem},
	trust.FindMyProtected:     {CheckSupervision, Problem},

	trust.AccessoryRestricted: {CheckAccessory, Problem},

	trust.Expiring: {CheckExpiry, Note},
}

// trustChecks are the checks of trust in their order, with what they say of a
// phone that is trusted.
var trustChecks = []struct{ id, well string }{
	{CheckTrust, "The phone trusts this computer."},
	{CheckLock, "It has been unlocked since it started."},
	{CheckDialog, "The dialog was answered with Trust."},
	{CheckDenial, "Nobody said no."},
	{CheckSupervision, "No management forbids it."},
	{CheckAccessory, "It lets this computer have data."},
	{CheckExpiry, ""},
}

// told are the states that other checks have told.
var told = map[trust.State]bool{
	trust.ChargingOnly: true, trust.NoMux: true, trust.Recovery: true, trust.DFU: true, trust.RestoreMode: true,
	trust.ForgottenByPhone: true, trust.RecordBroken: true, trust.BUIDMismatch: true,
}

// trust judges what the daemon says of each phone.
func (j *judge) trust() {
	if j.f.Daemon == nil {
		if len(j.phones) > 0 {
			j.add(CheckTrust, Unknown, CannotTell, "Only the daemon can ask a phone whether it is locked, shows its dialog or trusts this computer.",
				"No daemon answers that question here.", start)
		}
		return
	}
	for _, c := range trustChecks {
		j.each(func(p phone) { j.trustCheck(p, c.id, c.well) })
	}
}

func (j *judge) trustCheck(p phone, id, well string) {
	s := p.state()
	of, listed := states[s]
	reason, next := "", ""
	if s != "" {
		reason, next = words(p)
	}
	switch {
	case told[s]:
	case id == CheckTrust && s == trust.NoLockdown:
		j.add(id, OK, Seen, reason, "", next)
	case s == trust.NoLockdown:
	case id == CheckTrust && p.dev == nil && p.usb.Kind == KindMux:
		j.add(id, Note, Seen, "The daemon does not know this phone.", "It was plugged in just now, or the daemon leaves it alone.",
			"Ask again in a few seconds; if it stays so, \"journalctl -u usbmuxd\" says why.")
	case p.dev == nil:
	case listed && of.id == id:
		j.add(id, of.result, Seen, reason, "", next)
	case s == trust.Trusted || s == trust.Expiring:
		j.trusted(p, id, well)
	case !listed && id == CheckTrust:
		j.add(id, Unknown, CannotTell, fmt.Sprintf("The daemon says %q: %s", name(p.dev.Trust), reason), "This program does not know that state.", next)
	}
}

// trusted is what a check says of a phone that is well.
func (j *judge) trusted(p phone, id, well string) {
	switch {
	case id == CheckTrust:
		j.add(id, OK, Seen, well, "", "")
	case id != CheckExpiry:
		j.add(id, OK, Inferred, well, "", "")
	case p.dev.ExpiresInDays != nil:
		j.add(id, OK, Inferred, fmt.Sprintf("Unused, the phone would forget this computer in about %s.", plural(max(*p.dev.ExpiresInDays, 0), "day", "days")), "", "")
	default:
		j.add(id, OK, CannotTell, "When the phone would forget this computer is not known.", "", "")
	}
}

// words gives the reason of a phone's state and the next step: as the daemon
// says them, which has them from package explain, else as that does.
func words(p phone) (reason, next string) {
	if p.dev == nil {
		return "", ""
	}
	reason, next = p.dev.Reason, p.dev.NextStep
	if reason == "" {
		f := explain.Facts{Name: p.dev.Name, Class: p.dev.Class, Version: p.dev.Version, Cause: p.dev.Cause}
		if p.dev.ExpiresInDays != nil {
			f.Days = *p.dev.ExpiresInDays
		}
		reason, next = explain.State(p.state(), f)
	}
	return sentence(clean(reason, 500)), sentence(clean(next, 500))
}
