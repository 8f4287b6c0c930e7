package explain

import (
	"strings"

	"gomuxd/lockdown/trust"
)

func notAsked(v voice) (reason, next string) {
	next = v.say("Unlock the device and run %s, then %s.", v.command("trust"), v.tap())
	if v.silent() {
		next = v.say("Unlock the device and run %s. This version asks nothing on its screen.", v.command("trust"))
	}
	switch v.cause {
	case trust.CauseUnpairedHere:
		return v.say("Trust between the device and this computer was ended from this computer."),
			strings.Replace(next, "Unlock", "To set it up again, unlock", 1)
	case trust.CausePolicyAsk:
		return v.say("The device has not been asked for trust: this computer is set to ask only when told to."), next
	}
	return v.say("The device has not been asked yet whether it trusts this computer."), next
}

func locked(v voice) (reason, next string) {
	reason = v.say("The device is locked, so it cannot ask whether to trust this computer.")
	if v.cause == trust.CauseLockedAway {
		reason = v.say("The device was locked before its question about trust was answered.")
	}
	if v.silent() {
		return v.say("The device is locked, so it takes no new computer."),
			v.say("Unlock the device and leave it on. This version asks nothing on its screen.")
	}
	return reason, v.say("Unlock the device and leave it on, then %s when it asks%s.", v.tap(), v.delay())
}

func lockedSinceBoot(v voice) (reason, next string) {
	return v.say("The device knows this computer, but has not been unlocked since it was started."),
		v.say("Enter the passcode on the device once. After that it works, locked or not.")
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
		return "the trust kept here no longer works"
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
	next = v.say("Unlock the device if it is locked, then %s.", v.tap())
	if v.slow() {
		next = v.say("Unlock the device if it is locked and wait for the question, which may need 10 to 30 seconds. Then %s.", v.tap())
	}
	if why := v.again(); why != "" {
		return v.say("The device asks again whether to trust this computer: %s.", why), next
	}
	return v.say("The device asks whether to trust this computer."), next
}

func passcodeAwaited(v voice) (reason, next string) {
	return v.say("Trust was tapped on the device, and it now waits for the passcode."),
		v.say("Enter the passcode on the device: without it, the tap does not count. If it asks about trust once more, tap Trust again.")
}

func dialogGone(v voice) (reason, next string) {
	reason = v.say("The question on the device went away without an answer.")
	if v.cause == trust.CauseTimedOut {
		reason = v.say("The question on the device was not answered in time.")
	}
	return reason, v.say("Unlock the device, run %s or plug it in again, then %s.", v.command("trust"), v.tap())
}

func answerNotAccepted(v voice) (reason, next string) {
	reason = v.say("The question on the device was answered, yet it still does not trust this computer.")
	if c := v.cause; c != "" && c != "PairingDialogResponsePending" {
		reason = v.say("The device still does not trust this computer and gives as its reason: %s.", short(c))
	}
	first := v.say("If the device shows a question or wants its passcode, answer that. If not, restart it and run %s.", v.command("trust"))
	if path := resetPath(v); path != "" {
		return reason, first + v.say(" Still no? %s has it ask about every computer anew.", path)
	}
	return reason, first + ` Still no? Run "muxctl doctor".`
}

func denied(v voice) (reason, next string) {
	return v.say("Somebody tapped Don't Trust on the device."),
		v.say("Unlock the device, then pull the cable out and plug it in again: only then it asks anew. When it does, %s.", v.tap())
}

func accessoryRestricted(v voice) (reason, next string) {
	where := ""
	switch {
	case v.ios && v.major >= 26:
		where = " What it allows is set in Settings > Privacy & Security > Wired Accessories."
	case v.since(12) && v.major > 0:
		where = " What it allows while locked is set in Settings > Face ID (or Touch ID) & Passcode."
	}
	return v.say("The device lets no accessory have data now: it is locked, or has not allowed this one."),
		v.say("Unlock the device, and allow the accessory if it asks. If nothing changes, pull the cable out and plug it in again.%s", where)
}
