package explain

// Remedy is something to try when a device does not work or is not trusted.
type Remedy struct {
	Name  string `json:"name"`  // short and stable: "replug"
	Do    string `json:"do"`    // how
	Price string `json:"price"` // what it costs
}

// Ladder lists remedies from the cheapest to the dearest for a device of the
// class and version, which may be unknown. Resets whose place in Settings is not
// known for the class are left out.
func Ladder(class, version string) []Remedy {
	v := newVoice(Facts{Class: class, Version: version})
	ladder := []Remedy{
		{"unlock", "Unlock the " + v.device + ", leave it on and look for a question on its screen.", "Nothing."},
		{"replug", "Pull the cable out, wait five seconds and plug it in again.", "Nothing."},
		{"other port or cable", "Try a port of the computer itself, without a hub, then a cable that is known to carry data.", "A minute, and perhaps a new cable."},
		{"restart phone", "Switch the " + v.device + " off and on again and enter its passcode once.", "Two minutes."},
		{"restart computer", "Restart this computer.", "What is open on it must be saved and closed first."},
		{"update", "Update the " + v.device + "'s system, and the daemon on this computer.", "Up to an hour; a system cannot be taken back to an older version."},
	}
	if menu := resetMenu(v); menu != "" {
		ladder = append(ladder,
			Remedy{"reset location and privacy", menu + " > Reset Location & Privacy.", "Every computer loses trust, and apps ask anew for location, photos and the like."},
			Remedy{"reset network settings", menu + " > Reset Network Settings.", "Wi-Fi networks with their passwords and VPN settings are lost, too, and every computer loses trust."},
			Remedy{"reset all settings", menu + " > Reset All Settings.", "All settings go back to how they came, with all that the two resets above take; data and apps stay."},
			Remedy{"erase", "Make a backup and see that it is complete, then " + eraseIn(v) + ".", "Everything on the " + v.device + " that is not in the backup, and some hours."})
		return ladder
	}
	return append(ladder, Remedy{"erase", "Make a backup if the " + v.device + " allows one, then erase it in its Settings.", "Everything on the " + v.device + " that is not in a backup."})
}
