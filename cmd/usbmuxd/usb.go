package main

import (
	"context"

	"go.uber.org/zap"

	"gomuxd/hotplug"
	"gomuxd/socket"
	"gomuxd/usb"
)

// watchUSB makes the phones on this machine's buses the daemon's devices.
func (d *muxd) watchUSB() {
	log := d.log.Named("usb")
	s := d.settings.Load()
	allow, deny := s.rules()
	d.monitor = hotplug.New(hotplug.Config{Log: d.log.Named("hotplug"), Allow: allow, Deny: deny, Manual: !s.USB.Hotplug})
	d.source = d.monitor.Run
	memory := new(usb.Budget)
	address := func(dev hotplug.Device) usb.Address {
		return usb.Address{Bus: dev.Bus, Address: dev.Address, Node: dev.Node, SysPath: dev.Path, Port: dev.Port}
	}
	d.reset = func(ctx context.Context, dev hotplug.Device) error { return usb.Reset(ctx, address(dev)) }
	d.maySwitch = usb.MaySwitch
	d.open = func(ctx context.Context, dev hotplug.Device) (unit, error) {
		phone, err := usb.Open(ctx, address(dev), usb.Config{
			Log:    log.With(zap.String("port_path", dev.Port)),
			Mode:   d.mode(dev.Serial),
			Memory: memory,
		})
		if err != nil {
			return unit{}, err
		}
		info := phone.Info()
		return unit{
			pipe: phone.Pipe(), // closed by its session, and the phone with it
			info: socket.Info{
				UDID:       info.UDID,
				Serial:     info.Serial,
				ProductID:  info.ProductID,
				LocationID: info.LocationID,
				Speed:      info.Speed,
			},
		}, nil
	}
}
