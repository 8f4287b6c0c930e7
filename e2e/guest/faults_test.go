//go:build guest

package guest_test

import (
	"strings"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// TestTransferFaults proves that a phone whose endpoints fail once is back by
// itself, and that another phone never notices.
func TestTransferFaults(t *testing.T) {
	skipC(t, "loses the phone after one failed transfer until it is replugged")
	for _, tt := range []struct {
		name   string
		faults usbip.Faults
	}{
		{"stall in", usbip.Faults{StallIn: 1}},
		{"stall out", usbip.Faults{StallOut: 1}},
		{"error in", usbip.Faults{ErrorIn: 1}},
		{"error out", usbip.Faults{ErrorOut: 1}},
		{"babble in", usbip.Faults{BabbleIn: 1}},
		{"five stalls in", usbip.Faults{StallIn: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start(t)
			p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
			other := attach(t, 1, virtualphone.Config{}, usbip.Config{})
			ids := visible(t, p, other)
			quiet, err := dial(ids[other.UDID()], virtualphone.EchoPort)
			if err != nil {
				t.Fatal(err)
			}
			defer quiet.Close()
			p.gadget.SetFaults(tt.faults)
			_ = echo(ids[p.UDID()], 1000) // may fail or not: the fault hits it
			eventually(t, time.Minute, func() error {
				return withID(p, func(id uint32) error { return echo(id, 100_000) })
			})
			if err := echoOn(quiet, 100_000); err != nil {
				t.Errorf("the other phone's old connection: %v", err)
			}
		})
	}
}

// TestOddPhones proves that devices which cannot be used are left in peace and
// do not keep a good phone from working.
func TestOddPhones(t *testing.T) {
	for _, tt := range []struct {
		name  string
		phone virtualphone.Config
		usb   usbip.Config
		log   string // of our daemon
	}{
		{"recovery mode", virtualphone.Config{}, usbip.Config{Product: usbip.ProductRecovery}, "recovery"},
		{"DFU mode", virtualphone.Config{}, usbip.Config{Product: usbip.ProductDFU}, "dfu"},
		{"no usbmux interface", virtualphone.Config{}, usbip.Config{NoMux: true}, ""},
		{"no configuration can be set", virtualphone.Config{}, usbip.Config{Faults: usbip.Faults{RefuseConfiguration: []int{1, 2, 3, 4}}}, ""},
		{"no answer to VERSION", virtualphone.Config{Faults: virtualphone.Faults{SilentVersion: true}}, usbip.Config{}, ""},
		{"nothing comes in", virtualphone.Config{}, usbip.Config{Faults: usbip.Faults{NakIn: true}}, ""},
		{"nothing goes out", virtualphone.Config{}, usbip.Config{Faults: usbip.Faults{NakOut: true}}, ""},
		{"in stalls for ever", virtualphone.Config{}, usbip.Config{Faults: usbip.Faults{StallIn: -1}}, ""},
		{"no serial number", virtualphone.Config{}, usbip.Config{Faults: usbip.Faults{NoSerial: true}}, ""},
		{"vendor requests without answer", virtualphone.Config{}, usbip.Config{Faults: usbip.Faults{SilentControl: true}}, "usable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := start(t)
			odd := attach(t, 0, tt.phone, tt.usb)
			good := attach(t, 1, virtualphone.Config{}, usbip.Config{})
			if tt.log == "usable" {
				visible(t, odd, good)
				return
			}
			ids := visible(t, good)
			if err := echo(ids[good.UDID()], 100_000); err != nil {
				t.Error(err)
			}
			if tt.log != "" && !againstC() && !strings.Contains(d.Log(), tt.log) {
				t.Errorf("the log does not say %q", tt.log)
			}
			if againstC() {
				return // it may hang after an unplug
			}
			odd.Unplug()
			good.Unplug()
			visible(t)
		})
	}
}

// TestHealed proves that a phone which could not be used when it was plugged in
// is tried again, and there once it answers.
func TestHealed(t *testing.T) {
	skipC(t, "tries once")
	for name, faults := range map[string]usbip.Faults{
		"configuration": {RefuseConfiguration: []int{3, 4}},
		"silent":        {NakIn: true},
	} {
		t.Run(name, func(t *testing.T) {
			start(t)
			p := attach(t, 0, virtualphone.Config{}, usbip.Config{Faults: faults})
			time.Sleep(scaled(3 * time.Second))
			visible(t)
			p.gadget.SetFaults(usbip.Faults{})
			ids := visible(t, p)
			if err := echo(ids[p.UDID()], 100_000); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestModeSwitch proves that the daemon switches phones to the mode asked for,
// once, follows the new device, and leaves others alone.
func TestModeSwitch(t *testing.T) {
	skipC(t, "of Debian has no modes")
	for _, tt := range []struct {
		name, env     string
		before, after int
	}{
		{"as it is by default", "USBMUXD_DEFAULT_DEVICE_MODE=1", 1, 1},
		{"to mode 3", "USBMUXD_DEFAULT_DEVICE_MODE=3", 1, 3},
		{"to mode 4", "USBMUXD_DEFAULT_DEVICE_MODE=4", 1, 4},
		{"back to mode 1", "USBMUXD_DEFAULT_DEVICE_MODE=1", 3, 1},
		{"from mode 5, without usbmux", "USBMUXD_DEFAULT_DEVICE_MODE=1", 5, 1},
		{"kept", "USBMUXD_DEFAULT_DEVICE_MODE=0", 3, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start(t, tt.env)
			p := attach(t, 0, virtualphone.Config{}, usbip.Config{Mode: tt.before})
			eventually(t, time.Minute, func() error { return withID(p, func(id uint32) error { return echo(id, 100_000) }) })
			if p.gadget.Mode() != tt.after {
				t.Errorf("want mode %d, got %d", tt.after, p.gadget.Mode())
			}
		})
	}
}
