package main

import (
	"context"
	"errors"
	"net"
	"time"

	"go.uber.org/zap"

	"gomuxd/hotplug"
	"gomuxd/lockdown"
	"gomuxd/mux"
	"gomuxd/socket"
	"gomuxd/usb"
)

// Pauses between attempts to bring up a device that is plugged in but fails.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// device is one plugged period of one phone.
type device struct {
	stop context.CancelFunc
	done chan struct{} // closed when its goroutine has ended
}

// startDevice drives a phone until ctx ends or stop is called. A device that was
// at the same place before is waited for, since it may still hold the interface.
func (d *muxd) startDevice(ctx context.Context, dev hotplug.Device, before *device) *device {
	ctx, stop := context.WithCancel(ctx)
	this := &device{stop: stop, done: make(chan struct{})}
	log := d.log.With(zap.String("port_path", dev.Port))
	d.wg.Go(func() {
		defer close(this.done)
		defer stop()
		if before != nil {
			<-before.done
		}
		pause, told := firstRetry, ""
		for ctx.Err() == nil {
			start := time.Now()
			err := d.drive(ctx, log, dev)
			if ctx.Err() != nil {
				return
			}
			if dev.Kind == hotplug.NoMux && errors.Is(err, usb.ErrNoMux) {
				log.Info("Apple device without a multiplexer, left alone", zap.Stringer("kind", dev.Kind))
				return // should its descriptors change, it is plugged anew
			}
			if time.Since(start) > lastRetry {
				pause = firstRetry // it had worked for a while
			}
			select {
			case <-ctx.Done(): // an unplug, of which the transfers told first
				return
			case <-time.After(pause):
			}
			level := zap.WarnLevel
			if err.Error() == told {
				level = zap.DebugLevel // once is enough
			}
			told = err.Error()
			log.Log(level, "phone lost or not usable, trying again", zap.Error(err), zap.Duration("after", pause))
			pause = min(2*pause, lastRetry)
		}
	})
	return this
}

// drive opens a phone, shows it to the clients, and returns when its session
// has ended or ctx has.
func (d *muxd) drive(ctx context.Context, log *zap.Logger, dev hotplug.Device) error {
	u, err := d.open(ctx, dev)
	if err != nil {
		return err
	}
	log = log.With(zap.String("udid", u.info.UDID))
	cfg := d.mux
	cfg.Log = log.Named("mux")
	session, err := mux.Open(ctx, u.pipe, cfg)
	if err != nil {
		return err
	}
	defer session.Close()

	id, err := d.registry.Attach(u.info, dialer{session})
	if err != nil {
		return err
	}
	log = log.With(zap.Uint32("device_id", id))
	log.Info("attached", zap.Int("mux_version", session.Version()), zap.Uint64("speed", u.info.Speed))
	defer func() {
		// Its connections end first, then listeners hear of the departure.
		session.Close()
		d.registry.Detach(id)
		log.Info("detached")
	}()

	if !d.opts.noPreflight {
		greeted := make(chan struct{})
		defer func() { <-greeted }()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() { // awaited above
			defer close(greeted)
			greet(ctx, log, session)
		}()
	}

	select {
	case <-session.Done():
		return session.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// greet asks the phone who it is, for the log. It changes nothing on the phone
// and raises no dialog.
func greet(ctx context.Context, log *zap.Logger, session *mux.Session) {
	client, err := lockdown.Dial(ctx, func(ctx context.Context, port uint16) (net.Conn, error) {
		return session.Dial(ctx, port)
	}, lockdown.Config{Log: log.Named("lockdown")})
	if err == nil {
		defer client.Close()
		if kind, err := client.QueryType(ctx); err == nil && kind != lockdown.TypeLockdown {
			log.Info("no ordinary phone answers", zap.String("type", kind)) // one that is being restored
			return
		}
		var id lockdown.Identity
		if id, err = client.Identity(ctx); err == nil {
			log.Info("identified", zap.String("name", id.DeviceName), zap.String("class", id.DeviceClass),
				zap.String("product", id.ProductType), zap.String("version", id.ProductVersion))
			return
		}
	}
	if ctx.Err() == nil && !errors.Is(err, mux.ErrDeviceGone) {
		log.Warn("phone does not tell who it is", zap.Error(err))
	}
}

// dialer shows a session to the socket's clients.
type dialer struct{ session *mux.Session }

// Dial implements socket.Device.
func (d dialer) Dial(ctx context.Context, port uint16) (socket.Conn, error) {
	c, err := d.session.Dial(ctx, port)
	if err != nil {
		return nil, err
	}
	return c, nil
}
