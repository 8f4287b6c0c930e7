package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"gomuxd/control"
	"gomuxd/hotplug"
	"gomuxd/usb"
)

// order is what an operator wants done with a device. It ends the session.
type order struct {
	action string
	done   chan error // capacity 1
}

func (o *order) Error() string { return "an operator has asked for it: " + o.action }

// orderWait is how long an operator waits for a device that is being opened, which
// cannot be interrupted, and for what he has asked for.
const orderWait = 40 * time.Second

// comesBack is how long a device that was reset, or has agreed to another USB mode,
// may take to come back as another one and still be the same in what is counted.
const comesBack = 15 * time.Second

// await waits for d, and reports whether ctx has not ended meanwhile. An order ends the
// wait early.
func (p *device) await(ctx context.Context, d time.Duration) (*order, bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, false
	case o := <-p.orders:
		return o, true
	case <-timer.C:
		return nil, true
	}
}

// obey does what an operator wants. What was tried before does not count any more: he
// knows better.
func (d *muxd) obey(ctx context.Context, log *zap.Logger, dev hotplug.Device, this *device, o *order) {
	this.care = care{}
	this.view.detached(o, false)
	o.done <- d.mend(ctx, log, dev, this, operatorsWish, deed{action: o.action})
}

// mend resets a device, or notes that it is opened anew.
func (d *muxd) mend(ctx context.Context, log *zap.Logger, dev hotplug.Device, this *device, t trouble, what deed) error {
	this.view.recovered(control.Recovery{
		Time: time.Now().UTC().Round(0), Action: what.action, Cause: string(t), Reason: t.reason(), Next: what.next,
	})
	log = this.named(log).With(zap.String("cause", t.reason()))
	if what.next != "" {
		log = log.With(zap.String("next", what.next))
	}
	switch what.action {
	case control.ActionReopen:
		log.Info("opening the phone anew")
	case control.ActionLeave:
		log.Error("phone does not come to itself, left alone")
	case control.ActionReset:
		log.Warn("resetting the phone over USB")
		this.leaving = time.Now()
		if err := d.reset(ctx, dev); err != nil {
			log.Warn("cannot reset the phone", zap.Error(err))
			return err
		}
	}
	return nil
}

// named adds to a log which phone it is about, once that is known.
func (p *device) named(log *zap.Logger) *zap.Logger {
	if p.udid == "" {
		return log
	}
	return log.With(zap.String("udid", p.udid))
}

// succeed takes over from the same phone before it left the bus for a reset or another
// mode of ours: what was tried and counted. before has ended.
func (p *device) succeed(before *device) {
	if before.serial == p.serial {
		p.udid = before.udid
	}
	if before.serial != p.serial || before.leaving.IsZero() || time.Since(before.leaving) > comesBack {
		return
	}
	p.care, p.leaving = before.care, before.leaving
	p.view.succeed(before.view)
}

// order has the device at a port do something, and waits for it.
func (o *operator) order(ctx context.Context, key, action string) error {
	v := o.d.view(key)
	switch {
	case v == nil:
		return control.Errorf(control.CodeAbsent, "nothing is plugged in at %s any more: plug the device in again", key)
	case v.owner == nil:
		return control.Errorf(control.CodeNoMux, "the device at %s is in recovery or DFU mode, which the daemon leaves alone: restart it with its buttons", key)
	}
	ctx, cancel := context.WithTimeout(ctx, orderWait)
	defer cancel()
	wish := &order{action: action, done: make(chan error, 1)}
	late := func() error {
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		return control.Errorf(control.CodeBusy, "the device at %s is being opened and does not answer: try again in a moment, or pull its cable out and plug it in again", key)
	}
	select {
	case v.owner.orders <- wish:
	case <-v.owner.done:
		return control.Errorf(control.CodeAbsent, "the device at %s has just been unplugged: plug it in again", key)
	case <-ctx.Done():
		return late()
	}
	select {
	case err := <-wish.done:
		return resetFailure(key, err)
	case <-ctx.Done():
		return late()
	}
}

// resetFailure says what to do about a reset that went wrong.
func resetFailure(key string, err error) error {
	remedy := "pull its cable out and plug it in again"
	switch {
	case err == nil:
		return nil
	case errors.Is(err, usb.ErrGone):
		return control.Errorf(control.CodeAbsent, "the device at %s has just been unplugged: plug it in again", key)
	case errors.Is(err, usb.ErrPermission):
		remedy = "\"muxctl doctor\" shows who may open it"
	}
	return failure(http.StatusInternalServerError, control.CodeFailed, "the device at %s could not be reset (%v): %s", key, err, remedy)
}

// Reset implements control.Actions.
func (o *operator) Reset(ctx context.Context, key string) error {
	return o.order(ctx, key, control.ActionReset)
}

// Reopen implements control.Actions.
func (o *operator) Reopen(ctx context.Context, key string) error {
	return o.order(ctx, key, control.ActionReopen)
}

// Mode implements control.Actions.
func (o *operator) Mode(ctx context.Context, key string, mode int) error {
	v := o.d.view(key)
	switch {
	case o.d.maySwitch == nil:
		return control.Errorf(control.CodeFailed, "the device at %s is a virtual phone without USB: use \"virtualphone attach\", whose phones have USB modes", key)
	case v != nil && v.owner != nil:
		o.d.setMode(v.owner.serial, usb.Mode(mode))
		if usb.Mode(mode) == usb.Keep {
			return nil
		}
		o.d.maySwitch(key)
	}
	return o.order(ctx, key, control.ActionReopen)
}

// setMode sets the USB mode that a phone is asked for, until the daemon's end.
func (d *muxd) setMode(serial string, m usb.Mode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.modes[plainUDID(serial)] = m
}

// mode is the USB mode that a phone is asked for: what an operator has said, else what
// is set.
func (d *muxd) mode(serial string) usb.Mode {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m, ok := d.modes[plainUDID(serial)]; ok {
		return m
	}
	return d.settings.Load().mode(serial)
}
