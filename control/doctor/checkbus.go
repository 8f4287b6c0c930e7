package doctor

import (
	"fmt"
	"slices"
	"strings"

	"gomuxd/lockdown/trust"
)

// How the daemon is started.
const start = `Start it: "systemctl start usbmuxd" (as root).`

// cable asks whether there is any phone on the bus, and tells which.
func (j *judge) cable() {
	switch why := j.unseen(unseenBus); {
	case len(j.phones) > 0:
		j.each(func(p phone) {
			if p.usb == nil {
				j.add(CheckCable, OK, Inferred, fmt.Sprintf("The daemon sees %s.", p.what()), "", "")
				return
			}
			j.add(CheckCable, OK, Seen, fmt.Sprintf("%s is on the bus (USB id %s:%s).", p.what(), p.usb.Vendor, p.usb.Product), "", "")
		})
	case why != "":
		j.add(CheckCable, Unknown, CannotTell, "The USB bus cannot be looked at: "+why+".",
			"What is plugged in is hidden from this program.", "Run this outside the sandbox or container.")
	case j.f.Controllers == 0 && len(j.f.USB) == 0:
		j.add(CheckCable, Problem, Seen, "This computer shows no USB at all.",
			"A virtual machine or container without USB, or USB is turned off in the firmware.",
			"Give USB to the virtual machine or container, or turn it on in the firmware.")
	case len(j.all) > 0:
		var there []string
		for _, p := range j.all {
			there = append(there, p.label())
		}
		j.add(CheckCable, Problem, Seen, fmt.Sprintf("%q is not plugged in. Here is: %s.", name(j.f.Device), list(there)),
			"The phone that was asked for shows nothing to this computer; or its name is known only once it answers.",
			"Plug it in, or ask for one of those that are there.")
	default:
		found := "No iPhone, iPad or other phone of Apple's is on the bus."
		if len(j.f.USB) > 0 {
			var others []string
			for _, d := range j.f.USB {
				others = append(others, name(d.Name)+" at port "+name(d.Port))
			}
			found += " Other Apple devices: " + list(others) + "."
		}
		for _, f := range j.f.OverCurrent {
			found += fmt.Sprintf(" Port %s has cut the power %s: a damaged cable or socket does that.", name(f.Port), times(f.Times))
		}
		j.add(CheckCable, Problem, CannotTell, found,
			"Nothing is plugged in, or the cable has no data lines: such a cable charges the phone but shows nothing to a computer, so the two cannot be told apart from here.",
			"Plug the phone in, directly into this computer, with a cable that is known to carry data. If it charges and still does not show here, the cable is the first suspect, then the port, then dirt in the phone's socket.")
	}
}

// authorized tells a device that this computer itself locks out.
func (j *judge) authorized(p phone) {
	if p.usb == nil || p.usb.Authorized == "" {
		return
	}
	if p.usb.Authorized != "0" {
		j.add(CheckAuthorized, OK, Seen, "This computer lets the device in.", "", "")
		return
	}
	j.add(CheckAuthorized, Problem, Seen, "This computer has refused the device.",
		"USBGuard, or a setting of the kernel, blocks new USB devices.",
		fmt.Sprintf("Allow it: \"usbguard list-devices --blocked\" and \"usbguard allow-device\", or \"echo 1 > /sys/bus/usb/devices/%s/authorized\".", name(p.usb.Port)))
}

func (j *judge) charging(p phone) {
	switch k := p.kind(); {
	case k == KindCharging || p.state() == trust.ChargingOnly:
		j.add(CheckCharging, Problem, Inferred, "The phone charges here, but offers no data.",
			"A phone that has been locked for an hour offers no data, nor does one whose owner did not allow this accessory; some docks and adapters let only power through.",
			"Unlock the phone, then pull the cable out and plug it in again. If it asks whether to allow the accessory, tap Allow. See Settings > Privacy & Security > Wired Accessories.")
	case k == KindMux || k == KindNoMux:
		j.add(CheckCharging, OK, Seen, "It offers data.", "", "")
	}
}

const overCurrentMeans = "Something drew more current than a port may give: a damaged cable, a socket with dirt in it, or a device that wants too much."

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// slow is full speed of USB, in bits per second. Any phone does 480 Mbit/s.
const slow = 12_000_000

