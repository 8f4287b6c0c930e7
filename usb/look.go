package usb

import "slices"

// lack is what a phone lacks before its interface can be claimed.
type lack uint8

const (
	lacksNothing       lack = iota // as when a daemon starts anew
	lacksConfiguration             // the best one: it is for the kernel to set
	lacksMore                      // mode or serial number, for which it must be asked, or sysfs does not tell
)

// look finds what a bring-up would, and what the phone lacks, in sysfs alone: without
// libusb, which looks at all devices for each one.
func look(sys sysDevice, want Mode) (prepared, lack) {
	device, err := sys.descriptors()
	if err != nil || !sys.present() {
		return prepared{}, lacksMore
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
	switch {
	case best.value == 0, want.wants(p.mode), p.serial == "",
		!sys.present(): // another may have come to its place meanwhile
		return p, lacksMore
	case active != best.value:
		return p, lacksConfiguration
	}
	return p, lacksNothing
}
