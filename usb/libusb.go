package usb

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/gousb"
	"go.uber.org/zap"
)

const (
	// requestTimeout bounds each request to endpoint 0. libusb's own for strings
	// is the same, the kernel's for a configuration 5 s.
	requestTimeout = time.Second

	// configureTries is how often a configuration is asked for.
	configureTries = 2

	// listTries is how often libusb is asked, listPause apart, for a device that
	// sysfs shows. Each try starts it anew, which has it scan sysfs again.
	listTries = 3
	listPause = 50 * time.Millisecond
)

// libusbPhone is a phone opened by gousb.
type libusbPhone struct {
	dev *gousb.Device
	at  Address
	sys sysDevice
	log *zap.Logger
}

// withLibusb brings a phone up by libusb, of which nothing is left running a moment
// later: its thread and gousb's ten wake-ups a second end with the context.
// Where libusb does not start or does not see the phone, usbfs must do.
func withLibusb(at Address, cfg Config, sys sysDevice, known *switches) (prepared, error) {
	for try := 1; ; try++ {
		p, err := guarded(func() (prepared, error) { return onceWithLibusb(at, cfg, sys, known) })
		switch {
		case errors.Is(err, ErrNotListed) && try < listTries:
			time.Sleep(listPause)
		case errors.Is(err, ErrNotListed), errors.Is(err, ErrNoUSB), errors.Is(err, errPanic):
			return withoutLibusb(at, cfg, sys, known, err)
		default:
			return p, err
		}
	}
}

func onceWithLibusb(at Address, cfg Config, sys sysDevice, known *switches) (p prepared, err error) {
	ctx, err := newContext()
	if err != nil {
		return p, err
	}
	// The end waits for one of gousb's wake-ups. The phone, and the next one, need not:
	// contexts have nothing to do with each other.
	defer func() {
		go func() { // 100 ms
			if cerr := ctx.Close(); cerr != nil {
				cfg.Log.Warn("libusb goes on running", zap.Error(cerr))
			}
		}()
	}()

	listed := false
	// The error may be about another device, so it counts only without a result.
	devs, err := ctx.OpenDevices(func(d *gousb.DeviceDesc) bool {
		is := d.Bus == at.Bus && d.Address == at.Address
		listed = listed || is
		return is
	})
	for _, d := range devs {
		defer d.Close()
	}
	if len(devs) == 0 {
		return p, notOpened(at, sys, listed, err)
	}
	dev := devs[0]
	dev.ControlTimeout = requestTimeout
	return bringUp(&libusbPhone{dev: dev, at: at, sys: sys, log: cfg.Log}, at, cfg, known)
}

// newContext starts libusb. gousb panics if it does not start.
func newContext() (ctx *gousb.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrNoUSB, r)
		}
	}()
	return gousb.NewContext(), nil
}

// notOpened explains why OpenDevices came back without the phone.
func notOpened(at Address, sys sysDevice, listed bool, err error) error {
	if !sys.present() {
		return ErrGone
	}
	if !listed {
		return errors.Join(fmt.Errorf("%w at bus %d address %d", ErrNotListed, at.Bus, at.Address), err)
	}
	// libusb has a code for it, the kernel a reason.
	if n, oerr := openNode(at.Node); oerr != nil {
		return openError(at, oerr)
	} else {
		n.close()
	}
	return fmt.Errorf("open %s: %w", at.Node, err)
}

// identity implements phone.
func (ph *libusbPhone) identity() (vendor, product uint16) {
	return uint16(ph.dev.Desc.Vendor), uint16(ph.dev.Desc.Product)
}

// configurations implements phone.
func (ph *libusbPhone) configurations() []configuration { return convert(ph.dev.Desc) }

// convert takes over what gousb has parsed. Interfaces keep their order,
// endpoints do not, since gousb has them in a map; it does not matter.
func convert(desc *gousb.DeviceDesc) []configuration {
	var all []configuration
	for _, c := range desc.Configs {
		conf := configuration{value: c.Number}
		for _, i := range c.Interfaces {
			for _, s := range i.AltSettings {
				a := alternate{
					number: s.Number, setting: s.Alternate,
					class: uint8(s.Class), subclass: uint8(s.SubClass), protocol: uint8(s.Protocol),
				}
				for _, e := range s.Endpoints {
					a.endpoints = append(a.endpoints, endpoint{
						address: uint8(e.Address), bulk: e.TransferType == gousb.TransferTypeBulk, maxPacket: e.MaxPacketSize,
					})
				}
				conf.interfaces = append(conf.interfaces, a)
			}
		}
		all = append(all, conf)
	}
	return all
}

// active implements phone.
func (ph *libusbPhone) active() (int, error) { return ph.dev.ActiveConfigNum() }

// configure implements phone. gousb's own detaching is of no use: it goes by the
// interfaces of the wanted configuration, where those of the active one are in
// the way, and it fails on a phone that has none, as udev leaves it.
func (ph *libusbPhone) configure(value int) error {
	for try := 1; ; try++ {
		if err := ph.freeActive(); err != nil {
			return err
		}
		conf, err := ph.dev.Config(value)
		if err == nil {
			return conf.Close() // keeps it selected
		}
		// The kernel may have configured it, and bound drivers, just now.
		if try == configureTries {
			return err
		}
	}
}

func (ph *libusbPhone) freeActive() error {
	active, err := ph.active()
	if err != nil || active == 0 {
		return err
	}
	n, err := openNode(ph.at.Node)
	if err != nil {
		return openError(ph.at, err)
	}
	defer n.close()
	return freeActive(n, ph.at, ph.log, ph.configurations(), active)
}

// vendorIn implements phone.
func (ph *libusbPhone) vendorIn(request uint8, index uint16, data []byte) (int, error) {
	return ph.dev.Control(gousb.ControlIn|gousb.ControlVendor|gousb.ControlDevice, request, 0, index, data)
}

// serial implements phone. The kernel has read the string when the phone came:
// its copy serves where the phone does not answer now.
func (ph *libusbPhone) serial() (string, error) {
	s, err := ph.dev.SerialNumber()
	if err == nil && cleanSerial(s) != "" {
		return s, nil
	}
	if known := ph.sys.read("serial"); known != "" {
		return known, nil
	}
	return s, err
}
