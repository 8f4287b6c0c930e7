package main

import (
	"context"
	"os"

	"go.uber.org/zap"

	"gomuxd/hotplug"
	"gomuxd/socket"
	"gomuxd/usb"
)

// modeVariable names the environment variable that holds the USB mode phones
// are switched to: 1 to 5, anything else leaves them as they are.
const modeVariable = "USBMUXD_DEFAULT_DEVICE_MODE"

// watchUSB makes the phones on this machine's buses the daemon's devices.
func (d *muxd) watchUSB() {
	log := d.log.Named("usb")
	d.source = hotplug.New(hotplug.Config{Log: d.log.Named("hotplug")}).Run
	mode := usb.ParseMode(os.Getenv(modeVariable))
	memory := new(usb.Budget)
	d.open = func(ctx context.Context, dev hotplug.Device) (unit, error) {
		phone, err := usb.Open(ctx, usb.Address{
			Bus: dev.Bus, Address: dev.Address, Node: dev.Node, SysPath: dev.Path, Port: dev.Port,
		}, usb.Config{
			Log:    log.With(zap.String("port_path", dev.Port)),
			Mode:   mode,
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
