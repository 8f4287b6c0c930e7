//go:build virtualphone

package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"gomuxd/hotplug"
	"gomuxd/socket"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/bus"
)

// phoneOptions puts virtual iPhones into this process, or finds them in another,
// for the demo and tests.
type phoneOptions struct {
	bus      string
	count    int
	control  string
	passcode string
	ios      string
}

const maxPhones = 256

func (o *phoneOptions) addFlags(fs *pflag.FlagSet) {
	fs.IntVar(&o.count, "virtual-phone", 0, "plug in `N` virtual iPhones instead of watching USB")
	fs.Lookup("virtual-phone").NoOptDefVal = "1"
	fs.StringVar(&o.control, "virtual-phone-control", "", "serve the socket `PATH`, through which the command virtualphone drives them")
	fs.StringVar(&o.passcode, "virtual-phone-passcode", "", "their passcode is `CODE`; none if empty")
	fs.StringVar(&o.ios, "virtual-phone-ios", "", "the iOS `VERSION` they run")
	fs.StringVar(&o.bus, "virtual-phone-bus", "", "take the phones at the socket `PATH` of virtualphone serve instead of all that")
}

func (o *phoneOptions) validate() error {
	if o.count < 0 || o.count > maxPhones {
		return fmt.Errorf("--virtual-phone wants 0 to %d phones, got %d", maxPhones, o.count)
	}
	return nil
}

// plug makes virtual phones the daemon's devices.
func (o *phoneOptions) plug(d *muxd) error {
	if o.bus != "" {
		r := &remoteBus{path: o.bus, plugged: make(map[string]bus.Event)}
		d.source, d.open, d.reset, d.maySwitch = r.run, r.open, r.reset, nil
		return nil
	}
	if o.count == 0 {
		return nil
	}
	phones := &virtualBus{log: d.log, changed: make(chan struct{}, 1)}
	for i := range o.count {
		cfg := virtualphone.Config{
			UDID:           fmt.Sprintf("00008110-%016X", 0x000A1111_2222_0000+i),
			Name:           "Virtual iPhone",
			Passcode:       o.passcode,
			ProductVersion: o.ios,
			Log:            d.log.Named("phone"),
		}
		if i > 0 {
			cfg.Name += " " + strconv.Itoa(i+1)
		}
		phone, err := virtualphone.New(cfg)
		if err != nil {
			return err
		}
		phones.add(phone)
	}
	d.source, d.open, d.reset, d.maySwitch = phones.run, phones.open, phones.reset, nil
	if o.control != "" {
		l, err := socket.Listen(o.control, 0o600)
		if err != nil {
			return err
		}
		d.tasks = append(d.tasks, func(ctx context.Context) error {
			return virtualphone.ServeControl(ctx, l, func() []*virtualphone.Phone { return phones.phones })
		})
	}
	return nil
}

// virtualBus turns the plugs of virtual phones into events, as hotplug does for
// real ones.
type virtualBus struct {
	log     *zap.Logger
	phones  []*virtualphone.Phone
	changed chan struct{} // capacity 1: queue has grown

	mu     sync.Mutex // guards queue and cables
	queue  []hotplug.Event
	cables map[string]*virtualphone.Cable // by path
}

// virtualDevice is a phone in a port, as sysfs would show it.
func virtualDevice(port int, serial string) hotplug.Device {
	return hotplug.Device{
		Path:    "/sys/devices/virtual/phone/1-" + strconv.Itoa(port),
		Port:    "1-" + strconv.Itoa(port),
		Bus:     1,
		Vendor:  0x05ac,
		Product: 0x12a8,
		Serial:  serial,
		Speed:   480_000_000,
		Kind:    hotplug.Mux,
	}
}

