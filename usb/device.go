package usb

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// sysRoot is where sysfs is mounted.
const sysRoot = "/sys"

// What all bring-ups of the process share: turns, and the memory of switched
// modes, which must outlive the devices it is about.
var (
	bringUps   = newTurns()
	switchings switches
)

// Device is one plugged phone with its usbmux interface claimed.
type Device struct {
	info Info
	sys  sysDevice
	pipe *Pipe
}

// Open brings a phone up and claims its usbmux interface. It sends the phone a
// mode if the policy asks for one, selects the configuration if it is not the
// active one, and leaves the kernel's drivers of other interfaces alone
// otherwise. A phone that needs neither is asked nothing, and one that needs the
// configuration only by the kernel. It fails with this
// package's errors, or with ctx's; a phone that does not answer takes
// Config.Timeout at most. The caller must Close the Device.
func Open(ctx context.Context, at Address, cfg Config) (*Device, error) {
	cfg = cfg.withDefaults()
	sys := newSysDevice(sysRoot, at)
	found, lacks := look(sys, cfg.Mode)
	if lacks != lacksNothing || bringUps.isHung(at.Node) {
		by := withLibusb
		if lacks == lacksConfiguration {
			by = withUsbfs
		}
		var err error
		if found, err = bringUps.do(ctx, at.Node, cfg.Timeout, func() (prepared, error) {
			return by(at, cfg, sys, &switchings)
		}); err != nil {
			return nil, err
		}
	}
	n, err := openNode(at.Node)
	if err != nil {
		return nil, openError(at, err)
	}
	n.noMmap = cfg.NoMmap
	d, err := claim(n, at, sys, found)
	if err != nil {
		n.close()
		return nil, err
	}

	plan := cfg.Memory.take()
	d.pipe, err = newPipe(n, found.endpoints, plan, pipeConfig{
		log:      cfg.Log,
		lost:     d.lost,
		released: func() { cfg.Memory.put(plan) },
	})
	if err != nil {
		return nil, err
	}
	i := d.info
	cfg.Log.Debug("claimed", zap.Stringer("mode", i.Mode), zap.Int("configuration", i.Configuration), zap.Int("interface", i.Interface),
		zap.Uint8("in", i.In), zap.Uint8("out", i.Out), zap.Int("in_max", i.InMax), zap.Int("out_max", i.OutMax), zap.Uint64("speed", i.Speed))
	return d, nil
}

// claim takes the interface and makes sure that it is still the right one: udev
// and the kernel's charging driver configure a phone that has just come, too.
func claim(n *node, at Address, sys sysDevice, found prepared) (*Device, error) {
	switch errno := n.claim(found.iface); errno {
	case 0:
	case unix.EBUSY:
		return nil, busy(n, at, found.iface)
	case unix.ENODEV, unix.ESHUTDOWN:
		return nil, fmt.Errorf("%w (claim: %s)", ErrGone, unix.ErrnoName(errno))
	default: // EINVAL, ENOENT, ESRCH: there is no such interface now
		return nil, fmt.Errorf("%w: changed while the phone was brought up (claim: %s)", ErrConfiguration, unix.ErrnoName(errno))
	}
	d := &Device{
		sys: sys,
		info: Info{
			UDID:          udidOf(found.serial),
			Serial:        found.serial,
			VendorID:      found.vendor,
			ProductID:     found.product,
			Speed:         sys.speed(),
			LocationID:    uint32(at.Bus)<<16 | uint32(at.Address)&0xffff,
			Configuration: found.value,
			Interface:     found.iface,
			In:            found.in,
			Out:           found.out,
			InMax:         found.inMax,
			OutMax:        found.outMax,
			Mode:          found.mode,
		},
	}
	if err := d.changed(); err != nil {
		return nil, err
	}
	return d, nil
}

// Info is what is known of the phone.
func (d *Device) Info() Info { return d.info }

// Pipe is the phone's pair of bulk endpoints. It lives as long as the Device and
// may be closed in its stead.
func (d *Device) Pipe() *Pipe { return d.pipe }

// Close releases the phone; see Pipe.Close. Configuration and mode stay.
func (d *Device) Close() error { return d.pipe.Close() }

// changed reports a configuration that is not the one the pipe needs.
func (d *Device) changed() error {
	now, ok := d.sys.configuration()
	if ok && now != d.info.Configuration {
		return fmt.Errorf("%w: another program or driver has set %d instead of %d", ErrConfiguration, now, d.info.Configuration)
	}
	return nil
}

// lost finds out why the kernel took transfers back or refused them.
func (d *Device) lost(unix.Errno) error {
	if !d.sys.present() {
		return ErrGone
	}
	err := d.changed()
	// The answer may have come from a device that is being taken down.
	switch {
	case !d.sys.present():
		return ErrGone
	case err != nil && errors.Is(err, ErrConfiguration):
		return err
	}
	return ErrClaimLost
}
