package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"gomuxd/hotplug"
	"gomuxd/lockdown/flow"
	"gomuxd/mux"
	"gomuxd/socket"
	"gomuxd/usb"
)

// Pauses between attempts to bring up a device that is plugged in but fails.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// unplugging is how long the system may take to tell of an unplug, of which the
// transfers tell first. Until then a failure is not shown: at the end of every
// visit people would read of a USB error.
const unplugging = 500 * time.Millisecond

// device is one plugged period of one phone.
type device struct {
	stop   context.CancelFunc
	done   chan struct{} // closed when its goroutine has ended
	orders chan *order
	serial string
	view   *view

	plugged bool // until it is removed; muxd.run's goroutine alone

	care    care      // its goroutine's alone, then its successor's
	udid    string    // once it is known, likewise
	told    string    // the failure that was logged last, likewise
	times   int       // attempts that failed in a row, likewise
	leaving time.Time // when it was reset or agreed to another mode, likewise
}

// startDevice drives a phone until ctx ends or stop is called. A device that was
// at the same place before is waited for, since it may still hold the interface.
func (d *muxd) startDevice(ctx context.Context, dev hotplug.Device, before *device) *device {
	ctx, stop := context.WithCancel(ctx)
	this := &device{stop: stop, done: make(chan struct{}), orders: make(chan *order), serial: dev.Serial, plugged: true}
	log := d.log.With(zap.String("port_path", dev.Port))
	this.view = newView(d.hub, dev)
	this.view.owner = this
	d.setView(dev.Port, this.view)
	d.wg.Go(func() {
		defer close(this.done)
		defer stop()
		if before != nil {
			<-before.done
			this.succeed(before)
		}
		for ctx.Err() == nil {
			asked, ok := d.attempt(ctx, log, dev, this)
			if !ok {
				return
			}
			if asked != nil {
				d.obey(ctx, log, dev, this, asked)
			}
		}
	})
	return this
}

// attempt is one session with a phone, or one that does not come about, and what is
// done about its end. It returns an order that has ended it, and false at the end of
// the plug.
func (d *muxd) attempt(ctx context.Context, log *zap.Logger, dev hotplug.Device, this *device) (asked *order, ok bool) {
	start, v := time.Now(), this.view
	err := d.drive(ctx, log, dev, this)
	v.ended()
	if errors.As(err, &asked) {
		return asked, true
	}
	if asked, ok = this.await(ctx, unplugging); asked != nil || !ok {
		return asked, ok
	}
	t := troubleOf(err)
	what := this.care.failed(t, time.Since(start), d.settings.Load().Recovery.Resets)
	v.detached(err, this.care.left && t.stuck())
	switch {
	case dev.Kind == hotplug.NoMux && errors.Is(err, usb.ErrNoMux):
		log.Info("Apple device without a multiplexer, left alone", zap.Stringer("kind", dev.Kind))
		return this.await(ctx, forever) // should its descriptors change, it is plugged anew
	case errors.Is(err, usb.ErrModeSwitched):
		this.leaving = time.Now()
	}
	if asked, ok = this.await(ctx, what.after-unplugging); asked != nil || !ok {
		return asked, ok
	}
	level := zap.WarnLevel
	if err.Error() == this.told {
		level = zap.DebugLevel // once is enough
	}
	this.told = err.Error()
	this.times++
	this.named(log).Log(level, "phone lost or not usable, trying again", zap.Error(err), zap.Duration("after", what.after))
	if what.action != "" {
		_ = d.mend(ctx, log, dev, this, t, what) // is logged; what is left is to try again
	}
	return nil, true
}

// forever is longer than anything is plugged in.
const forever = 1<<63 - 1

