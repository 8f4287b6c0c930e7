package usb

import (
	"os"
	"path/filepath"
	"slices"
)

// ready finds what a bring-up would in sysfs alone. It reports false unless the phone
// needs nothing to be asked of it: it has its best configuration and the mode it is
// to have, and the kernel has read its serial number. So it is when a daemon starts
// anew, for any number of phones at a time: without libusb, which looks at all devices
// for each one, and without a turn.
func ready(sys sysDevice, want Mode) (prepared, bool) {
	if sys.dir == "" || !sys.present() {
		return prepared{}, false
	}
	raw, err := os.ReadFile(filepath.Join(sys.dir, "descriptors"))
	if err != nil {
		return prepared{}, false
	}
	device, err := parseDescriptors(raw)
	if err != nil {
		return prepared{}, false
	}
	all := device.configurations
	best := slices.Concat(choices(all), []choice{{}})[0]
	active, _ := sys.configuration()
	p := prepared{
		choice:  best,
		vendor:  device.vendor,
		product: device.product,
		mode:    guessMode(all),
		serial:  cleanSerial(sys.read("serial")),
	}
	// Still the same device: another may have come to its place meanwhile.
	return p, active != 0 && active == best.value && !want.wants(p.mode) && p.serial != "" && sys.present()
}