func (j *judge) port(p phone) {
	if p.usb == nil {
		return
	}
	found := fmt.Sprintf("Port %s, %s", name(p.usb.Port), speedText(p.usb.Speed))
	hub := "directly at this computer."
	if p.usb.Hub != "" {
		hub = "behind the hub " + name(p.usb.Hub) + "."
	}
	found += ", " + hub
	cut := slices.IndexFunc(j.f.OverCurrent, func(f PortFault) bool { return f.Port == p.usb.Port })
	switch {
	case cut >= 0:
		j.add(CheckPort, Note, Seen, found+" It has cut the power "+times(j.f.OverCurrent[cut].Times)+" since this computer started.", overCurrentMeans,
			"Try another cable. If the port still cuts the power, use another port or a hub with its own power supply.")
	case p.usb.Speed != 0 && p.usb.Speed <= slow && p.usb.Kind != KindDFU:
		j.add(CheckPort, Note, Seen, found, "Any phone can do 480 Mbit/s: a damaged cable, socket or hub slows it down, and may lose the connection.",
			"Try another cable, then another port.")
	case p.usb.Kind == KindMux && (p.usb.Configuration == "" || p.usb.Configuration == "0") && !p.opened():
		j.add(CheckPort, Note, Inferred, found+" Nothing has configured the device.", "The hub may not have enough power for it, or the phone is just being set up.",
			"Use a port of the computer itself or a hub with its own power supply.")
	case p.usb.Hub != "":
		j.add(CheckPort, OK, Seen, found, "Hubs work, but are the first to blame if the connection comes and goes.", "")
	default:
		j.add(CheckPort, OK, Seen, found, "", "")
	}
}

func (j *judge) recovery(p phone) {
	switch k := p.kind(); {
	case k == KindRecovery || p.state() == trust.Recovery:
		j.add(CheckRecovery, Problem, Seen, "The phone is in recovery mode.",
			"It runs only its boot loader: it has no files to show and cannot be trusted or paired now.",
			"Restart it: hold the side button (older models: Home and the top button) until the Apple logo shows. If it comes back to the cable picture, its system must be updated or restored with Finder, iTunes or idevicerestore; update keeps the data, restore erases.")
	case k == KindDFU || p.state() == trust.DFU:
		j.add(CheckRecovery, Problem, Seen, "The phone is in DFU mode.",
			"Only its boot ROM runs; the screen stays black.",
			"Leave it: press volume up, press volume down, then hold the side button until the Apple logo shows (models with Home: hold Home and the top button). If that fails, it must be restored with Finder, iTunes or idevicerestore.")
	case p.state() == trust.RestoreMode:
		reason, next := words(p)
		j.add(CheckRecovery, Problem, Seen, reason, "A system is being installed on it; it talks only to the program that does this.", next)
	default:
		j.add(CheckRecovery, OK, Seen, "It runs its ordinary system.", "", "")
	}
}

func (j *judge) mux(p phone) {
	switch k := p.kind(); {
	case k == KindNoMux:
		j.add(CheckMux, Problem, Seen, "The phone is in a USB mode without usbmux.",
			"Another program, or a setting of a daemon, has switched it to a mode for network or screen capture only; or it is stuck.",
			"Pull the cable out and plug it in again: that brings the ordinary mode back. If not, unset USBMUXD_DEFAULT_DEVICE_MODE for the daemon and restart the phone.")
	case k != KindMux:
	case p.state() == trust.NoMux:
		reason, next := words(p)
		j.add(CheckMux, Problem, Seen, reason, "It has the usbmux interface, but nobody answers there.", next)
	default:
		j.add(CheckMux, OK, Seen, "It has the usbmux interface.", "", "")
	}
}

