package usb

import (
	"errors"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// plainPhone is a phone opened without libusb: one that lacks nothing but its
// configuration, or any in places where libusb does not start (netlink forbidden) or
// does not see the phone (some containers). It takes what the kernel knows from sysfs.
type plainPhone struct {
	n      *node
	at     Address
	sys    sysDevice
	log    *zap.Logger
	device descriptors
}

// withoutLibusb is withUsbfs where libusb has failed. Why it has is logged, and the
// error if sysfs does not tell enough.
func withoutLibusb(at Address, cfg Config, sys sysDevice, known *switches, why error) (prepared, error) {
	p, err := withUsbfs(at, cfg, sys, known)
	if errors.Is(err, errNoSysfs) {
		return p, errors.Join(why, err)
	}
	cfg.Log.Info("bringing a phone up without libusb", zap.Error(why))
	return p, err
}

// withUsbfs brings a phone up by usbfs and sysfs.
func withUsbfs(at Address, cfg Config, sys sysDevice, known *switches) (prepared, error) {
	device, err := sys.descriptors()
	if err != nil {
		return prepared{}, err
	}
	n, err := openNode(at.Node)
	if err != nil {
		return prepared{}, openError(at, err)
	}
	defer n.close()
	return bringUp(&plainPhone{n: n, at: at, sys: sys, log: cfg.Log, device: device}, at, cfg, known)
}

// identity implements phone.
func (ph *plainPhone) identity() (vendor, product uint16) {
	return ph.device.vendor, ph.device.product
}

// configurations implements phone.
func (ph *plainPhone) configurations() []configuration { return ph.device.configurations }

// active implements phone.
func (ph *plainPhone) active() (int, error) {
	value, ok := ph.sys.configuration()
	if !ok {
		return 0, ErrGone
	}
	return value, nil
}

// configure implements phone.
func (ph *plainPhone) configure(value int) error {
	for try := 1; ; try++ {
		active, err := ph.active()
		if err != nil {
			return err
		}
		if err := freeActive(ph.n, ph.at, ph.log, ph.configurations(), active); err != nil {
			return err
		}
		errno := ph.n.setConfiguration(value)
		if errno == 0 {
			return nil
		}
		if try == configureTries {
			return errno
		}
	}
}

// vendorIn implements phone.
func (ph *plainPhone) vendorIn(request uint8, index uint16, data []byte) (int, error) {
	const vendorDeviceIn = 0xc0
	n, errno := ph.n.controlIn(vendorDeviceIn, request, 0, index, data)
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

// serial implements phone.
func (ph *plainPhone) serial() (string, error) { return ph.sys.read("serial"), nil }

// freeActive takes the kernel's drivers off the interfaces of the active
// configuration, since the kernel sets no other while one is in use. It fails
// with a *BusyError when another program has one.
func freeActive(n *node, at Address, log *zap.Logger, all []configuration, active int) error {
	for _, c := range all {
		if c.value != active {
			continue
		}
		for i := range c.interfaces {
			a := &c.interfaces[i]
			if a.setting != 0 {
				continue
			}
			switch driver := n.driver(a.number); driver {
			case "":
			case usbfsDriver:
				return busy(n, at, a.number)
			default:
				errno := n.detach(a.number)
				log.Debug("took a kernel driver off", zap.String("driver", driver), zap.Int("interface", a.number), zap.String("errno", unix.ErrnoName(errno)))
			}
		}
	}
	return nil
}
