package main

import (
	"errors"
	"fmt"
	"testing"

	"gomuxd/control"
	"gomuxd/hotplug"
	"gomuxd/lockdown/trust"
	"gomuxd/mux"
	"gomuxd/usb"
)

// TestBelowMux asserts what is shown of devices that no trust flow can talk to: by
// their kind at the plug, then by what opening them came to.
func TestBelowMux(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kind  hotplug.Kind
		err   error // of opening it; nil: it is not opened
		state trust.State
		cause string
	}{
		{"recovery mode", hotplug.Recovery, nil, trust.Recovery, ""},
		{"DFU mode", hotplug.DFU, nil, trust.DFU, ""},
		{"just plugged in", hotplug.Mux, nil, trust.Connecting, ""},
		{"another mode was asked for", hotplug.NoMux, usb.ErrModeSwitched, trust.Connecting, ""},
		{"no permission", hotplug.Mux, usb.ErrPermission, trust.NoMux, causePermission},
		{"claimed", hotplug.Mux, usb.ErrBusy, trust.NoMux, causeClaimed},
		{"claimed while in use", hotplug.Mux, usb.ErrClaimLost, trust.NoMux, causeClaimed},
		{"no answer to VERSION", hotplug.Mux, mux.ErrNoVersion, trust.NoMux, causeVersion},
		{"no usbmux interface", hotplug.NoMux, usb.ErrNoMux, trust.NoMux, ""},
		{"no configuration with data", hotplug.Mux, usb.ErrConfiguration, trust.ChargingOnly, causeUSB},
		{"anything else", hotplug.Mux, errors.New("pipe broke"), trust.NoMux, causeUSB},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hub := control.NewHub(control.Config{})
			v := newView(hub, hotplug.Device{Port: "1-2", Kind: tt.kind})
			if tt.err != nil {
				v.detached(fmt.Errorf("open: %w", tt.err), false)
			}
			all := hub.Devices()
			if len(all) != 1 || all[0].Trust != string(tt.state) || all[0].Cause != tt.cause || all[0].UDID != nil {
				t.Errorf("want %s (%s) and no udid, got %+v", tt.state, tt.cause, all)
			}
		})
	}
}
