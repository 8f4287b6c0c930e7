//go:build guest

package guest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

// controlPath is where our daemon serves operators.
const controlPath = socketPath + ".control"

// shown follows what the daemon says of devices until ok is true of one, and
// returns that one. It may begin before the daemon serves.
func shown(t *testing.T, ok func(control.Device) bool) (found control.Device) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scaled(2*time.Minute))
	defer cancel()
	enough := errors.New("found")
	var seen []string
	for {
		err := control.Dial(controlPath).Watch(ctx, func(ev control.Event) error {
			if ev.Type != control.DeviceAdded && ev.Type != control.DeviceChanged {
				return nil
			}
			seen = append(seen, strings.TrimSpace(ev.Device.PortPath+" "+ev.Device.Trust+" "+ev.Device.Cause))
			if ok(ev.Device) {
				found = ev.Device
				return enough
			}
			return nil
		})
		switch {
		case errors.Is(err, enough):
			return found
		case ctx.Err() != nil:
			t.Fatalf("the daemon has shown only %q: %v", seen, err)
		}
		time.Sleep(50 * time.Millisecond) // no daemon, for now
	}
}

// awaitTrust waits until the phone is in a state of trust.
func awaitTrust(t *testing.T, p *phone, want trust.State) control.Device {
	t.Helper()
	return awaitAnew(t, p, control.Device{}, want)
}

// awaitAnew is awaitTrust after the plugged period in which the phone was shown as
// before.
func awaitAnew(t *testing.T, p *phone, before control.Device, want trust.State) control.Device {
	t.Helper()
	return shown(t, func(d control.Device) bool {
		return d.UDID != nil && *d.UDID == p.UDID() && d.Trust == string(want) &&
			d.DeviceID != nil && (before.DeviceID == nil || *before.DeviceID != *d.DeviceID)
	})
}

// muxctl runs the operator's tool, which must succeed and print all of want.
func muxctl(t *testing.T, want []string, args ...string) string {
	t.Helper()
	out, err := tool("muxctl", args...)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Fatalf("muxctl %s: want %q, got\n%s", strings.Join(args, " "), w, out)
		}
	}
	return out
}

// record is the phone's pair record, as operators see it. It must be of use and
// be the one by which the phone knows this computer.
func record(t *testing.T, p *phone) control.Record {
	t.Helper()
	r, err := control.Dial(controlPath).Record(t.Context(), p.UDID())
	if err != nil {
		t.Fatal(err)
	}
	if hosts := p.State().Hosts; len(hosts) != 1 || hosts[0] != r.HostID || !r.HasEscrowBag || !r.BUIDMatches || r.Problem != "" {
		t.Fatalf("the phone trusts %v, the record is %+v", hosts, r)
	}
	return r
}

// does fails the test at the first error of what a person or a program does.
func does(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// passcode is that of all phones here which have one.
const passcode = "1234"

// tapTrust is a person who answers the dialog that is up.
func tapTrust(t *testing.T, p *phone) {
	t.Helper()
	does(t, p.TapTrust())
	if p.State().PasscodeSet {
		does(t, p.EnterPasscode(passcode))
	}
}

// becomeTrusted waits for the dialog, answers it, and waits until the daemon has
// paired and seen that its record opens the phone.
func becomeTrusted(t *testing.T, p *phone) control.Device {
	t.Helper()
	awaitTrust(t, p, trust.DialogShown)
	before := p.Stats().Sessions
	tapTrust(t, p)
	d := awaitTrust(t, p, trust.Trusted)
	eventually(t, time.Minute, func() error {
		if p.Stats().Sessions == before {
			return errors.New("the daemon has not tried the new record")
		}
		return nil
	})
	return d
}

// staysTrusted does something to a phone or to the daemon, after which the daemon
// must open a new session with what it has, and ask nothing.
func staysTrusted(t *testing.T, p *phone, what func()) {
	t.Helper()
	before := p.Stats()
	what()
	eventually(t, 2*time.Minute, func() error {
		if p.Stats().Sessions == before.Sessions {
			return fmt.Errorf("no session with phone %s, which is in %+v", p.UDID(), p.State())
		}
		return nil
	})
	awaitTrust(t, p, trust.Trusted)
	dialogs(t, p, before.Dialogs)
	if t.Failed() {
		t.FailNow()
	}
}

// wornOut has a trusted phone go through what happens in months: n replugs, n/10
// restarts of it and n/10 of the daemon.
func wornOut(t *testing.T, p *phone, n int, restarts ...func()) {
	t.Helper()
	for i := range n {
		staysTrusted(t, p, func() {
			p.Unplug()
			visible(t)
			p.replug(t)
		})
		if i%10 == 4 {
			staysTrusted(t, p, func() {
				does(t, p.Reboot())
				p.port(t)
				if p.State().Locked {
					awaitTrust(t, p, trust.LockedSinceBoot)
					does(t, p.Unlock(passcode))
				}
			})
		}
		if i%10 == 9 {
			staysTrusted(t, p, restarts[i/10%len(restarts)])
		}
	}
}

// awaitDialog waits until the phone shows a dialog.
func awaitDialog(t *testing.T, p *phone, want virtualphone.Dialog) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scaled(2*time.Minute))
	defer cancel()
	if s, err := p.Wait(ctx, func(s virtualphone.State) bool { return s.Dialog == want }); err != nil {
		t.Fatalf("the phone, which should show the dialog %s, is in %+v: %v", want, s, err)
	}
}

// answering is a person who says yes to all that the phone asks, until stop.
func (p *phone) answering() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var person sync.WaitGroup
	person.Go(func() {
		for {
			s, err := p.Wait(ctx, func(s virtualphone.State) bool { return s.Dialog != virtualphone.NoDialog })
			if err != nil {
				return
			}
			// Either fails if the dialog has gone meanwhile.
			switch s.Dialog {
			case virtualphone.TrustDialog:
				_ = p.TapTrust()
			case virtualphone.PasscodeDialog:
				_ = p.EnterPasscode(passcode)
			}
		}
	})
	return func() { cancel(); person.Wait() }
}

// dialogs checks how often the phone has asked in all.
func dialogs(t *testing.T, p *phone, want uint64) {
	t.Helper()
	if got := p.Stats().Dialogs; got != want {
		t.Errorf("phone %s: want %s in all, got %d", p.UDID(), plural(want), got)
	}
}

func plural(n uint64) string {
	if n == 1 {
		return "1 dialog"
	}
	return fmt.Sprintf("%d dialogs", n)
}
