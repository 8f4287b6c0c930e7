package virtualphone

import (
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/virtualphone/service"
)

// inBubble runs f in a bubble with a plugged phone.
func inBubble(t *testing.T, cfg Config, f func(t *testing.T, p *Phone, h *muxHost)) {
	t.Helper()
	sharedDeviceKey()
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		p, err := New(cfg)
		must(t, err)
		defer p.Close()
		h := dialPhone(t, plug(t, p))
		defer h.close()
		f(t, p, h)
		clean(t, p)
	})
}

// notified counts request_pair notifications from now on.
func notified(t testing.TB, h *muxHost) func() int {
	t.Helper()
	l := lockdownOf(h)
	a := l.want("StartService", map[string]any{"Service": ServiceInsecureNotification}, "")
	c := h.mustDial(uint16(a["Port"].(uint64)))
	must(t, service.WritePlist(c, map[string]any{"Command": "ObserveNotification", "Name": service.RequestPair}, false))
	n := 0
	go func() {
		for {
			var m map[string]any
			if _, err := service.ReadPlist(c, &m); err != nil {
				return
			}
			n++
		}
	}()
	synctest.Wait()
	return func() int {
		synctest.Wait()
		return n
	}
}

func TestNotifications(t *testing.T) {
	for _, tt := range []struct {
		name                  string
		b                     Behavior
		tap, passcode, denied int // notifications after each
	}{
		{name: "as ever", tap: 0, passcode: 1, denied: 1},
		{name: "at the tap", b: Behavior{TapNotifies: true}, tap: 1, passcode: 2, denied: 2},
		{name: "at a denial", b: Behavior{DenialNotifies: true}, tap: 0, passcode: 1, denied: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Config{Passcode: "1", Behavior: tt.b}, func(t *testing.T, p *Phone, h *muxHost) {
				count := notified(t, h)
				l := lockdownOf(h)
				c := l.computer("H", "B")
				l.pair(c, "PairingDialogResponsePending")
				must(t, p.TapTrust())
				if n := count(); n != tt.tap {
					t.Errorf("after the tap %d notifications, want %d", n, tt.tap)
				}
				l.pair(c, "PairingDialogResponsePending")
				must(t, p.EnterPasscode("1"))
				if n := count(); n != tt.passcode {
					t.Errorf("after the passcode %d notifications, want %d", n, tt.passcode)
				}
				l.pair(c, "")
				if s := p.State(); s.LastDialog != DialogTrusted {
					t.Errorf("last dialog %s", s.LastDialog)
				}
				other := l.computer("O", "OB")
				l.pair(other, "PairingDialogResponsePending")
				must(t, p.TapDontTrust())
				if n := count(); n != tt.denied {
					t.Errorf("after the denial %d notifications, want %d", n, tt.denied)
				}
				l.pair(other, "UserDeniedPairing")
				if s, st := p.State(), p.Stats(); s.LastDialog != DialogDenied || st.Denials != 1 || st.Dialogs != 2 || st.PairRequests != 5 {
					t.Errorf("state %+v, stats %+v", s, st)
				}
			})
		})
	}
}

func TestRejectedAnswer(t *testing.T) {
	for _, name := range []string{"PairingDialogResponsePending", "UserDeniedPairing"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{Behavior: Behavior{RejectAnswer: name}}, func(t *testing.T, p *Phone, h *muxHost) {
				l := lockdownOf(h)
				c := l.computer("H", "B")
				l.pair(c, "PairingDialogResponsePending")
				must(t, p.TapTrust())
				for range 59 {
					l.pair(l.computer("H-NEW", "B"), name)
					time.Sleep(time.Second)
				}
				if s := p.State(); s.Accepted || s.Dialog != NoDialog || len(s.Hosts) != 0 {
					t.Errorf("state %+v", s)
				}
				// The dialog comes back, and the phone rejects again.
				time.Sleep(2 * time.Second)
				l.pair(c, "PairingDialogResponsePending")
				must(t, p.TapTrust())
				l.pair(c, name)
				// A phone that has come to itself asks at once.
				p.SetBehavior(Behavior{})
				l.pair(c, "PairingDialogResponsePending")
				must(t, p.TapTrust())
				l.pair(c, "")
				if n := p.Stats().Dialogs; n != 3 {
					t.Errorf("%d dialogs, want 3", n)
				}
			})
		})
	}
}

func TestDialogTimeout(t *testing.T) {
	inBubble(t, Config{Passcode: "1", Behavior: Behavior{DialogTimeout: time.Minute}}, func(t *testing.T, p *Phone, h *muxHost) {
		l := lockdownOf(h)
		c := l.computer("H", "B")
		up := func() time.Duration {
			t.Helper()
			l.pair(c, "PairingDialogResponsePending")
			since := time.Now()
			if _, err := p.Wait(t.Context(), waitFor["dialog"]); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Wait(t.Context(), waitFor["gone"]); err != nil {
				t.Fatal(err)
			}
			return time.Since(since)
		}
		if d := up(); d != time.Minute {
			t.Errorf("up for %v, want 1m", d)
		}
		if s := p.State(); s.LastDialog != DialogTimedOut || p.Stats().DialogTimeouts != 1 {
			t.Errorf("last dialog %s, stats %+v", s.LastDialog, p.Stats())
		}
		p.SetBehavior(Behavior{DialogTimeout: time.Minute, DialogDelay: 20 * time.Second})
		if d := up(); d != 80*time.Second {
			t.Errorf("up until %v, want 1m20s", d)
		}
		// The passcode prompt stays.
		l.pair(c, "PairingDialogResponsePending")
		time.Sleep(21 * time.Second)
		must(t, p.TapTrust())
		time.Sleep(time.Hour)
		must(t, p.EnterPasscode("1"))
		l.pair(c, "")
	})
}

