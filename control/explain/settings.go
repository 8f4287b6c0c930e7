package explain

// resetMenu is where the resets are in Settings, empty on devices whose Settings
// are not those of an iPhone. It moved with iOS 15.
func resetMenu(v voice) string {
	switch {
	case !v.ios:
		return ""
	case !v.since(15):
		return "Settings > General > Reset"
	case v.device == "device":
		return "Settings > General > Transfer or Reset > Reset"
	}
	return "Settings > General > Transfer or Reset " + v.device + " > Reset"
}

// resetPath is where the reset is that makes a device ask every computer anew.
func resetPath(v voice) string {
	if menu := resetMenu(v); menu != "" {
		return menu + " > Reset Location & Privacy"
	}
	return ""
}

// eraseIn tells where everything is erased.
func eraseIn(v voice) string {
	const item = " > Erase All Content and Settings"
	switch {
	case !v.since(15):
		return "Settings > General > Reset" + item
	case v.device == "device":
		return "Settings > General > Transfer or Reset" + item
	}
	return "Settings > General > Transfer or Reset " + v.device + item
}
