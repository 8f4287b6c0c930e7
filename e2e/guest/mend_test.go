//go:build guest

package guest_test

import (
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// TestMend proves on a kernel's USB that muxctl's reset, reopen and mode concern one
// phone, which is back under another id, and that the connections of another go on.
func TestMend(t *testing.T) {
	skipC(t, "has no operators")
	for _, tt := range []struct {
		name   string
		args   []string // behind the UDID
		resets bool
		mode   int
	}{
		{"reset", nil, true, 1},
		{"reopen", nil, false, 1},
		{"mode", []string{"3"}, false, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start(t, "USBMUXD_DEFAULT_DEVICE_MODE=1")
			p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
			other := attach(t, 1, virtualphone.Config{}, usbip.Config{})
			ids := visible(t, p, other)
			quiet, err := dial(ids[other.UDID()], virtualphone.EchoPort)
			if err != nil {
				t.Fatal(err)
			}
			defer quiet.Close()
			before, others := p.Stats().Resets, other.Stats().Resets
			muxctl(t, []string{"is back"}, append([]string{tt.name, p.UDID()}, tt.args...)...)
			eventually(t, time.Minute, func() error {
				return withID(p, func(id uint32) error { return echo(id, 100_000) })
			})
			if now := visible(t, p, other); now[p.UDID()] == ids[p.UDID()] || now[other.UDID()] != ids[other.UDID()] {
				t.Errorf("ids %v, were %v", now, ids)
			}
			if err := echoOn(quiet, 100_000); err != nil {
				t.Errorf("the other phone's old connection: %v", err)
			}
			if n := p.Stats().Resets - before; (n > 0) != tt.resets || other.Stats().Resets != others {
				t.Errorf("%d resets, of the other %d", n, other.Stats().Resets-others)
			}
			if p.gadget.Mode() != tt.mode {
				t.Errorf("in mode %d, want %d", p.gadget.Mode(), tt.mode)
			}
		})
	}
}

// TestStuckPhoneIsReset proves that a phone which only a reset helps is reset by the
// daemon itself.
func TestStuckPhoneIsReset(t *testing.T) {
	skipC(t, "tries once")
	start(t)
	p := attach(t, 0, virtualphone.Config{Faults: virtualphone.Faults{SilentVersion: true, UntilReset: true}}, usbip.Config{})
	ids := visible(t, p)
	if p.Stats().Resets == 0 {
		t.Error("it was not reset")
	}
	if err := echo(ids[p.UDID()], 100_000); err != nil {
		t.Error(err)
	}
}
