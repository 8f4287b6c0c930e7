package main

import (
	"errors"
	"sync"
	"time"

	"gomuxd/control"
	"gomuxd/hotplug"
	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/mux"
	"gomuxd/usb"
)

// view is what operators see of one plugged device. It outlives failed attempts
// to open the device and ends with the unplug.
type view struct {
	hub   *control.Hub
	key   string
	owner *device // that does something with the device; nil: nobody does

	mu     sync.Mutex // guards device and gone; held while the hub is told
	device control.Device
	gone   bool

	usedMu  sync.Mutex // guards all below; the hub asks for counters
	flow    *flow.Flow
	session *mux.Session
	clients func() int
	past    mux.Stats // of sessions that have ended
	mended  uint64
	last    *control.Recovery
}

// newView shows a device that has just been plugged in.
func newView(hub *control.Hub, dev hotplug.Device) *view {
	v := &view{hub: hub, key: dev.Port, device: control.Device{
		Connection: control.ConnectionUSB,
		Speed:      dev.Speed,
		PortPath:   dev.Port,
		PluggedIn:  time.Now().UTC().Round(0),
		Trust:      string(trust.Connecting),
	}}
	v.change(func(d *control.Device) {
		switch dev.Kind {
		case hotplug.Recovery:
			d.Trust = string(trust.Recovery)
		case hotplug.DFU:
			d.Trust = string(trust.DFU)
		}
	})
	return v
}

// change shows what f makes of the device.
func (v *view) change(f func(*control.Device)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.gone {
		return
	}
	f(&v.device)
	v.hub.Put(v.key, v.device)
}

// close ends the view; later changes are not seen. Without a successor the
// device is gone.
func (v *view) close(gone bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gone = true
	if gone {
		v.hub.Remove(v.key)
	}
}

// is reports whether the view is that of the phone with this UDID.
func (v *view) is(udid string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.device.UDID != nil && *v.device.UDID == udid
}

// attached shows a device that has got an id.
func (v *view) attached(id uint32, udid string, speed uint64, s *mux.Session, f *flow.Flow, clients func() int) {
	v.use(f, s, clients)
	v.change(func(d *control.Device) {
		d.DeviceID, d.UDID, d.Speed = &id, &udid, speed
		d.Trust, d.Cause = string(trust.Connecting), ""
	})
}

func (v *view) use(f *flow.Flow, s *mux.Session, clients func() int) {
	v.usedMu.Lock()
	defer v.usedMu.Unlock()
	if v.session != nil {
		v.past.Add(v.session.Stats())
	}
	v.flow, v.session, v.clients = f, s, clients
}

// setPolicy tells the flow what policy there is for its phone.
func (v *view) setPolicy(s *settings) {
	v.mu.Lock()
	udid := v.device.UDID
	v.mu.Unlock()
	if f := v.flowing(); f != nil && udid != nil {
		f.SetPolicy(s.policy(*udid))
	}
}

// flowing is the trust flow of the device, nil if it has none now.
func (v *view) flowing() *flow.Flow {
	v.usedMu.Lock()
	defer v.usedMu.Unlock()
	return v.flow
}

// ended says that the session is over; what was shown last stays.
func (v *view) ended() { v.use(nil, nil, nil) }

// detached shows a device whose session has ended, or could not begin; left says that
// it is not mended any more.
func (v *view) detached(err error, left bool) {
	state, cause := belowMux(err)
	if left && state == trust.NoMux {
		cause = causeLeft
	}
	v.change(func(d *control.Device) {
		d.DeviceID, d.ExpiresInDays = nil, nil
		d.Trust, d.Cause = string(state), cause
	})
}

// trust shows what the flow has found out.
func (v *view) trust(s flow.Status) {
	v.change(func(d *control.Device) {
		d.Trust, d.Cause = string(s.State), s.Cause
		d.Name, d.Class = s.Identity.DeviceName, s.Identity.DeviceClass
		d.Product, d.Version = s.Identity.ProductType, s.Identity.ProductVersion
		d.Model = modelName(d.Product)
		d.Capacity, d.ExpiresInDays = nil, s.Expires
		if s.Capacity > 0 {
			d.Capacity = &s.Capacity
		}
	})
}

// Causes of states below the multiplexer.
const (
	causePermission = "permission"
	causeClaimed    = "claimed"
	causeVersion    = "no-version-answer"
	causeUSB        = "usb-error"
	causeStuck      = "takes-nothing"
	causeLeft       = "left-alone"
)

// belowMux is the state of a device that cannot be used for err.
func belowMux(err error) (trust.State, string) {
	var asked *order
	switch {
	case errors.Is(err, usb.ErrModeSwitched), errors.As(err, &asked):
		return trust.Connecting, ""
	case errors.Is(err, errSilent):
		return trust.NotAnswering, trust.CauseSilent
	case errors.Is(err, mux.ErrStuck):
		return trust.NoMux, causeStuck
	case errors.Is(err, usb.ErrPermission):
		return trust.NoMux, causePermission
	case errors.Is(err, usb.ErrBusy), errors.Is(err, usb.ErrClaimLost):
		return trust.NoMux, causeClaimed
	case errors.Is(err, mux.ErrNoVersion):
		return trust.NoMux, causeVersion
	case errors.Is(err, usb.ErrNoMux):
		return trust.NoMux, ""
	case errors.Is(err, usb.ErrConfiguration):
		return trust.ChargingOnly, causeUSB
	}
	return trust.NoMux, causeUSB
}
