//go:build guest

package guest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// phone is a virtual iPhone in a port of this kernel.
type phone struct {
	*virtualphone.Phone
	gadget *usbip.Gadget
	ports  chan usbip.Event
}

// udid is the id of the nth phone.
func udid(n int) string { return fmt.Sprintf("00008110-%016X", 0x000A1111_2222_0000+n) }

// attach plugs the nth phone in, until the end of the test. No host may then
// have broken the protocol.
func attach(t *testing.T, n int, p virtualphone.Config, u usbip.Config) *phone {
	t.Helper()
	if u.Speed == 0 {
		u.Speed = usbip.High
	}
	p.UDID, p.MaxPacketSize = udid(n), u.Speed.PacketSize()
	v, err := virtualphone.New(p)
	if err != nil {
		t.Fatal(err)
	}
	u.Phone = v
	g, err := usbip.New(u)
	if err != nil {
		t.Fatal(err)
	}
	ph := &phone{Phone: v, gadget: g, ports: make(chan usbip.Event, 4096)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Follow(ctx, usbip.Attach, func(ev usbip.Event) { ph.ports <- ev }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		v.Close()
		if all := v.Violations(); all.Total() > 0 {
			report := t.Errorf
			if againstC() {
				report = t.Logf
			}
			report("phone %s counted violations: %v %v", v.UDID(), all, v.ViolationNotes())
		}
	})
	ph.port(t)
	return ph
}

// port waits until the phone is in a port.
func (p *phone) port(t *testing.T) *usbip.Port {
	t.Helper()
	limit := time.After(scaled(30 * time.Second))
	for {
		select {
		case ev := <-p.ports:
			if ev.Port != nil {
				return ev.Port
			}
			if ev.Err != nil && !errors.Is(ev.Err, usbip.ErrModeSwitch) {
				t.Fatalf("phone %s: %v", p.UDID(), ev.Err)
			}
		case <-limit:
			t.Fatalf("phone %s got no port", p.UDID())
		}
	}
}

// letGo waits until the kernel has let go of the phone: its port is gone.
func (p *phone) letGo(t *testing.T) {
	t.Helper()
	limit := time.After(scaled(30 * time.Second))
	for {
		select {
		case ev := <-p.ports:
			if ev.Port == nil && !errors.Is(ev.Err, usbip.ErrModeSwitch) {
				return
			}
		case <-limit:
			t.Fatalf("phone %s is still in its port", p.UDID())
		}
	}
}

// replug puts the cable back in and waits for the port.
func (p *phone) replug(t *testing.T) {
	t.Helper()
	if _, err := p.Plug(); err != nil {
		t.Fatal(err)
	}
	p.port(t)
}

// visible waits until exactly these phones are listed, and returns their ids.
func visible(t *testing.T, phones ...*phone) map[string]uint32 {
	t.Helper()
	var ids map[string]uint32
	eventually(t, time.Minute, func() (err error) {
		if ids, err = devices(); err != nil {
			return err
		}
		for _, p := range phones {
			if ids[p.UDID()] == 0 {
				return fmt.Errorf("phone %s is not listed, only %v", p.UDID(), ids)
			}
		}
		if len(ids) != len(phones) {
			return fmt.Errorf("want %d phones, got %v", len(phones), ids)
		}
		return nil
	})
	return ids
}