func (j *judge) node(p phone) {
	if p.usb == nil || p.usb.Kind != KindMux && p.usb.Kind != KindNoMux {
		return
	}
	n := p.usb.Node
	found := fmt.Sprintf("%s (%s).", path(n.Path), n.permissions("c"))
	switch d := j.f.Daemon; {
	case n.Error != "":
		j.add(CheckNode, Unknown, CannotTell, "The device node cannot be looked at: "+path(n.Error)+".", "", "Run this as root.")
	case !n.Exists:
		j.add(CheckNode, Problem, Seen, fmt.Sprintf("The kernel has the device, but there is no %s.", path(n.Path)),
			"A program has no way to it: /dev/bus/usb is not in this container, or the device has just gone.",
			"Give /dev/bus/usb to the container, or see that devtmpfs is mounted on /dev.")
	case d != nil && p.opened():
		j.add(CheckNode, OK, Seen, "The daemon has opened "+found, "", "")
	case d != nil && !n.opens(d.UID, j.f.Groups) && n.ACL:
		j.add(CheckNode, Unknown, CannotTell, fmt.Sprintf("By its mode, the daemon (user %d) may not open %s There is an access list, too, which may let it in.", d.UID, found),
			"", fmt.Sprintf("See \"getfacl %s\".", path(n.Path)))
	case d != nil && !n.opens(d.UID, j.f.Groups):
		j.add(CheckNode, Problem, Inferred, fmt.Sprintf("The daemon runs as user %d and may not open %s", d.UID, found),
			"Device nodes belong to root unless a udev rule gives them to the daemon's user.", j.ruleAdvice())
	case d != nil:
		j.add(CheckNode, OK, Inferred, "The daemon may open "+found, "", "")
	case n.UID == 0 && n.Mode&0o006 != 0o006 && len(j.f.Udev.Rules) == 0:
		j.add(CheckNode, Note, Inferred, "Only root and its group may open "+found, "That is enough for a daemon that runs as root, and too little for another user.", j.ruleAdvice())
	default:
		j.add(CheckNode, OK, Inferred, "The device node is there: "+found, "", "")
	}
}

func (j *judge) ruleAdvice() string {
	if len(j.f.Udev.Rules) == 0 {
		return "Install the udev rule that comes with usbmuxd (39-usbmuxd.rules), then \"udevadm control --reload\" and plug the phone in again."
	}
	return "See that the rule in " + list(j.f.Udev.Rules) + " names the daemon's user, then \"udevadm control --reload\" and plug the phone in again."
}

// opens reports whether a user may open a file for reading and writing, as far
// as its mode tells.
func (n Node) opens(uid int, groups []int) bool {
	const readWrite = 6
	shift := 0
	if uid == 0 {
		return true
	}
	if uid == n.UID {
		shift = 6
	} else {
		for _, g := range groups {
			if g == n.GID {
				shift = 3
			}
		}
	}
	return n.Mode>>shift&readWrite == readWrite
}

func (j *judge) udev() {
	u := j.f.Udev
	switch {
	case len(u.Rules) > 0 && u.Running:
		j.add(CheckUdev, OK, Seen, "udev runs and has a rule for phones: "+list(u.Rules)+".", "", "")
	case len(u.Rules) > 0:
		j.add(CheckUdev, Note, Seen, "There is a rule for phones ("+list(u.Rules)+"), but udev does not run here.",
			"Nobody applies the rule: device nodes keep the owner that the kernel gave them.", "Run the daemon as root, or start udev.")
	case u.Running:
		j.add(CheckUdev, Note, Seen, "There is no udev rule for phones.",
			"Plugging in a phone does not start the daemon, and only root may open it.",
			"Install the udev rule that comes with usbmuxd (39-usbmuxd.rules), then \"udevadm control --reload\".")
	case slices.ContainsFunc(j.all, phone.opened):
		j.add(CheckUdev, OK, Inferred, "udev does not run here, as in many containers; the daemon opens phones nevertheless.", "", "")
	default:
		j.add(CheckUdev, Note, Seen, "udev does not run here, and there is no rule for phones.",
			"As in many containers: device nodes keep the owner that the kernel gave them.", "Run the daemon as root.")
	}
}