// drive opens a phone, shows it to the clients, and returns when its session
// has ended or ctx has.
func (d *muxd) drive(ctx context.Context, log *zap.Logger, dev hotplug.Device, this *device) error {
	v, s := this.view, d.settings.Load()
	u, err := d.open(ctx, dev)
	if err != nil {
		return err
	}
	u.info.Port, this.udid = dev.Port, u.info.UDID
	log = log.With(zap.String("udid", u.info.UDID))
	cfg := d.mux
	cfg.Log = log.Named("mux")
	cfg.Tap = d.tap(u.info.UDID)
	cfg.Stuck = s.Recovery.stuck()
	session, err := mux.Open(ctx, u.pipe, cfg)
	if err != nil {
		return err
	}
	defer session.Close()

	quiet := newSilence(s.Recovery.silent(), func() uint64 { return session.Stats().BytesIn })
	defer quiet.stop()
	f := d.newFlow(log, u.info, session, v, quiet)
	id, err := d.registry.Attach(u.info, &dialer{session: session, flow: f})
	if err != nil {
		return err
	}
	log = log.With(zap.Uint32("device_id", id))
	v.attached(id, u.info.UDID, u.info.Speed, session, f, func() int { return d.registry.Clients(id) })
	v.setPolicy(d.settings.Load()) // it may be another than when the flow was made
	log.Info("attached", zap.Int("mux_version", session.Version()), zap.Uint64("speed", u.info.Speed))
	if this.times > 1 {
		log.Info("phone works again", zap.Int("times", this.times))
	}
	this.times = 0
	flowing, flowed := context.WithCancel(ctx)
	var trusting sync.WaitGroup
	trusting.Go(func() { f.Run(flowing) })
	defer func() {
		// Its connections end first, then listeners hear of the departure.
		session.Close()
		flowed()
		trusting.Wait()
		d.registry.Detach(id)
		log.Info("detached")
		log.Debug("session observed", zap.Any("wire", session.Observed()))
	}()

	for {
		select {
		case <-session.Done():
			return session.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		case o := <-this.orders:
			return o
		case <-quiet.timer.C:
			if !this.care.left && quiet.complete() {
				return errSilent
			}
		}
	}
}

// productT2 is the id of a T1 or T2 chip, which has no lockdownd.
const productT2 = 0x8600

// newFlow makes the flow that cares for a phone's trust.
func (d *muxd) newFlow(log *zap.Logger, info socket.Info, session *mux.Session, v *view, quiet *silence) *flow.Flow {
	before := d.known(info.UDID)
	return flow.New(flow.Config{
		Log:  log.Named("trust"),
		UDID: info.UDID,
		Dial: func(ctx context.Context, port uint16) (net.Conn, error) {
			c, err := session.Dial(ctx, port)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		Refused:    mux.ErrRefused,
		Silent:     mux.ErrDialTimeout,
		Policy:     d.settings.Load().policy(info.UDID),
		NoLockdown: info.ProductID == productT2,
		Records:    d.records,
		Keys:       &d.keys,
		Supervisor: d.supervisor,
		Identity:   before.Identity,
		Capacity:   before.Capacity,
		Changed: func(s flow.Status) {
			v.trust(s)
			quiet.hear(s)
			d.remember(info.UDID, s)
		},
		Paired: func() { d.registry.Paired(info.UDID) },
	})
}

// maxMet bounds how many phones are remembered, should somebody make them up.
const maxMet = 1024

// known is what a phone has told of itself since this daemon's start. One that comes
// back locked, or silent, has its name nevertheless.
func (d *muxd) known(udid string) flow.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.met[udid]
}

// tap is where a phone's packets are watched, in whichever session.
func (d *muxd) tap(udid string) *mux.Tap {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.taps[udid]
	if t == nil {
		t = new(mux.Tap)
		if len(d.taps) < maxMet {
			d.taps[udid] = t
		}
	}
	return t
}

func (d *muxd) remember(udid string, s flow.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, is := d.met[udid]; is || len(d.met) < maxMet {
		d.met[udid] = s
	}
}
