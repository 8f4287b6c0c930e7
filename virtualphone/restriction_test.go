package virtualphone

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestUSBRestricted(t *testing.T) {
	inBubble(t, Config{Passcode: "1", Behavior: Behavior{USBRestricted: true}}, func(t *testing.T, p *Phone, h *muxHost) {
		reachable := func(want bool) {
			t.Helper()
			synctest.Wait()
			c, err := h.dial(LockdownPort)
			switch {
			case err == nil:
				c.Close()
			case !errors.Is(err, errRefused):
				t.Fatal(err)
			}
			if (err == nil) != want || p.State().USBRestricted == want {
				t.Errorf("reachable: %t, want %t; state %+v", err == nil, want, p.State())
			}
		}
		reachable(true)
		must(t, p.Lock())
		time.Sleep(50 * time.Minute)
		must(t, p.Lock()) // still the same lock
		open := h.mustDial(EchoPort)
		time.Sleep(9 * time.Minute)
		reachable(true)
		time.Sleep(time.Minute)
		reachable(false)
		if _, err := open.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the open connection: %v, want its end", err)
		}
		must(t, p.Unlock("1"))
		reachable(true)

		// The clock goes by the behavior in force, and a reboot does not stop it.
		must(t, p.Lock())
		time.Sleep(10 * time.Minute)
		p.SetBehavior(Behavior{USBRestricted: true, USBRestrictedAfter: 5 * time.Minute})
		reachable(false)
		p.SetBehavior(Behavior{})
		reachable(true)
		p.SetBehavior(Behavior{USBRestricted: true, USBRestrictedAfter: 15 * time.Minute})
		reachable(true)
		must(t, p.Reboot())
		h.close()
		h = dialPhone(t, p.Cable())
		defer h.close()
		reachable(true)
		time.Sleep(5 * time.Minute)
		reachable(false)
		p.SetPasscode("")
		reachable(true)
	})
}
