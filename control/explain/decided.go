package explain

import (
	"fmt"

	"gomuxd/lockdown/trust"
)

func trusted(v voice) (reason, next string) {
	return fmt.Sprintf("The %s trusts this computer.", v.device), "Nothing to do."
}

func expiring(v voice) (reason, next string) {
	when := "soon"
	switch {
	case v.days == 1:
		when = "in about a day"
	case v.days > 1:
		when = fmt.Sprintf("in about %d days", v.days)
	}
	return fmt.Sprintf("The %s trusts this computer, but was not used here for long and will forget it %s.", v.device, when),
		fmt.Sprintf("Run %s: that counts as use, and it keeps the trust.", v.command("trust --touch"))
}

func disabled(v voice) (reason, next string) {
	return fmt.Sprintf("This computer is set not to ask the %s for trust: programs do that themselves.", v.device),
		fmt.Sprintf("Use your program as usual. To ask for trust from here nevertheless, unlock the device and run %s.", v.command("trust"))
}

func forgottenByPhone(v voice) (reason, next string) {
	reason = fmt.Sprintf("The %s no longer knows this computer: it was reset or erased, or its owner withdrew trust.", v.device)
	if v.cause == trust.CauseUnused {
		reason = fmt.Sprintf("The %s has forgotten this computer: it was not used here for more than 30 days.", v.device)
	}
	return reason, fmt.Sprintf("Unlock it, and when it asks, %s. If it does not ask, run %s.", v.tap(), v.command("trust"))
}

func recordBroken(v voice) (reason, next string) {
	anew := fmt.Sprintf("Unlock it, and when it asks, %s. An earlier version may still work: %s.", v.tap(), v.command("records restore"))
	switch v.cause {
	case trust.CauseDisk:
		return fmt.Sprintf("This computer cannot read or save the trust it keeps for the %s.", v.device),
			`Run "muxctl doctor": it shows whether the disk is full or the folder may not be written. Mend that, then plug the device in again.`
	case trust.CauseTLS:
		return fmt.Sprintf("The trust that this computer keeps no longer opens the %s.", v.device), anew
	case trust.CauseDeviceKey:
		return fmt.Sprintf("The %s has another key than the one kept here: it was erased, or it is not the same one.", v.device),
			fmt.Sprintf("If it is yours, unlock it, and when it asks, %s. If it does not ask, run %s.", v.tap(), v.command("trust"))
	case trust.CauseIncomplete:
		return fmt.Sprintf("The trust that this computer keeps for the %s is incomplete.", v.device), anew
	}
	return fmt.Sprintf("The trust that this computer keeps for the %s is damaged.", v.device), anew
}

func buidMismatch(v voice) (reason, next string) {
	return fmt.Sprintf("The trust kept here for the %s was made by another computer, so it refuses this one.", v.device),
		fmt.Sprintf("Unlock it, run %s, and when it asks, %s. Or copy SystemConfiguration.plist from that computer too and restart the daemon.", v.command("trust"), v.tap())
}

func supervisedChallenge(v voice) (reason, next string) {
	if v.cause == "MCChallengeFailed" {
		return fmt.Sprintf("The %s is managed by an organisation and did not accept the proof that this computer gave.", v.device),
			"Give the daemon the identity that this device was supervised with (option --supervisor), or ask the organisation to allow pairing."
	}
	return fmt.Sprintf("The %s is managed by an organisation and trusts only computers that prove to belong to it.", v.device),
		"Ask the organisation to allow pairing, or for its supervision identity and give that to the daemon (option --supervisor)."
}

func pairingProhibited(v voice) (reason, next string) {
	return fmt.Sprintf("The %s does not allow trust to be set up over this connection, or its management forbids it.", v.device),
		"Connect it directly with a cable. If it is managed by an organisation, ask them to allow pairing with computers."
}

func findMyProtected(v voice) (reason, next string) {
	return fmt.Sprintf("Find My protects the %s, so it trusts no new computer now.", v.device),
		"If it is in Lost Mode, end that with its owner's Apple Account, then unlock it and plug it in again."
}

func escrowLocked(v voice) (reason, next string) {
	return fmt.Sprintf("The %s keeps the keys that are needed here locked until its passcode is entered.", v.device),
		"Enter the passcode on it and leave it unlocked for a moment. It goes on by itself."
}

func serviceLimit(v voice) (reason, next string) {
	return fmt.Sprintf("Too many programs talk to the %s at once, so it takes no more.", v.device),
		"Close programs that use it and wait a minute. If that does not help, restart the device."
}
