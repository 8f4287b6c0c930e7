package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"gomuxd/access"
	"gomuxd/control"
	"gomuxd/hotplug"
	"gomuxd/lockdown"
	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/mux"
	"gomuxd/pairrecord"
	"gomuxd/socket"
	"gomuxd/usb"
)

// unit is an opened device: its pipe, and what clients are told of it.
type unit struct {
	pipe mux.Pipe
	info socket.Info
}

// muxd is the daemon. source and open are its seams: hotplug and usb, or a
// script of events and virtual phones.
type muxd struct {
	opts     *options
	settings atomic.Pointer[settings]
	log      *zap.Logger
	setLevel func(level string) // of the log
	signals  <-chan os.Signal   // HUP, USR1 and USR2; nil for none
	up       func()             // called once the phones that are there are known

	source func(ctx context.Context, events chan<- hotplug.Event) error
	open   func(ctx context.Context, dev hotplug.Device) (unit, error)
	reset  func(ctx context.Context, dev hotplug.Device) error // over USB, that device alone
	// maySwitch lets the phone at a port be asked for another USB mode at once; nil
	// if there are none.
	maySwitch func(port string)
	tasks     []func(ctx context.Context) error // run beside, end with ctx
	mux       mux.Config                        // of every phone's session, less the log

	monitor    *hotplug.Monitor
	supervisor *lockdown.Supervisor // nil: none
	addresses  []string             // of the clients' sockets

	credentials socket.Credentials // of the TLS sockets

	rules    access.Rules // what clients may do
	registry *socket.Registry
	records  flow.Records // set by run
	keys     flow.Keys
	hub      *control.Hub
	devices  map[string]*device // by sysfs path; run's goroutine alone
	scanned  bool               // those that were there at the start are known; likewise
	wish     exitWish           // likewise

	mu    sync.Mutex             // guards the next four
	views map[string]*view       // by port path: what is plugged in
	met   map[string]flow.Status // by UDID: as it was told last
	taps  map[string]*mux.Tap    // by UDID: for captures
	modes map[string]usb.Mode    // by plain UDID: that operators have set
	wg    sync.WaitGroup         // the devices' goroutines

	processors *processors // may be nil
}

func newDaemon(opts *options, s *settings, log *zap.Logger) *muxd {
	d := &muxd{
		opts:     opts,
		log:      log,
		setLevel: func(string) {},
		up:       func() {},
		registry: socket.NewRegistry(),
		devices:  make(map[string]*device),
		views:    make(map[string]*view),
		met:      make(map[string]flow.Status),
		taps:     make(map[string]*mux.Tap),
		modes:    make(map[string]usb.Mode),
	}
	d.settings.Store(s)
	d.hub = control.NewHub(control.Config{
		Log:   log.Named("control"),
		Words: words,
		Counters: func(key string) control.Counters {
			if v := d.view(key); v != nil {
				return v.counters()
			}
			return countersOf(mux.Stats{})
		},
	})
	d.watchUSB()
	return d
}

// run serves until ctx ends, then stops in order: accept no more, end the
// clients, reset and close the phones' sessions. It returns why the daemon
// could not start or go on, nil after an orderly stop.
func (d *muxd) run(ctx context.Context) error {
	r, err := d.acquire()
	if err != nil {
		return err
	}
	defer r.release()
	d.records, d.addresses = r.records, addresses(r.clients)
	// A key pair in the making is not waited for: that takes seconds on a slow
	// computer, and nobody is to have it.

	srv := socket.NewServer(d.registry, socket.Config{
		Log:     d.log.Named("socket"),
		Records: clientRecords{r.records, d.hear, d.used},
		Errno:   pairrecord.Errno,
	})
	path, _ := d.settings.Load().controlSocket()
	operators := control.NewServer(d.hub, &operator{d: d, records: r.records, started: time.Now().UTC()}, control.Config{
		Log:  d.log.Named("control"),
		Gate: d.gate(path),
	})
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	run := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				stop(err)
			}
		})
	}
	for _, l := range r.clients {
		run(func() error { return srv.Serve(l, d.gate(l.Addr().String())) })
		d.log.Info("listening", zap.Stringer("address", l.Addr()))
	}
	for i, l := range r.some {
		g := d.gate(l.Addr().String())
		g.Devices = d.settings.Load().Sockets[i].Devices
		run(func() error { return srv.Serve(l, g) })
		d.log.Info("listening for some devices", zap.Stringer("address", l.Addr()), zap.Strings("devices", g.Devices))
	}
	for _, l := range r.operators {
		run(func() error { return operators.Serve(l) })
		d.log.Info("listening for operators", zap.Stringer("address", l.Addr()))
	}
	for _, task := range d.tasks {
		run(func() error { return task(ctx) })
	}
	run(func() error { return d.tellStatus(ctx) })
	events := make(chan hotplug.Event)
	run(func() error { return d.source(ctx, events) })

	d.watch(ctx, events)
	stop(nil) // which the last phone may have been the reason for

	notifySystemd(d.log, daemon.SdNotifyStopping)
	d.log.Info("stopping")
	operators.Close()
	srv.Close()
	d.wg.Wait() // ctx has told the devices
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// watch handles the source's events, and signals, until ctx ends or one of them
// says that it is to end.
func (d *muxd) watch(ctx context.Context, events <-chan hotplug.Event) {
	alive, stop := watchdog(d.log)
	defer stop()
	for {
		select {
		case <-alive:
			notifySystemd(d.log, daemon.SdNotifyWatchdog)
		case ev := <-events:
			d.handle(ctx, ev)
			if d.granted() {
				return
			}
		case sig := <-d.signals:
			if d.signalled(sig) {
				return
			}
		case <-d.wish.until:
			d.refused()
		case <-ctx.Done():
			return
		}
	}
}

