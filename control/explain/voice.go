package explain

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Facts is what a text adapts to. Everything may be empty.
type Facts struct {
	Name    string // the owner's, "Anna's iPhone"
	Class   string // lockdownd's DeviceClass: "iPhone", "iPad", "Watch", ...
	Version string // of the phone's system, "17.5"
	Cause   string // lockdownd's error name or a cause of the daemon
	Days    int    // until the phone forgets this computer, with trust.Expiring
}

// Causes that the daemon has for states below the multiplexer. Those above it are
// in package trust.
const (
	causePermission = "permission"
	causeClaimed    = "claimed"
	causeUSB        = "usb-error"
	causeVersion    = "no-version-answer"
	causeStuck      = "takes-nothing"
	causeLeft       = "left-alone"
)

// voice speaks about one device.
type voice struct {
	device string // "iPhone"
	ios    bool   // or iPadOS: its version and its Settings are what texts know
	major  int    // of its version, 0 unknown
	name   string // for commands, empty if it is not fit for a shell
	cause  string
	days   int
}

func newVoice(f Facts) voice {
	v := voice{device: noun(f.Class), ios: isIOS(f.Class), major: major(f.Version), cause: f.Cause, days: f.Days}
	if shellSafe(f.Name) {
		v.name = f.Name
	}
	return v
}

// noun is what people call a device of the class.
func noun(class string) string {
	switch class {
	case "iPhone", "iPad", "Watch":
		return class
	}
	return "device"
}

// isIOS reports whether the class has the Settings of an iPhone; an unknown one
// is taken for one.
func isIOS(class string) bool {
	switch class {
	case "iPhone", "iPad", "iPod", "":
		return true
	}
	return false
}

// major is the first number of a version, 0 if there is none.
func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// shellSafe reports whether a name can stand in a command that people paste into
// a shell, between double quotes. The phone chooses it, so all that is not known
// to be harmless there is not.
func shellSafe(name string) bool {
	for i, r := range name {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r):
		case i > 0 && strings.ContainsRune(" '\u2019.-", r): // not as an option's dash
		default:
			return false
		}
	}
	return name != "" && utf8.RuneCountInString(name) <= 32
}

// say formats a text that is written about "the device", and calls it by its class.
func (v voice) say(format string, args ...any) string {
	if v.device != "device" {
		for _, article := range []string{"The ", "the ", "This "} {
			format = strings.ReplaceAll(format, article+"device", article+v.device)
		}
	}
	return fmt.Sprintf(format, args...)
}

// command is a muxctl command about this device, to stand in a sentence. The name
// tells the device from others that are plugged in.
func (v voice) command(args string) string {
	switch {
	case v.name != "":
		return "muxctl " + args + ` "` + v.name + `"`
	case strings.HasPrefix(args, "trust"): // without a name it means the only one
		return `"muxctl ` + args + `"`
	}
	return `"muxctl ` + args + ` DEVICE"`
}

// since reports whether the device's system is at least that major version of
// iOS. An unknown one is: most are new.
func (v voice) since(ios int) bool {
	return v.ios && !v.old(ios)
}

// old reports whether the device's system is known to be older than that major
// version of iOS.
func (v voice) old(ios int) bool {
	return v.ios && v.major > 0 && v.major < ios
}

// silent reports whether the device trusts every computer it is unlocked at, as
// all did below iOS 7, and asks nothing.
func (v voice) silent() bool { return v.old(7) }

// slow reports whether the dialog takes its time to come up.
func (v voice) slow() bool { return v.ios && v.major >= 26 }

// delay says how long it takes, to stand behind "when it asks".
func (v voice) delay() string {
	if v.slow() {
		return ", which may take 10 to 30 seconds"
	}
	return ""
}

// tap tells to say yes to the dialog.
func (v voice) tap() string {
	if v.since(11) || !v.ios {
		return "tap Trust and enter the passcode"
	}
	return "tap Trust"
}

// short makes foreign text fit for a sentence.
func short(s string) string {
	r := []rune(s)
	for i, c := range r {
		if c > unicode.MaxASCII || !unicode.IsPrint(c) {
			r[i] = '?'
		}
	}
	if len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return string(r)
}