// TestBehaviorDuringDialog: times are measured anew from when they began.
func TestBehaviorDuringDialog(t *testing.T) {
	inBubble(t, Config{Behavior: Behavior{DialogDelay: time.Hour}}, func(t *testing.T, p *Phone, h *muxHost) {
		l := lockdownOf(h)
		l.pair(l.computer("H", "B"), "PairingDialogResponsePending")
		dialog := func(want Dialog) {
			t.Helper()
			synctest.Wait()
			if d := p.State().Dialog; d != want {
				t.Errorf("dialog %s, want %s", d, want)
			}
		}
		time.Sleep(10 * time.Second)
		p.SetBehavior(Behavior{DialogDelay: 15 * time.Second})
		dialog(NoDialog)
		time.Sleep(5 * time.Second)
		dialog(TrustDialog)
		time.Sleep(time.Minute)
		p.SetBehavior(Behavior{DialogTimeout: 2 * time.Minute})
		dialog(TrustDialog)
		p.SetBehavior(Behavior{})
		time.Sleep(5 * time.Minute)
		dialog(TrustDialog)
		p.SetBehavior(Behavior{DialogTimeout: 2 * time.Minute})
		dialog(NoDialog)
		if n := p.Stats().Dialogs; n != 1 {
			t.Errorf("%d dialogs, want 1", n)
		}
	})
}

func TestDialogEnds(t *testing.T) {
	for _, tt := range []struct {
		want DialogEnd
		end  func(*Phone) error
	}{
		{DialogTrusted, (*Phone).TapTrust},
		{DialogDenied, (*Phone).TapDontTrust},
		{DialogDismissed, (*Phone).DismissDialog},
		{DialogLocked, func(p *Phone) error { p.SetPasscode("1"); return p.Lock() }},
		{DialogWithdrawn, (*Phone).Reboot},
		{DialogWithdrawn, func(p *Phone) error { p.Unplug(); return nil }},
		{DialogWithdrawn, func(p *Phone) error { p.ResetLocationAndPrivacy(); return nil }},
	} {
		p := newPhone(t, Config{})
		l := lockdownOf(dialPhone(t, plug(t, p)))
		l.pair(l.computer("H", "B"), "PairingDialogResponsePending")
		must(t, tt.end(p))
		if s := p.State(); s.Dialog != NoDialog || s.LastDialog != tt.want {
			t.Errorf("dialog %s, the last one %s, want %s", s.Dialog, s.LastDialog, tt.want)
		}
	}
}

// TestPolling: a host that keeps asking is counted, not blamed.
func TestPolling(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, p *Phone, h *muxHost) {
		l := lockdownOf(h)
		c := l.computer("H", "B")
		for range 120 {
			l.pair(c, "PairingDialogResponsePending")
			time.Sleep(500 * time.Millisecond)
		}
		if s := p.Stats(); s.PairRequests != 120 || s.Dialogs != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestTrustPersists: after one Trust, nothing that a phone goes through in a day
// raises a dialog.
func TestTrustPersists(t *testing.T) {
	p, h, c := paired(t, Config{})
	p.SetPasscode("1")
	for i := range 20 {
		h.close()
		if i%5 == 4 {
			must(t, p.Reboot())
		} else {
			p.Unplug()
			plug(t, p)
		}
		h = dialPhone(t, p.Cable())
		must(t, p.Unlock("1"))
		l := lockdownOf(h)
		l.start(c, c.cert)
		l.c.Close()
	}
	if n := p.Stats().Dialogs; n != 1 {
		t.Errorf("%d dialogs, want the first only", n)
	}
	// Nor do the sessions that run end when their host is forgotten.
	l := lockdownOf(h)
	l.start(c, c.cert)
	p.ResetLocationAndPrivacy()
	l.value("", "DeviceName")
	clean(t, p)
}

// TestRebootForgetsAnswer: Trust that no Pair has fetched outlives a replug only.
func TestRebootForgetsAnswer(t *testing.T) {
	p := newPhone(t, Config{})
	l := lockdownOf(dialPhone(t, plug(t, p)))
	c := l.computer("H", "B")
	l.pair(c, "PairingDialogResponsePending")
	must(t, p.TapTrust())
	p.Unplug()
	plug(t, p)
	if !p.State().Accepted {
		t.Error("a replug has lost the answer")
	}
	must(t, p.Reboot())
	l = lockdownOf(dialPhone(t, p.Cable()))
	l.pair(c, "PairingDialogResponsePending")
}
