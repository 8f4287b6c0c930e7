package usb

import (
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// Mode is what a phone shows of itself on the bus. The number is that of its
// SET_MODE request.
type Mode int

const (
	// Keep is the policy not to ask for any mode.
	Keep Mode = 0
	// ModeInitial has four configurations; the last has PTP, usbmux and
	// Ethernet over the phone. Tethering works in it.
	ModeInitial Mode = 1
	// ModeValeria adds screen capture.
	ModeValeria Mode = 2
	// ModeNCM adds an Ethernet from the computer to the phone.
	ModeNCM Mode = 3
	// ModeEthernetNCM has both Ethernets, iOS 16 and later.
	ModeEthernetNCM Mode = 4
	// ModeDirect has Ethernet and no usbmux, iOS 17 and later.
	ModeDirect Mode = 5
)

// ParseMode reads a policy as USBMUXD_DEFAULT_DEVICE_MODE has it: a number from
// 1 to 5, or "keep"; any other number or text, as in the reference, is Keep.
// Nothing at all is the default, ModeInitial.
func ParseMode(s string) Mode {
	if s == "" {
		return ModeInitial
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 5 {
		return Keep
	}
	return Mode(n)
}

// MaySwitch lets the phone at a port ("1-2") be asked for another mode again at its
// next Open, however lately it was: somebody wants it so.
func MaySwitch(port string) { switchings.forget(port) }

// String names the mode, for logs.
func (m Mode) String() string {
	switch m {
	case Keep:
		return "keep"
	case ModeInitial:
		return "initial"
	case ModeValeria:
		return "valeria"
	case ModeNCM:
		return "ncm"
	case ModeEthernetNCM:
		return "ethernet+ncm"
	case ModeDirect:
		return "direct"
	}
	return fmt.Sprintf("mode(%d)", int(m))
}

// Config is how phones are opened. The zero value leaves their mode alone.
type Config struct {
	// Log gets what happens, with the phone's fields already bound. Nil is no log.
	Log *zap.Logger

	// Mode is the mode the phone is asked for if it shows another one.
	Mode Mode

	// Memory is shared by all phones of the process. Nil: this phone plans as if
	// it were alone.
	Memory *Budget

	// NoMmap has the kernel copy what is transferred instead of mapping its
	// memory, which on some ARM boards is uncached and slower than the copy.
	NoMmap bool

	// Timeout bounds Open, beside its context. Default 15 s: a phone that
	// answers nothing needs 1 s for each request and 5 s for its configuration.
	Timeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Memory == nil {
		c.Memory = new(Budget)
	}
	if c.Timeout <= 0 {
		c.Timeout = 15 * time.Second
	}
	return c
}

// Address says where a phone is: what hotplug knows of it.
type Address struct {
	Bus     int    // from 1
	Address int    // 1 to 127
	Node    string // "/dev/bus/usb/001/005"
	SysPath string // below /sys: "/devices/pci0000:00/.../usb1/1-2"
	Port    string // "1-2"
}

// Info is what is known of an opened phone.
type Info struct {
	UDID   string // as clients spell it
	Serial string // as the phone spells it: without hyphen

	VendorID   uint16
	ProductID  uint16
	Speed      uint64 // negotiated, in bits per second
	LocationID uint32 // bus << 16 | address

	Configuration int  // bConfigurationValue
	Interface     int  // bInterfaceNumber
	In, Out       byte // endpoint addresses
	InMax, OutMax int  // wMaxPacketSize, bytes
	Mode          Mode // as far as the descriptors show it; Keep: unknown
}
