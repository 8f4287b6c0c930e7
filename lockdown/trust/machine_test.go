package trust

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// step is a thing that happens to a machine and what it must be then.
type step struct {
	deed  Deed // what Next must give before, at once or at the time it names
	r     Result
	hear  Event
	heard bool          // the step is hear, not the deed
	now   Policy        // the step is this change, unless empty
	wait  time.Duration // before the step; 0 for a deed: until it is due
	state State
	cause string
}

func did(d Deed, r Result, s State, cause string) step {
	return step{deed: d, r: r, state: s, cause: cause}
}

func heard(e Event, s State, cause string) step {
	return step{hear: e, heard: true, state: s, cause: cause}
}

func policy(p Policy, s State, cause string) step { return step{now: p, state: s, cause: cause} }

func after(d time.Duration, s step) step { s.wait = d; return s }

// Results that come often.
var (
	phone     = Result{Class: "iPhone", Major: 17, Passcode: true}
	noCode    = Result{Class: "iPhone", Major: 17}
	withOurs  = Result{Class: "iPhone", Major: 17, Passcode: true, Record: true}
	old       = Result{Class: "iPhone", Major: 6, Passcode: true}
	fine      = Result{}
	opened    = Result{Record: true, Escrow: true}
	bagless   = Result{Record: true}
	gone      = Result{}
	dialogUp  = Result{Cause: nameDialogPending}
	lockedNow = Result{Cause: namePasswordProtected, Record: true}
	unknown   = Result{Cause: nameInvalidHostID, Record: true}
	alien     = Result{Cause: nameInvalidHostID, Record: true, Stranger: true}
)

func because(cause string) Result  { return Result{Cause: cause} }
func recorded(cause string) Result { return Result{Cause: cause, Record: true} }

// asked are the steps of a phone without record up to its dialog.
func asked(first Result, more ...step) []step {
	return append([]step{
		did(Identify, first, Connecting, ""),
		did(Listen, fine, Connecting, ""),
		did(Pair, dialogUp, DialogShown, ""),
	}, more...)
}

