package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"gomuxd/hotplug"
	"gomuxd/mux"
	"gomuxd/pairrecord"
	"gomuxd/socket"
)

// unit is an opened device: its pipe, and what clients are told of it.
type unit struct {
	pipe mux.Pipe
	info socket.Info
}

// muxd is the daemon. source and open are its seams: hotplug and usb, or a
// script of events and virtual phones.
type muxd struct {
	opts *options
	log  *zap.Logger

	source func(ctx context.Context, events chan<- hotplug.Event) error
	open   func(ctx context.Context, dev hotplug.Device) (unit, error)
	tasks  []func(ctx context.Context) error // run beside, end with ctx
	mux    mux.Config                        // of every phone's session, less the log

	registry *socket.Registry
	devices  map[string]*device // by sysfs path; run's goroutine alone
	wg       sync.WaitGroup     // the devices' goroutines
}

func newDaemon(opts *options, log *zap.Logger) *muxd {
	d := &muxd{
		opts:     opts,
		log:      log,
		registry: socket.NewRegistry(),
		devices:  make(map[string]*device),
	}
	d.watchUSB()
	return d
}

// run serves until ctx ends, then stops in order: accept no more, end the
// clients, reset and close the phones' sessions. It returns why the daemon
// could not start or go on, nil after an orderly stop.
func (d *muxd) run(ctx context.Context) error {
	pid, err := lockPidFile(d.opts.pidFile)
	if err != nil {
		return err
	}
	defer pid.release()

	records, err := pairrecord.Open(d.opts.records, pairrecord.Config{Log: d.log.Named("records")})
	if err != nil {
		return err
	}
	defer records.Close()

	listeners, err := listen(d.opts.sockets)
	if err != nil {
		return err
	}
	if err := d.opts.phone.plug(d); err != nil {
		closeAll(listeners)
		return err
	}

	srv := socket.NewServer(d.registry, socket.Config{
		Log:     d.log.Named("socket"),
		Records: records,
		Errno:   pairrecord.Errno,
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
	for _, l := range listeners {
		run(func() error { return srv.Serve(l) })
		d.log.Info("listening", zap.Stringer("address", l.Addr()))
	}
	for _, task := range d.tasks {
		run(func() error { return task(ctx) })
	}
	events := make(chan hotplug.Event)
	run(func() error { return d.source(ctx, events) })

	d.watch(ctx, events)

	notifySystemd(d.log, daemon.SdNotifyStopping)
	d.log.Info("stopping")
	srv.Close()
	d.wg.Wait() // ctx has told the devices
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// watch handles the source's events until ctx ends.
func (d *muxd) watch(ctx context.Context, events <-chan hotplug.Event) {
	for {
		select {
		case ev := <-events:
			d.handle(ctx, ev)
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
	case hotplug.Add:
		// A phone without a multiplexer may have one in the USB mode it is asked for.
		if ev.Device.Kind != hotplug.Mux && ev.Device.Kind != hotplug.NoMux {
			d.log.Info("Apple device without a multiplexer, left alone", zap.String("port_path", ev.Device.Port),
				zap.Stringer("kind", ev.Device.Kind), zap.String("serial", ev.Device.Serial))
			return
		}
		before := d.devices[ev.Device.Path]
		if before != nil {
			before.stop()
		}
		d.devices[ev.Device.Path] = d.startDevice(ctx, ev.Device, before)
	case hotplug.Remove:
		if dev := d.devices[ev.Device.Path]; dev != nil {
			dev.stop()
			// It stays in the map: a successor at this path waits for its end.
		}
	}
}

// listen opens all addresses or none.
func listen(addresses []string) ([]net.Listener, error) {
	var all []net.Listener
	for _, a := range addresses {
		l, err := socket.Listen(a, 0)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func closeAll(all []net.Listener) {
	for _, l := range all {
		l.Close()
	}
}

// notifySystemd tells the service manager, if there is one.
func notifySystemd(log *zap.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot notify systemd", zap.Error(fmt.Errorf("%s: %w", state, err)))
	}
}
