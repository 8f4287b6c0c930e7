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
	d.open = func(ctx context.Context, dev hotplug.Device) (unit, error) {
		phone, err := usb.Open(ctx, usb.Address{
			Bus: dev.Bus, Address: dev.Address, Node: dev.Node, SysPath: dev.Path, Port: dev.Port,
		}, usb.Config{
			Log:    log.With(zap.String("port_path", dev.Port)),
			Mode:   d.settings.Load().mode(dev.Serial),
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
