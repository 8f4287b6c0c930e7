package explain

import (
	"fmt"

	"gomuxd/lockdown/trust"
)

func notAsked(v voice) (reason, next string) {
	next = fmt.Sprintf("Unlock it and run %s, then %s.", v.command("trust"), v.tap())
	switch v.cause {
	case trust.CauseUnpairedHere:
		return fmt.Sprintf("Trust between the %s and this computer was ended from this computer.", v.device), next
	case trust.CausePolicyAsk:
		return fmt.Sprintf("The %s has not been asked for trust: this computer is set to ask only when told to.", v.device), next
	}
	return fmt.Sprintf("The %s has not been asked yet whether it trusts this computer.", v.device), next
}

func locked(v voice) (reason, next string) {
	reason = fmt.Sprintf("The %s is locked, so it cannot ask whether to trust this computer.", v.device)
	if v.cause == trust.CauseLockedAway {
		reason = fmt.Sprintf("The %s was locked before its question about trust was answered.", v.device)
	}
	return reason, fmt.Sprintf("Unlock it and leave it on, then %s when it asks.%s", v.tap(), v.wait())
}

func lockedSinceBoot(v voice) (reason, next string) {
	return fmt.Sprintf("The %s knows this computer, but has not been unlocked since it was started.", v.device),
		"Enter the passcode on it once. After that it works, locked or not."
}

// again says why a device that was trusted asks anew, empty if it asks for the
// first time.
func (v voice) again() string {
	switch v.cause {
	case "InvalidHostID", "MissingPairRecord", "InvalidPairRecord":
		return "it no longer knows this computer, as after a reset"
	case trust.CauseUnused:
		return "it was not used here for so long that it has forgotten this computer"
	case trust.CauseBUID:
		return "the trust kept here was made by another computer"
	case trust.CauseTLS:
		return "the trust kept here no longer opened it"
	case trust.CauseDeviceKey:
		return "its key has changed, as after it was erased"
	case trust.CauseIncomplete:
		return "the trust kept here was incomplete"
	case trust.CauseUnreadable:
		return "the trust kept here was damaged"
	case trust.CauseNoRecord:
		return "this computer keeps no trust for it"
	}
	return ""
}

func dialogShown(v voice) (reason, next string) {
	next = fmt.Sprintf("Unlock it if it is locked, then %s.%s", v.tap(), v.wait())
	if why := v.again(); why != "" {
		return fmt.Sprintf("The %s asks again whether to trust this computer: %s.", v.device, why), next
	}
	return fmt.Sprintf("The %s asks whether to trust this computer.", v.device), next
}

func passcodeAwaited(v voice) (reason, next string) {
	return fmt.Sprintf("Trust was tapped on the %s, and it now waits for the passcode.", v.device),
		"Enter the passcode on it. Without it, the tap does not count."
}

func dialogGone(v voice) (reason, next string) {
	reason = fmt.Sprintf("The question on the %s went away without an answer.", v.device)
	if v.cause == trust.CauseTimedOut {
		reason = fmt.Sprintf("The question on the %s was not answered in time.", v.device)
	}
	return reason, fmt.Sprintf("Unlock it, run %s or plug it in again, then %s.", v.command("trust"), v.tap())
}

func answerNotAccepted(v voice) (reason, next string) {
	reason = fmt.Sprintf("The question on the %s was answered, yet it still does not trust this computer.", v.device)
	if c := v.cause; c != "" && c != "PairingDialogResponsePending" {
		reason = fmt.Sprintf("The %s still does not trust this computer and gives as its reason: %s.", v.device, short(c))
	}
	if path := resetPath(v); path != "" {
		return reason, fmt.Sprintf("Restart it, unlock it and run %s. If that does not help, reset its answers in %s: it will ask every computer again.", v.command("trust"), path)
	}
	return reason, fmt.Sprintf(`Restart it, unlock it and run %s. If that does not help, run "muxctl doctor".`, v.command("trust"))
}

func denied(v voice) (reason, next string) {
	return fmt.Sprintf("Somebody tapped Don't Trust on the %s.", v.device),
		fmt.Sprintf("Unlock it, then pull the cable out and plug it in again or run %s. When it asks, %s.", v.command("trust"), v.tap())
}

func accessoryRestricted(v voice) (reason, next string) {
	where := ""
	switch {
	case v.ios && v.major >= 26:
		where = " What it allows is set in Settings > Privacy & Security > Wired Accessories."
	case v.since(12) && v.major > 0:
		where = " What it allows while locked is set in Settings, where its passcode is."
	}
	return fmt.Sprintf("The %s lets no accessory have data now: it is locked, or has not allowed this one.", v.device),
		fmt.Sprintf("Unlock it, and allow the accessory if it asks. If nothing changes, pull the cable out and plug it in again.%s", where)
}
