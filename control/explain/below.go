package explain

import "fmt"

func chargingOnly(v voice) (reason, next string) {
	if v.cause == causeUSB {
		return fmt.Sprintf("The %s only charges: switching it over to data went wrong.", v.device),
			"Unlock it, pull the cable out and plug it in again. If that does not help, try another port or cable."
	}
	return fmt.Sprintf("The %s only charges: it offers this computer no data.", v.device),
		"Unlock it, pull the cable out and plug it in again, and allow the accessory if it asks. If that does not help, try another port or cable."
}

func noMux(v voice) (reason, next string) {
	switch v.cause {
	case causePermission:
		return fmt.Sprintf("This computer does not let the daemon open the %s.", v.device),
			`Start the daemon as root or as the user it was installed for, then plug the device in again. "muxctl doctor" shows who may open it.`
	case causeClaimed:
		return fmt.Sprintf("Another program on this computer has taken the %s for itself.", v.device),
			`End the other program, often a second usbmuxd or a virtual machine, then plug the device in again. "muxctl doctor" names it.`
	case causeVersion:
		return fmt.Sprintf("The %s is connected, but its USB side does not answer.", v.device),
			"Pull the cable out, wait five seconds and plug it in again. If it stays silent, restart the device."
	case causeUSB:
		return fmt.Sprintf("The USB connection to the %s failed.", v.device),
			"Pull the cable out and plug it in again, into a port of the computer itself. If it fails again, try another cable."
	}
	return fmt.Sprintf("The %s is connected, but does not offer the connection that programs need.", v.device),
		`Unlock it, pull the cable out and plug it in again. If that does not help, restart the device and run "muxctl doctor".`
}

func recovery(v voice) (reason, next string) {
	return fmt.Sprintf("The %s is in recovery mode: its system has not started.", v.device),
		"Restart it with its buttons to leave this mode. If it comes back to it, its system must be updated or restored, with idevicerestore, Finder or iTunes."
}

func dfu(v voice) (reason, next string) {
	return fmt.Sprintf("The %s is in DFU mode: its screen stays black and nothing of its system runs.", v.device),
		"Restart it with its buttons to leave this mode. If it stays black, its system must be restored, with idevicerestore, Finder or iTunes."
}

func connecting(v voice) (reason, next string) {
	return fmt.Sprintf("The %s has just been plugged in and is being asked how it stands.", v.device),
		`Wait a few seconds. If it stays so for a minute, run "muxctl doctor".`
}

func notAnswering(v voice) (reason, next string) {
	const replug = "Unlock it, pull the cable out and plug it in again. If that does not help, restart the device."
	switch v.cause {
	case "", "silent":
		return fmt.Sprintf("The %s is connected, but does not answer questions.", v.device),
			replug
	case "garbage":
		return fmt.Sprintf("The %s answers with something that makes no sense.", v.device),
			`Restart the device, then try another cable. If it stays so, run "muxctl doctor".`
	case "refused":
		return fmt.Sprintf("The %s refuses to be talked to.", v.device),
			replug
	case "broken":
		return fmt.Sprintf("The connection to the %s breaks again and again.", v.device),
			"Try another cable and a port of the computer itself, then restart the device."
	}
	return fmt.Sprintf("The %s answers with an error: %s.", v.device, short(v.cause)),
		replug
}

func restoreMode(v voice) (reason, next string) {
	return fmt.Sprintf("The %s is being restored or updated.", v.device),
		"Leave it plugged in until that is done. If no restore is running, restart it with its buttons."
}

func noLockdown(v voice) (reason, next string) {
	return fmt.Sprintf("This %s works without trust: it is a part of a computer, not a phone.", v.device),
		"Nothing to do."
}