func TestMachine(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cfg   Config
		steps []step
	}{
		{"first connection", Config{}, asked(phone,
			heard(RequestPair, DialogShown, ""),
			did(Pair, fine, DialogShown, ""),
			did(Save, fine, DialogShown, ""),
			did(Check, opened, Trusted, ""),
			did(Check, opened, Trusted, ""), // five minutes later
		)},
		{"the tap is told before the passcode", Config{}, asked(phone,
			heard(RequestPair, DialogShown, ""),
			did(Pair, dialogUp, PasscodeAwaited, ""),
			heard(RequestPair, PasscodeAwaited, ""),
			did(Pair, fine, PasscodeAwaited, ""),
			did(Save, fine, PasscodeAwaited, ""),
			did(Check, opened, Trusted, ""),
		)},
		{"an answer that the phone does not accept", Config{}, asked(noCode,
			heard(RequestPair, DialogShown, ""),
			did(Pair, dialogUp, AnswerNotAccepted, nameDialogPending),
			did(Pair, because("SavePairRecordFailed"), AnswerNotAccepted, "SavePairRecordFailed"),
			heard(RequestPair, AnswerNotAccepted, "SavePairRecordFailed"),
			did(Pair, fine, AnswerNotAccepted, "SavePairRecordFailed"),
			did(Save, fine, AnswerNotAccepted, "SavePairRecordFailed"),
			did(Check, opened, Trusted, ""),
		)},
		{"Don't Trust, told by a poll; the phone is not bothered again", Config{}, asked(phone,
			did(Pair, because(nameUserDenied), Denied, nameUserDenied),
			after(time.Hour, did(Rest, fine, Denied, nameUserDenied)),
			heard(Told, Denied, nameUserDenied),
			did(Pair, dialogUp, DialogShown, ""),
		)},
		{"locked, then unlocked", Config{}, []step{
			did(Identify, phone, Connecting, ""),
			did(Listen, because(namePasswordProtected), Connecting, ""),
			did(Pair, because(namePasswordProtected), Locked, namePasswordProtected),
			did(Pair, because(namePasswordProtected), Locked, namePasswordProtected),
			did(Pair, dialogUp, DialogShown, ""),
			did(Listen, fine, DialogShown, ""), // which was refused before
			did(Pair, dialogUp, DialogShown, ""),
		}},
		{"locked while the dialog is up", Config{}, asked(phone,
			did(Pair, because(namePasswordProtected), Locked, CauseLockedAway),
			did(Pair, because(namePasswordProtected), Locked, CauseLockedAway),
			did(Pair, dialogUp, DialogShown, ""),
		)},
		{"locked since its start, record good", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, lockedNow, LockedSinceBoot, namePasswordProtected),
			did(Check, opened, Trusted, ""),
		}},
		{"forgotten while away", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, unknown, ForgottenByPhone, nameInvalidHostID),
			did(SetAside, gone, ForgottenByPhone, nameInvalidHostID),
			did(Listen, fine, ForgottenByPhone, nameInvalidHostID),
			did(Pair, dialogUp, DialogShown, nameInvalidHostID),
		}},
		{"forgotten while plugged in", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, opened, Trusted, ""),
			did(Check, unknown, ForgottenByPhone, nameInvalidHostID),
			did(SetAside, gone, ForgottenByPhone, nameInvalidHostID),
		}},
		{"forgotten while plugged in, noticed after a client", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, opened, Trusted, ""),
			after(time.Minute, heard(ClientsGone, Trusted, "")),
			after(1, did(Check, unknown, ForgottenByPhone, nameInvalidHostID)),
			did(SetAside, gone, ForgottenByPhone, nameInvalidHostID),
		}},
		{"clients that come and go every second", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, opened, Trusted, ""),
			after(time.Second, heard(ClientsGone, Trusted, "")),
			after(relook-time.Second-1, did(Rest, fine, Trusted, "")),
			after(1, did(Check, opened, Trusted, "")),
			after(time.Second, heard(ClientsGone, Trusted, "")),
			after(time.Second, heard(ClientsGone, Trusted, "")),
			after(relook-2*time.Second-1, did(Rest, fine, Trusted, "")),
			after(1, did(Check, opened, Trusted, "")),
			after(recheck-1, did(Rest, fine, Trusted, "")), // left alone without them
			after(1, did(Check, opened, Trusted, "")),
		}},
		{"unused for too long", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, Result{Cause: nameInvalidHostID, Record: true, Unused: true}, ForgottenByPhone, CauseUnused),
			did(SetAside, gone, ForgottenByPhone, CauseUnused),
			did(Listen, fine, ForgottenByPhone, CauseUnused),
			did(Pair, dialogUp, DialogShown, CauseUnused),
		}},
		{"forgotten, policy ask", Config{Policy: Ask}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, unknown, ForgottenByPhone, nameInvalidHostID),
			did(SetAside, gone, ForgottenByPhone, nameInvalidHostID),
			after(time.Hour, did(Rest, fine, ForgottenByPhone, nameInvalidHostID)),
			heard(Told, ForgottenByPhone, nameInvalidHostID),
			did(Listen, fine, ForgottenByPhone, nameInvalidHostID),
			did(Pair, dialogUp, DialogShown, nameInvalidHostID),
		}},
		{"a record of another computer that the phone refuses", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, alien, BUIDMismatch, CauseBUID),
			did(SetAside, gone, BUIDMismatch, CauseBUID),
			did(Listen, fine, BUIDMismatch, CauseBUID),
			did(Pair, dialogUp, DialogShown, CauseBUID),
		}},
		{"a record of another BUID that does", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, Result{Record: true, Stranger: true}, Trusted, ""),
		}},
		{"TLS fails once", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, recorded(CauseTLS), Connecting, ""),
			did(Check, opened, Trusted, ""),
		}},
		{"TLS fails twice", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, recorded(CauseTLS), Connecting, ""),
			did(Check, recorded(CauseTLS), RecordBroken, CauseTLS),
			did(SetAside, gone, RecordBroken, CauseTLS),
			did(Listen, fine, RecordBroken, CauseTLS),
			did(Pair, dialogUp, DialogShown, CauseTLS),
		}},
		{"record unreadable", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, recorded(CauseUnreadable), RecordBroken, CauseUnreadable),
			did(SetAside, because(CauseDisk), RecordBroken, CauseDisk),
			did(SetAside, gone, RecordBroken, CauseDisk),
			did(Listen, fine, RecordBroken, CauseDisk),
		}},
		{"record cannot be saved", Config{}, asked(phone,
			heard(RequestPair, DialogShown, ""),
			did(Pair, fine, DialogShown, ""),
			did(Save, because(CauseDisk), RecordBroken, CauseDisk),
			did(Save, fine, RecordBroken, CauseDisk),
			did(Check, opened, Trusted, ""),
		)},
		{"the dialog is never answered", Config{}, asked(phone,
			after(6*time.Minute, did(Pair, dialogUp, DialogGone, CauseTimedOut)),
			after(24*time.Hour, did(Rest, fine, DialogGone, CauseTimedOut)),
			heard(ProxyLost, DialogGone, CauseTimedOut),
			did(Listen, because(CauseBroken), DialogGone, CauseTimedOut),
			did(Listen, fine, DialogGone, CauseTimedOut),
			after(time.Hour, did(Rest, fine, DialogGone, CauseTimedOut)),
			heard(RequestPair, DialogGone, CauseTimedOut),
			did(Pair, fine, DialogGone, CauseTimedOut),
			did(Save, fine, DialogGone, CauseTimedOut),
			did(Check, opened, Trusted, ""),
		)},
		{"policy ask", Config{Policy: Ask}, []step{
			did(Identify, phone, NotAsked, CausePolicyAsk),
			after(time.Hour, did(Rest, fine, NotAsked, CausePolicyAsk)),
			heard(Told, NotAsked, CausePolicyAsk),
			did(Listen, fine, NotAsked, CausePolicyAsk),
			did(Pair, dialogUp, DialogShown, ""),
		}},
		{"policy never", Config{Policy: Never}, []step{
			after(time.Hour, did(Rest, fine, Disabled, CausePolicyNever)),
			heard(Told, Disabled, CausePolicyNever),
			did(Identify, withOurs, Disabled, CausePolicyNever),
			did(Check, opened, Trusted, ""),
			after(time.Hour, did(Rest, fine, Trusted, "")),
		}},
		{"from ask to auto and back", Config{Policy: Ask}, []step{
			did(Identify, phone, NotAsked, CausePolicyAsk),
			policy(Auto, NotAsked, CausePolicyAsk),
			did(Listen, fine, NotAsked, CausePolicyAsk),
			did(Pair, dialogUp, DialogShown, ""),
			policy(Ask, NotAsked, CausePolicyAsk),
			after(time.Hour, did(Rest, fine, NotAsked, CausePolicyAsk)),
			policy(Auto, NotAsked, CausePolicyAsk),
			did(Pair, fine, NotAsked, CausePolicyAsk),
			policy(Never, NotAsked, CausePolicyAsk), // what is paired is saved
			did(Save, fine, NotAsked, CausePolicyAsk),
			did(Check, opened, Trusted, ""),
			after(time.Hour, did(Rest, fine, Trusted, "")),
			policy(Auto, Trusted, ""),
			did(Identify, withOurs, Trusted, ""),
			did(Check, opened, Trusted, ""),
			policy(Ask, Trusted, ""),
			did(Check, opened, Trusted, ""),
		}},
		{"from auto to never and back", Config{}, asked(phone,
			policy(Never, Disabled, CausePolicyNever),
			after(time.Hour, did(Rest, fine, Disabled, CausePolicyNever)),
			policy(Auto, Connecting, ""),
			did(Identify, phone, Connecting, ""),
		)},
		{"from auto to ask, while one that has forgotten us asks", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, unknown, ForgottenByPhone, nameInvalidHostID),
			did(SetAside, gone, ForgottenByPhone, nameInvalidHostID),
			did(Listen, fine, ForgottenByPhone, nameInvalidHostID),
			did(Pair, dialogUp, DialogShown, nameInvalidHostID),
			policy(Ask, NotAsked, CausePolicyAsk),
			after(time.Hour, did(Rest, fine, NotAsked, CausePolicyAsk)),
			heard(Told, NotAsked, CausePolicyAsk),
			did(Pair, dialogUp, DialogShown, nameInvalidHostID),
		}},
		{"what is ordered goes on under any policy", Config{Policy: Ask}, []step{
			did(Identify, phone, NotAsked, CausePolicyAsk),
			heard(Told, NotAsked, CausePolicyAsk),
			policy(Never, NotAsked, CausePolicyAsk),
			did(Listen, fine, NotAsked, CausePolicyAsk),
			did(Pair, dialogUp, DialogShown, ""),
		}},
		{"what was untrusted here is not asked for because of a policy", Config{Policy: Ask}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, opened, Trusted, ""),
			heard(ClientDeleted, NotAsked, CauseUnpairedHere),
			policy(Auto, NotAsked, CauseUnpairedHere),
			after(time.Hour, did(Rest, fine, NotAsked, CauseUnpairedHere)),
		}},
		{"no policy changes a device without lockdownd", Config{NoLockdown: true}, []step{
			policy(Never, NoLockdown, ""),
			policy(Auto, NoLockdown, ""),
			after(time.Hour, did(Rest, fine, NoLockdown, "")),
		}},
		{"a client pairs by itself", Config{}, asked(phone,
			heard(ClientsHere, DialogShown, ""),
			heard(ClientMissed, DialogShown, ""),
			heard(RequestPair, DialogShown, ""),
			after(10*time.Second, did(Rest, fine, DialogShown, "")), // it has the right of way
			heard(ClientSaved, DialogShown, ""),
			did(Check, opened, Trusted, ""),
		)},
		{"a client gives up", Config{}, asked(phone,
			heard(ClientsHere, DialogShown, ""),
			heard(ClientMissed, DialogShown, ""),
			heard(RequestPair, DialogShown, ""),
			heard(ClientsGone, DialogShown, ""),
			did(Pair, fine, DialogShown, ""),
			did(Save, fine, DialogShown, ""),
			did(Check, opened, Trusted, ""),
		)},
		{"a client that never ends", Config{}, asked(phone,
			heard(ClientsHere, DialogShown, ""),
			heard(ClientMissed, DialogShown, ""),
			heard(RequestPair, DialogShown, ""),
			did(Pair, fine, DialogShown, ""), // a minute later
			did(Save, fine, DialogShown, ""),
			did(Check, opened, Trusted, ""),
		)},
		{"a client unpairs", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, opened, Trusted, ""),
			heard(ClientDeleted, NotAsked, CauseUnpairedHere),
			after(time.Hour, did(Rest, fine, NotAsked, CauseUnpairedHere)),
			heard(ClientSaved, NotAsked, CauseUnpairedHere),
			did(Check, opened, Trusted, ""),
		}},
		{"untrust", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, opened, Trusted, ""),
			heard(Dismissed, NotAsked, CauseUnpairedHere),
			did(Unpair, recorded(namePasswordProtected), NotAsked, CauseUnpairedHere),
			did(Unpair, fine, NotAsked, CauseUnpairedHere),
			after(time.Hour, did(Rest, fine, NotAsked, CauseUnpairedHere)),
		}},
		{"untrusted while away, trusted anew", Config{}, []step{
			did(Identify, Result{Class: "iPhone", Major: 17, Record: true, Untrusted: true}, Connecting, ""),
			did(Unpair, fine, NotAsked, CauseUnpairedHere),
			did(Check, opened, Trusted, ""),
		}},
		{"iOS 6 has no dialog", Config{}, []step{
			did(Identify, old, Connecting, ""),
			did(Pair, fine, Connecting, ""),
			did(Save, fine, Connecting, ""),
			did(Check, bagless, Trusted, ""),
		}},
		{"restore mode", Config{}, []step{
			did(Identify, Result{Restoring: true}, RestoreMode, ""),
			after(time.Hour, did(Rest, fine, RestoreMode, "")),
		}},
		{"no lockdown", Config{NoLockdown: true}, []step{
			after(time.Hour, did(Rest, fine, NoLockdown, "")),
			heard(Told, NoLockdown, ""),
			did(Rest, fine, NoLockdown, ""),
		}},
		{"silence, then an answer", Config{}, []step{
			did(Identify, because(CauseSilent), NotAnswering, CauseSilent),
			did(Identify, because(CauseGarbage), NotAnswering, CauseGarbage),
			did(Identify, withOurs, NotAnswering, CauseGarbage),
			did(Check, opened, Trusted, ""),
		}},
		{"silent in the middle", Config{}, asked(phone,
			did(Pair, because(CauseSilent), NotAnswering, CauseSilent),
			did(Identify, phone, NotAnswering, CauseSilent),
			did(Listen, fine, NotAnswering, CauseSilent),
			did(Pair, dialogUp, DialogShown, ""),
		)},
		{"the connection breaks once", Config{}, []step{
			did(Identify, withOurs, Connecting, ""),
			did(Check, opened, Trusted, ""),
			did(Check, recorded(CauseBroken), Trusted, ""),
			did(Identify, withOurs, Trusted, ""),
			did(Check, opened, Trusted, ""),
		}},
		{"restricted while locked", Config{}, []step{
			did(Identify, because(CauseRefused), AccessoryRestricted, CauseRefused),
			did(Identify, phone, AccessoryRestricted, CauseRefused),
		}},
		{"supervised", Config{}, []step{
			did(Identify, phone, Connecting, ""),
			did(Listen, fine, Connecting, ""),
			did(Pair, because(nameMCProtected), SupervisedChallenge, nameMCProtected),
		}},
		{"supervised, locked: a record without a bag, and one with it later", Config{Supervisor: true}, []step{
			did(Identify, phone, Connecting, ""),
			did(Listen, because(namePasswordProtected), Connecting, ""),
			did(Pair, fine, Connecting, ""),
			did(Save, fine, Connecting, ""),
			did(Check, bagless, Trusted, ""),
			did(Pair, because(namePasswordProtected), Trusted, ""),
			did(Check, bagless, Trusted, ""),
			did(Pair, fine, Trusted, ""),
			did(Save, fine, Trusted, ""),
			did(Check, opened, Trusted, ""),
		}},
		{"prohibited over this connection", Config{}, []step{
			did(Identify, phone, Connecting, ""),
			did(Listen, fine, Connecting, ""),
			did(Pair, because(nameProhibited), PairingProhibited, nameProhibited),
			did(Pair, because(nameFMiPProtected), FindMyProtected, nameFMiPProtected),
			did(Pair, because(nameEscrowLocked), EscrowLocked, nameEscrowLocked),
			did(Pair, because(nameServiceLimit), ServiceLimit, nameServiceLimit),
			did(Pair, because("SomethingNew"), AnswerNotAccepted, "SomethingNew"),
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cfg.Policy == "" {
				tt.cfg.Policy = Auto
			}
			now := time.Unix(1_800_000_000, 0)
			m := New(tt.cfg, now)
			for i, s := range tt.steps {
				now = play(t, m, fmt.Sprintf("step %d", i), now, s)
			}
		})
	}
}