func (b *virtualBus) add(phone *virtualphone.Phone) {
	n := len(b.phones) + 1
	dev := virtualDevice(n, phone.Serial())
	b.phones = append(b.phones, phone)
	plugs := 0
	phone.Notify(func(c *virtualphone.Cable) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.cables == nil {
			b.cables = make(map[string]*virtualphone.Cable)
		}
		action := hotplug.Remove
		if c != nil {
			action = hotplug.Add
			plugs++
			dev.Address = n + (plugs-1)*len(b.phones)
			b.cables[dev.Path] = c
		} else {
			delete(b.cables, dev.Path)
		}
		b.queue = append(b.queue, hotplug.Event{Action: action, Device: dev})
		select {
		case b.changed <- struct{}{}:
		default:
		}
	})
}

// run plugs all phones in and reports their coming and going until ctx ends,
// when it takes them away.
func (b *virtualBus) run(ctx context.Context, events chan<- hotplug.Event) error {
	defer func() {
		for _, p := range b.phones {
			p.Close()
			if v := p.Violations(); v.Total() > 0 {
				b.log.Error("the virtual phone counted protocol violations",
					zap.String("udid", p.UDID()), zap.Stringer("violations", v), zap.Strings("notes", p.ViolationNotes()))
			}
		}
	}()
	for _, p := range b.phones {
		if _, err := p.Plug(); err != nil {
			return err
		}
	}
	cold := true
	for {
		b.mu.Lock()
		queue := b.queue
		b.queue = nil
		b.mu.Unlock()
		if cold {
			queue = append(queue, hotplug.Event{Action: hotplug.Scanned})
			cold = false
		}
		for _, ev := range queue {
			select {
			case events <- ev:
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-b.changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// open claims a virtual phone.
func (b *virtualBus) open(_ context.Context, dev hotplug.Device) (unit, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	cable := b.cables[dev.Path]
	if cable == nil {
		return unit{}, virtualphone.ErrUnplugged
	}
	return unit{pipe: cable.Pipe(), info: virtualInfo(dev, cable.Phone().UDID())}, nil
}

// reset resets one of them as a hub does.
func (b *virtualBus) reset(_ context.Context, dev hotplug.Device) error {
	b.mu.Lock()
	cable := b.cables[dev.Path]
	b.mu.Unlock()
	if cable == nil {
		return virtualphone.ErrUnplugged
	}
	return cable.Reset()
}

// virtualInfo is what clients are told of a phone.
func virtualInfo(dev hotplug.Device, udid string) socket.Info {
	return socket.Info{
		UDID:       udid,
		Serial:     dev.Serial,
		ProductID:  dev.Product,
		LocationID: uint32(dev.Bus)<<16 | uint32(dev.Address),
		Speed:      dev.Speed,
	}
}

// remoteBus is virtual phones that live in another process.
type remoteBus struct {
	path string

	mu      sync.Mutex           // guards plugged
	plugged map[string]bus.Event // by path
}

// run reports their coming and going until ctx ends.
func (b *remoteBus) run(ctx context.Context, events chan<- hotplug.Event) error {
	return bus.Watch(ctx, b.path, func(plug bus.Event) error {
		ev := hotplug.Event{Action: hotplug.Scanned}
		if !plug.Scanned {
			ev = hotplug.Event{Action: hotplug.Remove, Device: virtualDevice(plug.Port, plug.Serial)}
			ev.Device.Address = plug.Plug
			b.note(ev.Device.Path, plug)
			if plug.Plugged {
				ev.Action = hotplug.Add
			}
		}
		select {
		case events <- ev:
		case <-ctx.Done():
		}
		return nil
	})
}

func (b *remoteBus) note(path string, plug bus.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.plugged[path] = plug
}

// open claims one of them.
func (b *remoteBus) open(ctx context.Context, dev hotplug.Device) (unit, error) {
	b.mu.Lock()
	plug := b.plugged[dev.Path]
	b.mu.Unlock()
	pipe, err := bus.Claim(ctx, b.path, plug)
	if err != nil {
		return unit{}, err
	}
	return unit{pipe: pipe, info: virtualInfo(dev, plug.UDID)}, nil
}

// reset resets one of them as a hub does.
func (b *remoteBus) reset(ctx context.Context, dev hotplug.Device) error {
	b.mu.Lock()
	plug := b.plugged[dev.Path]
	b.mu.Unlock()
	return bus.Reset(ctx, b.path, plug)
}
