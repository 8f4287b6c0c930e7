package explain

func chargingOnly(v voice) (reason, next string) {
	if v.cause == causeUSB {
		return v.say("The device only charges: switching it over to data went wrong."),
			v.say("Unlock the device, pull the cable out and plug it in again. If that does not help, try another port or cable.")
	}
	return v.say("The device only charges: it offers this computer no data."),
		v.say("Unlock the device, pull the cable out and plug it in again, and allow the accessory if it asks. If that does not help, try another port or cable.")
}

func noMux(v voice) (reason, next string) {
	switch v.cause {
	case causePermission:
		return v.say("This computer does not let the daemon open the device."),
			v.say(`Start the daemon as root or as the user it was installed for, then plug the device in again. "muxctl doctor" shows who may open it.`)
	case causeClaimed:
		return v.say("Another program on this computer has taken the device for itself."),
			v.say(`End the other program, often a second usbmuxd or a virtual machine, then plug the device in again. "muxctl doctor" names it.`)
	case causeVersion:
		return v.say("The device is connected, but its USB side does not answer."),
			v.say("Pull the cable out, wait five seconds and plug it in again. If it stays silent, restart the device.")
	case causeStuck:
		return v.say("The device is connected, but takes nothing that is sent to it."),
			v.say("Wait a minute: the daemon opens it anew and resets it. If it stays so, pull the cable out and plug it in again.")
	case causeLeft:
		return v.say("The device is connected, but does not work; it was opened anew and reset in vain, and is left alone now."),
			v.say(`Pull the cable out, wait five seconds and plug it in again. From afar, "muxctl reset" tries once more. If it stays so, restart the device.`)
	case causeUSB:
		return v.say("The USB connection to the device failed."),
			v.say("Pull the cable out and plug it in again, into a port of the computer itself. If it fails again, try another cable.")
	}
	return v.say("The device is connected, but does not offer the connection that programs need."),
		v.say(`Unlock the device, pull the cable out and plug it in again. If that does not help, restart it and run "muxctl doctor".`)
}

func recovery(v voice) (reason, next string) {
	return v.say("The device is in recovery mode: its system has not started."),
		v.say("Restart the device with its buttons to leave this mode. If it comes back to it, its system must be updated or restored, with idevicerestore, Finder or iTunes.")
}

func dfu(v voice) (reason, next string) {
	return v.say("The device is in DFU mode: its screen stays black and nothing of its system runs."),
		v.say("Restart the device with its buttons to leave this mode. If it stays black, its system must be restored, with idevicerestore, Finder or iTunes.")
}

func connecting(v voice) (reason, next string) {
	return v.say("The device has just been plugged in and is being asked how it stands."),
		v.say(`Wait a few seconds. If it stays so for a minute, run "muxctl doctor".`)
}

func notAnswering(v voice) (reason, next string) {
	replug := v.say("Unlock the device, pull the cable out and plug it in again. If that does not help, restart it.")
	switch v.cause {
	case "", "silent":
		return v.say("The device is connected, but does not answer questions."),
			replug
	case "garbage":
		return v.say("The device answers with something that makes no sense."),
			v.say(`Restart the device, then try another cable. If it stays so, run "muxctl doctor".`)
	case "refused":
		return v.say("The device refuses to be talked to."),
			replug
	case "broken":
		return v.say("The connection to the device breaks again and again."),
			v.say("Try another cable and a port of the computer itself, then restart the device.")
	}
	return v.say("The device answers with an error: %s.", short(v.cause)),
		replug
}

func restoreMode(v voice) (reason, next string) {
	return v.say("The device is being restored or updated."),
		v.say("Leave the device plugged in until that is done. If no restore is running, restart it with its buttons.")
}

func noLockdown(v voice) (reason, next string) {
	return v.say("This device works without trust: it is a part of a computer, not a phone."),
		"Nothing to do."
}