// play does one step, at the time it is due.
func play(t *testing.T, m *Machine, name string, now time.Time, s step) time.Time {
	t.Helper()
	now = now.Add(s.wait)
	switch {
	case s.heard:
		m.Hear(now, s.hear)
	case s.now != "":
		m.SetPolicy(now, s.now)
	default:
		d, at := m.Next(now)
		if d == Rest && s.deed != Rest && s.wait == 0 {
			if at.IsZero() {
				t.Fatalf("%s: want %v, but nothing is planned in state %v", name, s.deed, m.state)
			}
			now = at
			d, _ = m.Next(now)
		}
		if d != s.deed {
			t.Fatalf("%s: want %v, got %v (state %v)", name, s.deed, d, m.state)
		}
		if d != Rest {
			m.Done(now, d, s.r)
		}
	}
	if state, cause := m.State(); state != s.state || cause != s.cause {
		t.Fatalf("%s: want %v (%s), got %v (%s)", name, s.state, s.cause, state, cause)
	}
	return now
}

// TestPauses asserts how often a phone is asked while a person is waited for.
func TestPauses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result Result
		want   []time.Duration // between the first attempts
		hour   int             // attempts in the first hour, at most
	}{
		{"dialog", dialogUp, seconds(1, 2, 4, 8, 16, 32, 60), 13},
		{"locked", because(namePasswordProtected), seconds(1, 2, 4, 8, 15, 15), 250},
		{"prohibited", because(nameProhibited), seconds(1, 2, 4, 8, 16, 32, 60, 60), 70},
		{"denied", because(nameUserDenied), nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			end := now.Add(time.Hour)
			m := New(Config{Policy: Auto}, now)
			var times []time.Time
			for now.Before(end) {
				d, at := m.Next(now)
				switch d {
				case Rest:
					if at.IsZero() {
						at = end
					}
					now = at
				case Identify:
					m.Done(now, d, phone)
				case Pair:
					times = append(times, now)
					m.Done(now, d, tt.result)
				default:
					m.Done(now, d, Result{})
				}
			}
			if len(times) > tt.hour {
				t.Errorf("%d attempts in an hour", len(times))
			}
			for i, want := range tt.want {
				if got := times[i+1].Sub(times[i]); got != want {
					t.Errorf("pause %d is %v, want %v", i, got, want)
				}
			}
		})
	}
}