func (d *muxd) handle(ctx context.Context, ev hotplug.Event) {
	switch ev.Action {
	case hotplug.Scanned:
		d.log.Info("ready", zap.Int("devices", len(d.devices)))
		notifySystemd(d.log, daemon.SdNotifyReady)
		dropStartPages(d.log)
		d.scanned = true
		d.up()
	case hotplug.Add:
		// A phone without a multiplexer may have one in the USB mode it is asked for.
		if ev.Device.Kind != hotplug.Mux && ev.Device.Kind != hotplug.NoMux {
			d.log.Info("Apple device without a multiplexer, left alone", zap.String("port_path", ev.Device.Port),
				zap.Stringer("kind", ev.Device.Kind), zap.String("serial", ev.Device.Serial))
			d.setView(ev.Device.Port, newView(d.hub, ev.Device))
			return
		}
		before := d.devices[ev.Device.Path]
		if before != nil {
			before.stop()
		}
		d.devices[ev.Device.Path] = d.startDevice(ctx, ev.Device, before)
	case hotplug.Remove:
		d.setView(ev.Device.Port, nil)
		if dev := d.devices[ev.Device.Path]; dev != nil {
			dev.stop()
			dev.plugged = false
			// It stays in the map: a successor at this path waits for its end.
		}
	}
}

// setView shows another device at a port, or none.
func (d *muxd) setView(port string, v *view) {
	d.mu.Lock()
	before := d.views[port]
	if v != nil {
		d.views[port] = v
	} else {
		delete(d.views, port)
	}
	phones := len(d.views)
	d.mu.Unlock()
	d.processors.fit(phones)
	if before != nil && before != v {
		before.close(v == nil)
	}
}

func (d *muxd) view(port string) *view {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.views[port]
}

// flowAt is the trust flow of the device at a port, nil if it has none.
func (d *muxd) flowAt(port string) *flow.Flow {
	if v := d.view(port); v != nil {
		return v.flowing()
	}
	return nil
}

// shown is the view of the phone with this UDID, nil if it is not here.
func (d *muxd) shown(udid string) *view {
	d.mu.Lock()
	views := slices.Collect(maps.Values(d.views))
	d.mu.Unlock() // a view that changes has its lock, and looks itself up for the counters
	for _, v := range views {
		if v.is(udid) {
			return v
		}
	}
	return nil
}

// flowOf is the trust flow of a phone, nil if it is not here.
func (d *muxd) flowOf(udid string) *flow.Flow {
	if v := d.shown(udid); v != nil {
		return v.flowing()
	}
	return nil
}

// major is the major version of a phone's system, 0 if it is not here.
func (d *muxd) major(udid string) int {
	if v := d.shown(udid); v != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		return flow.Major(lockdown.Identity{DeviceClass: v.device.Class, ProductVersion: v.device.Version})
	}
	return 0
}

// hear tells a phone's trust flow of an event.
func (d *muxd) hear(udid string, e trust.Event) {
	if f := d.flowOf(udid); f != nil {
		f.Hear(e)
	}
}
