package explain

import "gomuxd/lockdown/trust"

func trusted(v voice) (reason, next string) {
	return v.say("The device trusts this computer."), "Nothing to do."
}

func expiring(v voice) (reason, next string) {
	when := "soon"
	switch {
	case v.days == 1:
		when = "in about a day"
	case v.days > 1:
		when = v.say("in about %d days", v.days)
	}
	return v.say("The device trusts this computer, but has not been used with it for a long time and will forget it %s.", when),
		v.say("Run %s: that counts as use, and it keeps the trust.", v.command("trust --touch"))
}

func disabled(v voice) (reason, next string) {
	return v.say("This computer is set not to ask the device for trust: programs do that themselves."),
		v.say("Use your program as usual. To ask for trust from here nevertheless, unlock the device and run %s.", v.command("trust"))
}

func forgottenByPhone(v voice) (reason, next string) {
	reason = v.say("The device no longer knows this computer: it was reset or erased, or its owner withdrew trust.")
	if v.cause == trust.CauseUnused {
		long := "30 days"
		if v.old(11) {
			long = "six months"
		}
		reason = v.say("The device has forgotten this computer: it was not used here for more than %s.", long)
	}
	return reason, v.anew()
}

// anew tells how to set up trust once more.
func (v voice) anew() string {
	if v.silent() {
		return v.say("Unlock the device and run %s. This version asks nothing on its screen.", v.command("trust"))
	}
	return v.say("Unlock the device, and when it asks, %s. If it does not ask, run %s.", v.tap(), v.command("trust"))
}

func recordBroken(v voice) (reason, next string) {
	anew := v.say("Unlock the device, and when it asks, %s. An earlier version may still work: %s.", v.tap(), v.command("records restore"))
	if v.silent() {
		anew = v.say("Unlock the device and run %s. An earlier version may still work: %s.", v.command("trust"), v.command("records restore"))
	}
	switch v.cause {
	case trust.CauseDisk:
		return v.say("This computer cannot read or save the trust it keeps for the device."),
			v.say(`Run "muxctl doctor": it shows whether the disk is full, or a file or folder may not be read or written. Mend that; within a minute it goes on by itself.`)
	case trust.CauseTLS:
		return v.say("The trust that this computer keeps for the device no longer works."), anew
	case trust.CauseDeviceKey:
		return v.say("The device has another key than the one kept here: it was erased, or it is not the same one."),
			v.say("See that it is the right device. ") + v.anew()
	case trust.CauseIncomplete:
		return v.say("The trust that this computer keeps for the device is incomplete."), anew
	}
	return v.say("The trust that this computer keeps for the device is damaged."), anew
}

func buidMismatch(v voice) (reason, next string) {
	return v.say("The trust kept here for the device was made by another computer, so it refuses this one."),
		v.anew() + " Or copy SystemConfiguration.plist from that computer too and restart the daemon."
}

func supervisedChallenge(v voice) (reason, next string) {
	if v.cause == "MCChallengeFailed" {
		return v.say("The device is managed by an organisation and did not accept the proof that this computer gave."),
			"Give the daemon the identity that the device was supervised with (option --supervisor), or ask the organisation to allow pairing."
	}
	return v.say("The device is managed by an organisation and trusts only computers that prove to belong to it."),
		v.say("Ask the organisation to allow pairing, or for its supervision identity and give that to the daemon (option --supervisor).")
}

func pairingProhibited(v voice) (reason, next string) {
	return v.say("The device does not allow trust to be set up over this connection, or its management forbids it."),
		v.say("Connect the device directly with a cable. If it is managed by an organisation, ask them to allow pairing with computers.")
}

func findMyProtected(v voice) (reason, next string) {
	return v.say("Find My protects the device, so it trusts no new computer now."),
		v.say("If the device is in Lost Mode, end that with its owner's Apple Account, then unlock it and plug it in again.")
}

func escrowLocked(v voice) (reason, next string) {
	return v.say("The device keeps the keys that are needed here locked until its passcode is entered."),
		v.say("Enter the passcode on the device and leave it unlocked for a moment. It goes on by itself.")
}

func serviceLimit(v voice) (reason, next string) {
	return v.say("Too many programs talk to the device at once, so it takes no more."),
		v.say("Close programs that use it and wait a minute. If that does not help, restart the device.")
}
