package flow_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/mux"
	"gomuxd/pairrecord"
	"gomuxd/virtualphone"
)

const udid = "00008110-000A111122223333"

// rig is one virtual phone and the flow that cares for it, in a bubble.
type rig struct {
	t       *testing.T
	phone   *virtualphone.Phone
	records *pairrecord.Store
	keys    *flow.Keys
	policy  trust.Policy
	mu      sync.Mutex    // guards states and seen
	states  []trust.State // each new one
	seen    flow.Status   // the latest
	last    flow.Status   // as expect saw it
	flow    *flow.Flow
	pull    func()
}

// play runs f with a phone that is plugged in.
func play(t *testing.T, cfg virtualphone.Config, policy trust.Policy, f func(r *rig)) {
	t.Helper()
	records, err := pairrecord.Open(t.TempDir(), pairrecord.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	synctest.Test(t, func(t *testing.T) {
		cfg.UDID = udid
		phone, err := virtualphone.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{t: t, phone: phone, records: records, keys: new(flow.Keys), policy: policy}
		r.plug()
		f(r)
		r.pull()
		r.keys.Wait()
		phone.Close()
		if v := phone.Violations(); v.Total() != 0 {
			t.Errorf("the phone counted violations: %v\n%v", v, phone.ViolationNotes())
		}
	})
}

// plug plugs the phone in and starts a flow.
func (r *rig) plug() {
	r.t.Helper()
	cable := r.phone.Cable() // a restart has plugged it already
	if cable == nil {
		var err error
		if cable, err = r.phone.Plug(); err != nil {
			r.t.Fatal(err)
		}
	}
	session, err := mux.Open(context.Background(), cable.Pipe(), mux.Config{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.flow = flow.New(flow.Config{
		UDID: udid,
		Dial: func(ctx context.Context, port uint16) (net.Conn, error) {
			c, err := session.Dial(ctx, port)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		Refused: mux.ErrRefused, Silent: mux.ErrDialTimeout,
		Policy: r.policy, Records: r.records, Keys: r.keys,
		Changed: func(s flow.Status) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.seen.State != s.State {
				r.states = append(r.states, s.State)
			}
			r.seen = s
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.flow.Run(ctx)
	}()
	r.pull = func() {
		cancel()
		<-done
		session.Close()
		r.phone.Unplug()
	}
}

// expect lets the time pass and wants a state.
func (r *rig) expect(after time.Duration, want trust.State, cause string) {
	r.t.Helper()
	r.pass(after)
	if r.last.State != want || r.last.Cause != cause {
		r.t.Fatalf("want %v (%s) after %v, got %v (%s); seen %v", want, cause, after, r.last.State, r.last.Cause, r.states)
	}
}

// pass lets the time pass and looks.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = r.seen
}

// saw wants a state to have been passed.
func (r *rig) saw(want trust.State) {
	r.t.Helper()
	if !slices.Contains(r.states, want) {
		r.t.Errorf("want %v among %v", want, r.states)
	}
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// trusted brings the phone to trust us.
func (r *rig) trusted() {
	r.t.Helper()
	r.expect(time.Second, trust.DialogShown, "")
	r.must(r.phone.TapTrust())
	if r.phone.State().PasscodeSet {
		r.must(r.phone.EnterPasscode("1234"))
	}
	r.expect(time.Second, trust.Trusted, "")
}

func (r *rig) dialogs(want uint64) {
	r.t.Helper()
	if got := r.phone.Stats().Dialogs; got != want {
		r.t.Errorf("want %d dialogs, the phone counted %d", want, got)
	}
}

func TestFirstConnection(t *testing.T) {
	play(t, virtualphone.Config{Passcode: "1234"}, trust.Auto, func(r *rig) {
		r.trusted()
		if r.last.Capacity == 0 || r.last.Expires == nil || *r.last.Expires != 30 || r.last.Identity.DeviceName == "" {
			t.Errorf("status %+v", r.last)
		}
		rec, err := r.records.Record(udid)
		if err != nil || len(rec.EscrowBag) == 0 || rec.WiFiMACAddress == "" {
			t.Errorf("record %v, %v", rec, err)
		}
		r.expect(time.Hour, trust.Trusted, "")
		r.dialogs(1)
	})
}

// A watch counts its own versions, and is as modern as a phone.
func TestWatch(t *testing.T) {
	cfg, err := virtualphone.Preset("watch")
	if err != nil {
		t.Fatal(err)
	}
	play(t, cfg, trust.Auto, func(r *rig) {
		r.trusted()
		if r.last.Expires == nil || *r.last.Expires != 30 {
			t.Errorf("expires %v", r.last.Expires)
		}
	})
}

// The dialog of iOS 26 comes half a minute late; the tap is told by the phone.
func TestLateDialog(t *testing.T) {
	cfg := virtualphone.Config{ProductVersion: "26.0", Passcode: "1234", Behavior: virtualphone.Behavior{DialogDelay: 30 * time.Second, TapNotifies: true}}
	play(t, cfg, trust.Auto, func(r *rig) {
		r.expect(time.Minute, trust.DialogShown, "")
		r.must(r.phone.TapTrust())
		r.expect(100*time.Millisecond, trust.PasscodeAwaited, "")
		r.must(r.phone.EnterPasscode("1234"))
		r.expect(time.Second, trust.Trusted, "")
		r.dialogs(1)
	})
}

func TestDenied(t *testing.T) {
	play(t, virtualphone.Config{}, trust.Auto, func(r *rig) {
		r.expect(time.Second, trust.DialogShown, "")
		r.must(r.phone.TapDontTrust())
		r.expect(5*time.Second, trust.Denied, "UserDeniedPairing")
		r.expect(time.Hour, trust.Denied, "UserDeniedPairing")
		r.dialogs(1)
		r.pull()
		r.plug()
		r.trusted()
	})
}

// A dialog that nobody answers is left alone after a while; the answer is still
// heard hours later.
func TestUnanswered(t *testing.T) {
	play(t, virtualphone.Config{}, trust.Auto, func(r *rig) {
		r.expect(10*time.Minute, trust.DialogGone, trust.CauseTimedOut)
		asked := r.phone.Stats().PairRequests
		r.expect(10*time.Hour, trust.DialogGone, trust.CauseTimedOut)
		if n := r.phone.Stats().PairRequests; n != asked {
			t.Errorf("asked %d times more", n-asked)
		}
		r.must(r.phone.TapTrust())
		r.expect(time.Second, trust.Trusted, "")
		r.dialogs(1)
	})
}

func TestDismissed(t *testing.T) {
	play(t, virtualphone.Config{}, trust.Auto, func(r *rig) {
		r.expect(10*time.Minute, trust.DialogGone, trust.CauseTimedOut)
		r.must(r.phone.DismissDialog())
		r.flow.Hear(trust.Told)
		r.expect(time.Second, trust.DialogShown, "")
		r.must(r.phone.TapTrust())
		r.expect(time.Second, trust.Trusted, "")
		r.dialogs(2)
	})
}

func TestLockedAndUnlocked(t *testing.T) {
	play(t, virtualphone.Config{Passcode: "1234", Locked: true}, trust.Auto, func(r *rig) {
		r.expect(time.Second, trust.Locked, "PasswordProtected")
		r.expect(time.Hour, trust.Locked, "PasswordProtected")
		r.dialogs(0)
		r.must(r.phone.Unlock("1234"))
		r.expect(20*time.Second, trust.DialogShown, "")
		r.must(r.phone.TapTrust())
		r.must(r.phone.EnterPasscode("1234"))
		r.expect(time.Second, trust.Trusted, "")
		r.pull()
		r.must(r.phone.Reboot())
		r.plug()
		r.expect(time.Second, trust.LockedSinceBoot, "PasswordProtected")
		r.must(r.phone.Unlock("1234"))
		r.expect(20*time.Second, trust.Trusted, "")
		r.dialogs(1)
	})
}

func TestForgotten(t *testing.T) {
	for name, forget := range map[string]func(r *rig){
		"while plugged in": func(r *rig) {
			r.phone.ResetLocationAndPrivacy()
			r.expect(6*time.Minute, trust.DialogShown, "InvalidHostID")
		},
		"while away": func(r *rig) {
			r.pull()
			r.phone.ResetLocationAndPrivacy()
			r.plug()
			r.expect(time.Second, trust.DialogShown, "InvalidHostID")
		},
		"unused for too long": func(r *rig) {
			r.pull()
			time.Sleep(40 * 24 * time.Hour)
			r.plug()
			r.expect(time.Second, trust.DialogShown, trust.CauseUnused)
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, virtualphone.Config{}, trust.Auto, func(r *rig) {
				r.trusted()
				forget(r)
				r.saw(trust.ForgottenByPhone)
				if _, err := r.records.Read(udid); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the old record is still in use: %v", err)
				}
				if all, err := r.records.Copies(udid); err != nil || len(all) != 1 {
					t.Errorf("the old record is not kept: %v, %v", all, err)
				}
				r.must(r.phone.TapTrust())
				r.expect(time.Second, trust.Trusted, "")
				r.dialogs(2)
			})
		})
	}
}

// Once trusted, never asked again.
func TestNeverAskedAgain(t *testing.T) {
	play(t, virtualphone.Config{}, trust.Auto, func(r *rig) {
		r.trusted()
		for range 100 {
			r.pull()
			time.Sleep(time.Hour)
			r.plug()
			r.expect(time.Second, trust.Trusted, "")
		}
		r.dialogs(1)
	})
}

func TestPolicies(t *testing.T) {
	for policy, want := range map[trust.Policy]trust.State{trust.Ask: trust.NotAsked, trust.Never: trust.Disabled} {
		t.Run(string(policy), func(t *testing.T) {
			play(t, virtualphone.Config{}, policy, func(r *rig) {
				r.expect(time.Hour, want, "policy-"+string(policy))
				r.dialogs(0)
				r.flow.Hear(trust.Told)
				r.trusted()
			})
		})
	}
}

// A new policy holds for a phone that is plugged in.
func TestSetPolicy(t *testing.T) {
	play(t, virtualphone.Config{}, trust.Never, func(r *rig) {
		r.expect(time.Hour, trust.Disabled, "policy-never")
		r.flow.SetPolicy(trust.Ask)
		r.expect(time.Minute, trust.NotAsked, "policy-ask")
		r.dialogs(0)
		r.flow.SetPolicy(trust.Auto)
		r.expect(time.Minute, trust.DialogShown, "")
		r.trusted()
	})
}

// A phone that falls silent, or talks nonsense, is said to, and comes back.
func TestMisbehaving(t *testing.T) {
	t.Run("silent", func(t *testing.T) {
		play(t, virtualphone.Config{}, trust.Auto, func(r *rig) {
			r.expect(time.Second, trust.DialogShown, "")
			r.phone.SilenceAlways(virtualphone.AnyRequest)
			r.expect(5*time.Minute, trust.NotAnswering, trust.CauseSilent)
			r.phone.Heal(virtualphone.AnyRequest)
			r.expect(3*time.Minute, trust.DialogShown, "")
		})
	})
	for _, kind := range virtualphone.GarbageKinds() {
		t.Run(string(kind), func(t *testing.T) {
			play(t, virtualphone.Config{}, trust.Auto, func(r *rig) {
				r.trusted()
				r.phone.GarbageAlways(virtualphone.AnyRequest, kind)
				time.Sleep(15 * time.Minute)
				r.phone.Heal(virtualphone.AnyRequest)
				r.pass(15 * time.Minute)
				if r.last.State == trust.DialogShown || r.last.State == trust.DialogGone { // the record was put away for TLS
					r.phone.TapTrust()
					r.pass(10 * time.Second)
				}
				r.expect(time.Minute, trust.Trusted, "")
			})
		})
	}
}

// An unpairing reaches the phone, now or when it is back.
func TestUntrust(t *testing.T) {
	play(t, virtualphone.Config{}, trust.Auto, func(r *rig) {
		r.trusted()
		r.must(r.records.Untrust(udid))
		if !r.flow.Untrust(context.Background()) {
			t.Error("the phone was not told")
		}
		r.expect(time.Hour, trust.NotAsked, trust.CauseUnpairedHere)
		if n := len(r.phone.State().Hosts); n != 0 {
			t.Errorf("the phone still trusts %d hosts", n)
		}
		r.flow.Hear(trust.Told)
		r.trusted()
		r.pull()
		r.must(r.records.Untrust(udid))
		r.plug()
		r.expect(time.Second, trust.NotAsked, trust.CauseUnpairedHere)
		if n := len(r.phone.State().Hosts); n != 0 {
			t.Errorf("the phone still trusts %d hosts", n)
		}
	})
}

// Restore mode has no trust.
func TestRestoreMode(t *testing.T) {
	play(t, virtualphone.Config{RestoreMode: true}, trust.Auto, func(r *rig) {
		r.expect(time.Hour, trust.RestoreMode, "")
	})
}
