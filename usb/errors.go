package usb

import (
	"errors"
	"fmt"
)

// What Open fails with. Each comes wrapped with the particulars; all but
// ErrNoMux may go away by themselves, so trying again later makes sense.
var (
	// ErrGone means that the phone has left the bus, or that another one is at
	// its address. A pipe ends with it after an unplug.
	ErrGone = errors.New("device gone")

	// ErrPermission means that this process may not open the device node.
	ErrPermission = errors.New("no permission for the device node")

	// ErrBusy means that a kernel driver or another program holds what is
	// needed. It comes wrapped in a *BusyError.
	ErrBusy = errors.New("interface in use")

	// ErrNoMux means that no configuration has the usbmux interface.
	ErrNoMux = errors.New("no usbmux interface")

	// ErrConfiguration means that the wanted configuration could not be
	// selected, or has been changed by someone else. A pipe ends with it, too.
	ErrConfiguration = errors.New("configuration not as needed")

	// ErrNoSerial means that the phone tells no serial number, so it has no UDID.
	ErrNoSerial = errors.New("no serial number")

	// ErrModeSwitched means that the phone has accepted another USB mode and
	// will now leave the bus and come back by itself.
	ErrModeSwitched = errors.New("switched to another USB mode, the device comes back by itself")

	// ErrNoUSB means that libusb cannot start here: no netlink, say.
	ErrNoUSB = errors.New("libusb does not start")

	// ErrNotListed means that sysfs shows the device and libusb does not.
	ErrNotListed = errors.New("libusb does not list the device")

	// ErrReset means that the kernel could not reset the device.
	ErrReset = errors.New("device cannot be reset")

	// ErrHung means that the bring-up did not end in time: the phone, or the
	// kernel on its behalf, does not answer.
	ErrHung = errors.New("bring-up hangs")
)

// What a pipe ends with beside ErrGone and ErrConfiguration.
var (
	// ErrClaimLost means that the kernel took the interface away from us
	// although the phone is there and configured: a reset, or a configuration
	// that was set again. Opening it anew helps.
	ErrClaimLost = errors.New("interface taken away")

	// ErrStalled means that an endpoint halts again and again, or in the middle
	// of a transfer to the phone.
	ErrStalled = errors.New("endpoint stalled")

	// ErrTransfer means that transfers fail on the bus: a bad cable or hub, or
	// an unplug that the kernel has not noticed yet.
	ErrTransfer = errors.New("transfer failed")

	// ErrOverflow means that the phone sent more than a packet holds. The bytes
	// are lost, so the stream ends.
	ErrOverflow = errors.New("packet too long")

	// ErrMemory means that usbfs has no memory left even for one small transfer.
	ErrMemory = errors.New("usbfs has no memory left for transfers: raise /sys/module/usbcore/parameters/usbfs_memory_mb")

	// ErrStuck is what Close returns when the kernel does not give the
	// transfers back in time. The rest of the work goes on in the background.
	ErrStuck = errors.New("transfers stuck in the kernel")
)

// BusyError says who holds an interface.
type BusyError struct {
	Interface int
	Driver    string // kernel driver; "usbfs" is another program, "" is not known
	PID       int    // of that program, 0 if not known or not to be seen
	Program   string // its name
}

// Error implements error.
func (e *BusyError) Error() string {
	switch {
	case e.PID != 0:
		return fmt.Sprintf("%v: interface %d is held by %s (pid %d)", ErrBusy, e.Interface, e.Program, e.PID)
	case e.Driver == usbfsDriver:
		return fmt.Sprintf("%v: interface %d is held by another program", ErrBusy, e.Interface)
	case e.Driver != "":
		return fmt.Sprintf("%v: interface %d is held by the kernel driver %s", ErrBusy, e.Interface, e.Driver)
	}
	return fmt.Sprintf("%v: interface %d", ErrBusy, e.Interface)
}

// Unwrap makes errors.Is(err, ErrBusy) true.
func (e *BusyError) Unwrap() error { return ErrBusy }