func (j *judge) holder(p phone) {
	if p.usb == nil || p.usb.Kind != KindMux {
		return
	}
	h, d := p.usb.Holder, j.f.Daemon
	switch {
	case h != nil && d != nil && h.PID == d.PID:
		j.add(CheckHolder, OK, Seen, fmt.Sprintf("The daemon has it: %s.", *h), "", "")
	case h != nil && d == nil && j.isDaemon(h.PID):
		j.add(CheckHolder, OK, Seen, fmt.Sprintf("The running daemon has it: %s.", *h), "", "")
	case p.opened():
		j.add(CheckHolder, OK, Inferred, "The daemon has it: it talks to the phone.", "", "")
	case h != nil && (p.usb.MuxDriver == "usbfs" || d != nil):
		j.add(CheckHolder, Problem, Seen, fmt.Sprintf("%s has the phone open.", upper(h.String())),
			"Only one program at a time can use a phone's usbmux interface.",
			fmt.Sprintf("Stop it (\"kill %d\", or end its service), or take the phone out of the virtual machine that holds it.", h.PID))
	case p.usb.MuxDriver == "usbfs" && !p.usb.HoldersKnown:
		j.add(CheckHolder, Unknown, CannotTell, "A program has the interface, but which one is hidden from this user.",
			"It is most likely the daemon.", "Run this as root to see which.")
	default:
		j.add(CheckHolder, OK, Seen, "No other program has it.", "", "")
	}
}

// isDaemon reports whether a process is one of the daemons that were seen.
func (j *judge) isDaemon(pid int) bool {
	if p := j.f.Socket.Peer; p != nil && p.PID == pid {
		return true
	}
	for _, p := range j.f.Processes {
		if p.PID == pid {
			return true
		}
	}
	return false
}

// fastCharge is the driver of the kernel that lets phones draw more current. It uses
// no interface.
const fastCharge = "apple-mfi-fastcharge"

func (j *judge) driver(p phone) {
	if p.usb == nil || p.usb.Kind != KindMux && p.usb.Kind != KindNoMux {
		return
	}
	dev, mux := name(p.usb.Driver), name(p.usb.MuxDriver)
	switch {
	case dev != "" && dev != "usb" && dev != fastCharge:
		j.add(CheckDriver, Problem, Seen, fmt.Sprintf("The kernel driver %s holds the whole phone.", dev),
			"The phone is given to another computer or to a virtual machine.",
			fmt.Sprintf("Give it back (for usbip: \"usbip unbind -b %s\"), then plug it in again.", name(p.usb.Port)))
	case mux != "" && mux != "usbfs":
		j.add(CheckDriver, Problem, Seen, fmt.Sprintf("The kernel driver %s holds the usbmux interface.", mux),
			"A driver has taken an interface that is not for it.",
			fmt.Sprintf("Detach it: \"echo %s > /sys/bus/usb/drivers/%s/unbind\" (as root), and keep it from loading.", name(p.usb.MuxInterface), mux))
	default:
		j.add(CheckDriver, OK, Seen, "No kernel driver is in the way.", "", "")
	}
}

func (j *judge) suspend(p phone) {
	if p.usb == nil || p.usb.PowerControl == "" {
		return
	}
	found := fmt.Sprintf("power/control is %q, the device is %s.", name(p.usb.PowerControl), name(strings.ToLower(p.usb.RuntimeStatus)))
	do := fmt.Sprintf("Turn it off: \"echo on > /sys/bus/usb/devices/%s/power/control\" (as root), and look for what turned it on (TLP, powertop, laptop-mode).", name(p.usb.Port))
	asleep := p.usb.PowerControl == "auto" && strings.HasPrefix(p.usb.RuntimeStatus, "suspend")
	s := p.state()
	switch {
	case p.usb.RuntimeStatus == "error":
		j.add(CheckSuspend, Problem, Seen, found, "The kernel could not wake the port up.", "Pull the cable out and plug it in again. "+do)
	case asleep && (s == trust.NoMux || s == trust.Connecting || s == trust.NotAnswering):
		j.add(CheckSuspend, Problem, Inferred, found, "The kernel has put the port to sleep, and the phone does not answer.", do)
	case asleep && j.f.Daemon != nil:
		j.add(CheckSuspend, Note, Seen, found, "The kernel has put the port to sleep. Phones may miss being woken up.", do)
	case p.usb.PowerControl == "on":
		j.add(CheckSuspend, OK, Seen, "Autosuspend is off for it.", "", "")
	default:
		j.add(CheckSuspend, OK, Seen, found, "", "")
	}
}

// upper makes the first letter of a sentence large, if it is not a file's or
// program's name.
func upper(s string) string {
	if rest, ok := strings.CutPrefix(s, "a "); ok {
		return "A " + rest
	}
	return s
}
