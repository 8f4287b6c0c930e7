package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gomuxd/control"
	"gomuxd/socket/client"
)

// errMute is wrapped if a daemon accepts a connection and answers nothing: it
// hangs, or is stopped in a debugger. Without a limit muxctl would hang, too.
var errMute = errors.New("the daemon does not answer")

// within calls f for so long at most.
func within[T any](ctx context.Context, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := f(short)
	if err != nil && ctx.Err() == nil && short.Err() != nil {
		err = &codeError{exitTimeout, fmt.Errorf("%w within %v: see \"systemctl status usbmuxd\", or restart it with \"systemctl restart usbmuxd\"", errMute, limit)}
	}
	return v, err
}

// limited is an api whose answers are not waited for without end. look is for
// what the daemon knows, act for what it does with a phone or the disk.
type limited struct {
	api
	look, act time.Duration
}

func (l limited) Devices(ctx context.Context) ([]control.Device, error) {
	devices, err := within(ctx, l.look, l.api.Devices)
	for i := range devices {
		devices[i] = inWords(devices[i])
	}
	return devices, err
}

func (l limited) Device(ctx context.Context, ref string) (control.Device, error) {
	d, err := within(ctx, l.look, func(ctx context.Context) (control.Device, error) { return l.api.Device(ctx, ref) })
	return inWords(d), err
}

func (l limited) Stats(ctx context.Context) (control.Stats, error) {
	return within(ctx, l.look, l.api.Stats)
}

func (l limited) Daemon(ctx context.Context) (control.Daemon, error) {
	return within(ctx, l.look, l.api.Daemon)
}

// Watch has no limit: silence means that nothing happens.
func (l limited) Watch(ctx context.Context, fn func(control.Event) error) error {
	return l.api.Watch(ctx, func(e control.Event) error {
		e.Device = inWords(e.Device)
		return fn(e)
	})
}

func (l limited) Records(ctx context.Context) ([]control.Record, error) {
	return within(ctx, l.look, l.api.Records)
}

func (l limited) Record(ctx context.Context, ref string) (control.Record, error) {
	return within(ctx, l.look, func(ctx context.Context) (control.Record, error) { return l.api.Record(ctx, ref) })
}

func (l limited) Trust(ctx context.Context, ref string, req control.TrustRequest) (control.Device, error) {
	d, err := within(ctx, l.act, func(ctx context.Context) (control.Device, error) { return l.api.Trust(ctx, ref, req) })
	return inWords(d), err
}

func (l limited) AskAgain(ctx context.Context, ref string) (control.Device, error) {
	d, err := within(ctx, l.act, func(ctx context.Context) (control.Device, error) { return l.api.AskAgain(ctx, ref) })
	return inWords(d), err
}

func (l limited) UntrustRecord(ctx context.Context, ref string) (control.UntrustResult, error) {
	return within(ctx, l.act, func(ctx context.Context) (control.UntrustResult, error) { return l.api.UntrustRecord(ctx, ref) })
}

func (l limited) Restore(ctx context.Context, ref, id string) error {
	_, err := within(ctx, l.act, func(ctx context.Context) (struct{}, error) { return struct{}{}, l.api.Restore(ctx, ref, id) })
	return err
}

func (l limited) Reset(ctx context.Context, ref string) (control.Device, error) {
	d, err := within(ctx, l.act, func(ctx context.Context) (control.Device, error) { return l.api.Reset(ctx, ref) })
	return inWords(d), err
}

func (l limited) Reopen(ctx context.Context, ref string) (control.Device, error) {
	d, err := within(ctx, l.act, func(ctx context.Context) (control.Device, error) { return l.api.Reopen(ctx, ref) })
	return inWords(d), err
}

func (l limited) Mode(ctx context.Context, ref string, mode int) (control.Device, error) {
	d, err := within(ctx, l.act, func(ctx context.Context) (control.Device, error) { return l.api.Mode(ctx, ref, mode) })
	return inWords(d), err
}

// limitedSocket is the same of a usbmuxd socket; Connect has a limit of its own.
type limitedSocket struct {
	usbmuxd
	look time.Duration
}

func (l limitedSocket) ListDevices(ctx context.Context) ([]client.Device, error) {
	return within(ctx, l.look, l.usbmuxd.ListDevices)
}

func (l limitedSocket) ReadBUID(ctx context.Context) (string, error) {
	return within(ctx, l.look, l.usbmuxd.ReadBUID)
}

func (l limitedSocket) ReadPairRecord(ctx context.Context, udid string) ([]byte, error) {
	return within(ctx, l.look, func(ctx context.Context) ([]byte, error) { return l.usbmuxd.ReadPairRecord(ctx, udid) })
}

func (l limitedSocket) SavePairRecord(ctx context.Context, udid string, data []byte, id uint32) error {
	_, err := within(ctx, l.look, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.usbmuxd.SavePairRecord(ctx, udid, data, id)
	})
	return err
}
