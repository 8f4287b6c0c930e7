package flow_test

import (
	"strings"
	"testing"
	"time"

	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

// Phones that many stories are about.
var (
	coded   = virtualphone.Config{Passcode: code}
	tapTold = virtualphone.Config{Passcode: code, Behavior: virtualphone.Behavior{TapNotifies: true}}
	late    = virtualphone.Config{ProductVersion: "26.0", Passcode: code, Behavior: virtualphone.Behavior{DialogDelay: 30 * time.Second}}
	loser   = virtualphone.Config{Behavior: virtualphone.Behavior{RejectAnswer: "PairingDialogResponsePending", RejectTime: 90 * time.Second}}
)

// firstStories are about the question that a phone asks its owner.
var firstStories = []story{
	{
		name: "first connection", phone: coded, cfg: flow.Config{Keys: new(flow.Keys)},
		tell: func(r *rig) {
			r.accept()
			time.Sleep(time.Hour)
		},
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "no passcode",
		tell: (*rig).accept,
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "the dialog comes half a minute late", phone: late,
		tell: func(r *rig) {
			r.expect(time.Second, trust.DialogShown) // as far as the phone tells
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "Don't Trust, then another chance", phone: late,
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			r.must(r.phone.TapDontTrust())
			r.expect(time.Minute, trust.Denied)
			time.Sleep(time.Hour) // it is not asked any more
			r.replug()
			r.accept()
		},
		seen: "connecting dialog-shown denied(UserDeniedPairing) | connecting dialog-shown paired trusted",
		disk: "record used", dialogs: 2,
	},
	{
		name: "Don't Trust, told by the phone", phone: virtualphone.Config{Behavior: virtualphone.Behavior{DenialNotifies: true}},
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			time.Sleep(100 * time.Second) // the polls are a minute apart
			r.must(r.phone.TapDontTrust())
			r.expect(time.Second, trust.Denied)
		},
		seen: "connecting dialog-shown denied(UserDeniedPairing)", dialogs: 1,
	},
	{
		// A phone that does not stick to its no: the operator asks again, and the
		// dialog takes its half minute.
		name: "asked again after Don't Trust", phone: late,
		before: func(r *rig) { r.phone.FailNext("Pair", "UserDeniedPairing") },
		tell: func(r *rig) {
			r.expect(time.Second, trust.Denied)
			r.flow.Hear(trust.Told)
			r.expect(time.Second, trust.DialogShown)
			r.accept()
		},
		seen: "connecting denied(UserDeniedPairing) dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "nobody answers for hours", phone: coded,
		tell: func(r *rig) {
			r.expect(10*time.Minute, trust.DialogGone)
			asked := r.phone.Stats().PairRequests
			time.Sleep(10 * time.Hour)
			if n := r.phone.Stats().PairRequests; n != asked {
				r.t.Errorf("asked %d times more", n-asked)
			}
			r.accept()
		},
		seen: "connecting dialog-shown dialog-gone(timed-out) paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "dismissed at once", phone: coded,
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			r.must(r.phone.DismissDialog())
			r.accept() // it is brought up again, once
		},
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 2,
	},
	{
		name: "dismissed after a while, and asked for by the operator", phone: coded,
		tell: func(r *rig) {
			r.expect(10*time.Minute, trust.DialogGone)
			r.must(r.phone.DismissDialog())
			time.Sleep(time.Hour)
			r.flow.Hear(trust.Told)
			r.expect(time.Second, trust.DialogShown)
			r.accept()
		},
		seen: "connecting dialog-shown dialog-gone(timed-out) dialog-shown paired trusted", disk: "record used", dialogs: 2,
	},
	{
		name: "the tap is told before the passcode", phone: tapTold,
		tell: func(r *rig) {
			r.tap()
			r.expect(time.Second, trust.PasscodeAwaited)
			r.enter()
			r.expect(2*time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown passcode-awaited paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "the passcode is cancelled", phone: coded,
		tell: func(r *rig) {
			r.tap()
			r.must(r.phone.CancelPasscode())
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 2,
	},
	{
		// A second tap cannot be told from a passcode that did not help.
		name: "the passcode is cancelled, the tap was told", phone: tapTold,
		tell: func(r *rig) {
			r.tap()
			r.expect(time.Second, trust.PasscodeAwaited)
			r.must(r.phone.CancelPasscode())
			r.accept()
		},
		seen: "connecting dialog-shown passcode-awaited answer-not-accepted(PairingDialogResponsePending) paired trusted",
		disk: "record used", dialogs: 2,
	},
	{
		name: "the passcode is never entered", phone: coded,
		tell: func(r *rig) {
			r.tap()
			time.Sleep(24 * time.Hour)
		},
		seen: "connecting dialog-shown dialog-gone(timed-out)", dialogs: 1,
	},
	{
		name: "the passcode is entered an hour later, the tap was told", phone: tapTold,
		tell: func(r *rig) {
			r.tap()
			r.expect(10*time.Minute, trust.DialogGone)
			time.Sleep(time.Hour)
			r.enter()
			r.expect(2*time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown passcode-awaited dialog-gone(timed-out) paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "the phone loses the answer", phone: loser,
		tell: func(r *rig) {
			r.tap()
			r.expect(time.Second, trust.AnswerNotAccepted)
			r.shows(virtualphone.TrustDialog)
			r.phone.SetBehavior(virtualphone.Behavior{})
			r.accept()
		},
		seen: "connecting dialog-shown answer-not-accepted(PairingDialogResponsePending) paired trusted",
		disk: "record used", dialogs: 2,
	},
	{
		name: "the phone never takes the answer", phone: virtualphone.Config{
			Behavior: virtualphone.Behavior{RejectAnswer: "SavePairRecordFailed", RejectTime: 1000 * time.Hour}},
		tell: func(r *rig) {
			r.tap()
			time.Sleep(time.Hour)
		},
		seen: "connecting dialog-shown answer-not-accepted(SavePairRecordFailed)", dialogs: 1,
	},
	{
		name: "Trust is tapped while the daemon is away", phone: coded,
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			r.stop()
			r.tap()
			r.enter()
			time.Sleep(time.Minute)
			r.start()
			r.expect(2*time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown | connecting paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "the phone resets its USB after Trust", phone: coded, // iOS does
		tell: func(r *rig) {
			r.tap()
			r.enter()
			r.replug()
			r.expect(2*time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown | connecting paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "trusted once, plugged a hundred times", phone: coded,
		tell: func(r *rig) {
			r.accept()
			for range 100 {
				r.pull()
				time.Sleep(time.Hour)
				r.plug()
				r.expect(time.Second, trust.Trusted)
			}
		},
		seen: "connecting dialog-shown paired trusted" + strings.Repeat(" | connecting trusted", 100),
		disk: "record used", dialogs: 1,
	},
}

// TestStatus asserts what is known of a phone beside its trust.
func TestStatus(t *testing.T) {
	play(t, virtualphone.Config{Name: "Anna's iPhone"}, flow.Config{}, func(r *rig) {
		r.plug()
		r.expect(time.Second, trust.DialogShown)
		if s := r.status(); s.Identity.DeviceName != "Anna's iPhone" || s.Capacity != 0 || s.Expires != nil {
			t.Errorf("before: %+v", s)
		}
		r.accept()
		s := r.status()
		if s.Identity.DeviceName != "Anna's iPhone" || s.Capacity == 0 || s.Expires == nil || *s.Expires != 30 {
			t.Errorf("after: %+v", s)
		}
		rec, err := r.records.Record(udid)
		if err != nil || rec.WiFiMACAddress != s.Identity.WiFiAddress {
			t.Errorf("record of %q, %v", rec.WiFiMACAddress, err)
		}
	})
}

// TestFactsAreTold asserts that what is found out is told when it is, although the
// state is what it was.
func TestFactsAreTold(t *testing.T) {
	play(t, virtualphone.Config{Name: "Anna's iPhone"}, flow.Config{}, func(r *rig) {
		r.phone.SilenceNext("StartService")
		r.plug()
		time.Sleep(time.Second)
		if s := r.status(); s.State != trust.Connecting || s.Identity.DeviceName != "Anna's iPhone" {
			t.Errorf("told after a second: %+v", s)
		}
		r.accept()
	})
}