func seconds(all ...int) (d []time.Duration) {
	for _, s := range all {
		d = append(d, time.Duration(s)*time.Second)
	}
	return d
}

// TestRecordSavedMeanwhile asserts that a record which a client has saved just when
// there was none to be checked is checked, and not replaced by a pairing.
func TestRecordSavedMeanwhile(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := New(Config{Policy: Auto}, now)
	m.Done(now, Identify, Result{Class: "iPhone", Major: 17, Record: true})
	m.Done(now, Check, Result{Cause: CauseNoRecord, Record: true})
	d, at := m.Next(now)
	if d != Rest || at.IsZero() {
		t.Fatalf("want a pause, got %v", d)
	}
	if d, _ := m.Next(at); d != Check {
		t.Errorf("want %v, got %v", Check, d)
	}
}

// FuzzMachine asserts that no order of results, events and policies stops the machine
// for good, has it spin, or gives it a state without a name.
func FuzzMachine(f *testing.F) {
	causes := []string{"", nameDialogPending, namePasswordProtected, nameUserDenied, nameInvalidHostID, nameProhibited,
		nameMCProtected, nameFMiPProtected, nameEscrowLocked, nameServiceLimit, namePasscodeRequired, "Odd", CauseSilent,
		CauseGarbage, CauseRefused, CauseBroken, CauseTLS, CauseDeviceKey, CauseUnreadable, CauseDisk, CauseNoRecord}
	policies := []Policy{Auto, Ask, Never}
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte("\x00\x01\x02\x03\x80\x81\x82\x83\x84"))
	f.Add([]byte("\x15\x19\x00\x00\x16\x8a\x00")) // a dialog, and then policy ask
	f.Add([]byte("*0\xe3C\x15\xfa000)0"))         // supervised when the record is gone, under policy ask
	f.Add([]byte("\x000**)0**)0**0"))             // each record is gone as soon as it is saved
	f.Add([]byte("\x000**)0**C*0*0"))             // one is gone, the next is refused
	f.Add([]byte("*\xe3C\x15\xfa0)\xa50"))        // gone, and there again, between policies
	f.Fuzz(func(t *testing.T, script []byte) {
		now := time.Unix(1_800_000_000, 0)
		m := New(Config{Policy: Auto}, now)
		busy := 0
		for _, b := range script {
			if b >= 0x80 {
				if n := int(b) % (int(Dismissed) + 1 + len(policies)); n <= int(Dismissed) {
					m.Hear(now, Event(n))
				} else {
					m.SetPolicy(now, policies[n-int(Dismissed)-1])
				}
				busy = 0
				continue
			}
			d, at := m.Next(now)
			if d == Rest {
				busy = 0
				if at.IsZero() {
					if !restful(m) {
						t.Fatalf("nothing is planned in state %v, policy %v", m.state, m.cfg.Policy)
					}
					at = now.Add(time.Second)
				}
				now = at
				continue
			}
			if busy++; busy > 12 {
				t.Fatalf("%d deeds without a pause, now %v in state %v", busy, d, m.state)
			}
			m.Done(now, d, Result{
				Cause: causes[int(b)%len(causes)], Record: b&1 != 0, Class: "iPhone", Major: 17,
				Passcode: b&2 != 0, Stranger: b&4 != 0, Untrusted: b&8 != 0,
			})
			if !slices.Contains(States(), m.state) {
				t.Fatalf("state %q has no name", m.state)
			}
		}
	})
}

// restful reports that it needs a person, or another policy, for things to go on.
func restful(m *Machine) bool {
	switch m.state {
	case RestoreMode, NoLockdown, Denied, DialogGone, AnswerNotAccepted, NotAsked:
		return true
	case Disabled:
		return m.cfg.Policy == Never
	case Trusted, ForgottenByPhone, RecordBroken, BUIDMismatch:
		return m.cfg.Policy != Auto
	}
	return false
}
