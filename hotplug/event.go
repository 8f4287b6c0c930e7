package hotplug

import "fmt"

// Action says what an Event reports.
type Action uint8

const (
	// Add: the device is there and, where udevd runs, its node has its final
	// owner and mode.
	Add Action = iota + 1
	// Remove: the device of an earlier Add is gone, or is about to be added
	// again with another Kind.
	Remove
	// Scanned: everything that was plugged in when Run began has been added.
	// Its Device is zero. It is sent once per Run.
	Scanned
)

// String names the action in lower case, for logs.
func (a Action) String() string {
	switch a {
	case Add:
		return "add"
	case Remove:
		return "remove"
	case Scanned:
		return "scanned"
	}
	return fmt.Sprintf("action(%d)", uint8(a))
}

// Kind says what may be done with a device.
type Kind uint8

const (
	// Ignored devices are not reported: keyboards, chargers, other vendors,
	// and whatever the lists of Config exclude.
	Ignored Kind = iota
	// Mux devices may be driven: they speak the usbmux protocol.
	Mux
	// Recovery is a phone in its boot loader (iBoot). Reported, not touched.
	Recovery
	// DFU is a phone in its boot ROM or the stage after it. Reported, not touched.
	DFU
	// NoMux is a phone, or a device that the allow list names, none of whose
	// configurations holds a usbmux interface. It may become Mux.
	NoMux
)

// String names the kind in lower case, for logs.
func (k Kind) String() string {
	switch k {
	case Ignored:
		return "ignored"
	case Mux:
		return "mux"
	case Recovery:
		return "recovery"
	case DFU:
		return "dfu"
	case NoMux:
		return "no-mux"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Device is what sysfs says of one plugged device, read at one moment. Path
// with Bus and Address names one plugged period: a replug at the same port has
// the same Path and, but for a wrap after 127 devices, another Address.
type Device struct {
	Path      string // DEVPATH: the directory below the sysfs root, "/devices/pci0000:00/.../usb1/1-2"
	Port      string // kernel name, bus and port path: "1-2.3"
	Bus       int    // busnum, from 1
	Address   int    // devnum, 1 to 127
	Vendor    uint16 // idVendor
	Product   uint16 // idProduct
	BcdDevice uint16 // release number of the device, 0x1402 = 14.02
	Serial    string // as sysfs shows it, without hyphen; "" when it has none or it is not readable yet
	Node      string // "/dev/bus/usb/001/005"
	Speed     uint64 // negotiated, in bits per second; 0 if unknown
	Kind      Kind
}

// Event is one step of the world as Monitor.Run reports it. For every path the
// events alternate: Add, Remove, Add, ... A Remove carries the Device of its Add.
type Event struct {
	Action Action
	Device Device
}
