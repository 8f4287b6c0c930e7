package flow_test

import (
	"context"
	"time"

	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

var (
	ask   = flow.Config{Policy: trust.Ask}
	never = flow.Config{Policy: trust.Never}
)

const day = 24 * time.Hour

// unpair is what the operator's untrust does; told is whether the phone was.
func (r *rig) unpair(told bool) {
	r.t.Helper()
	r.must(r.records.Untrust(udid))
	if got := r.flow.Untrust(context.Background()); got != told {
		r.t.Errorf("phone told: %v, want %v", got, told)
	}
	if n := len(r.phone.State().Hosts); told != (n == 0) {
		r.t.Errorf("the phone trusts %d hosts", n)
	}
}

// policyStories are about what the operator wants.
var policyStories = []story{
	{
		name: "policy ask", cfg: ask,
		tell: func(r *rig) {
			time.Sleep(time.Hour)
			r.expect(0, trust.NotAsked)
			r.flow.Hear(trust.Told)
			r.accept()
		},
		seen: "connecting not-asked(policy-ask) dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "policy ask, forgotten by the phone", cfg: ask,
		tell: func(r *rig) {
			r.expect(time.Second, trust.NotAsked)
			r.flow.Hear(trust.Told)
			r.accept()
			r.phone.ResetLocationAndPrivacy()
			r.replug()
			time.Sleep(time.Hour)
			r.expect(0, trust.ForgottenByPhone)
			r.flow.Hear(trust.Told)
			r.accept()
		},
		seen: "connecting not-asked(policy-ask) dialog-shown paired trusted | connecting forgotten-by-phone(InvalidHostID)" +
			" dialog-shown(InvalidHostID) paired trusted",
		disk: "record used -invalidhostid", dialogs: 2,
	},
	{
		name: "policy never", cfg: never,
		tell: func(r *rig) {
			time.Sleep(time.Hour)
			if n := r.phone.Stats().Connects; n != 0 {
				r.t.Errorf("%d connections", n)
			}
			r.flow.Hear(trust.Told)
			r.accept()
		},
		seen: "disabled(policy-never) dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "another policy while it is plugged in", cfg: never,
		tell: func(r *rig) {
			r.expect(0, trust.Disabled)
			r.flow.SetPolicy(trust.Ask)
			r.expect(time.Second, trust.NotAsked)
			r.flow.SetPolicy(trust.Auto)
			r.accept()
			r.flow.SetPolicy(trust.Never)
			r.expect(time.Second, trust.Disabled)
			time.Sleep(time.Hour)
		},
		seen: "disabled(policy-never) connecting not-asked(policy-ask) dialog-shown paired trusted disabled(policy-never)",
		disk: "record used", dialogs: 1,
	},
	{
		name: "policy never, and the pairing about to lapse",
		tell: func(r *rig) {
			r.accept()
			r.cfg.Policy = trust.Never
			r.replug()
			r.expect(0, trust.Disabled)
			r.expect(24*day, trust.Expiring)
			if s := r.status(); s.Expires == nil || *s.Expires != 7 {
				r.t.Errorf("%v days left, want 7", s.Expires)
			}
			r.flow.Hear(trust.Touched)
			r.expect(2*time.Second, trust.Trusted)
			if s := r.status(); s.Expires == nil || *s.Expires != 30 {
				r.t.Errorf("%v days left, want 30", s.Expires)
			}
			r.expect(24*day, trust.Expiring)
			r.replug()
			r.flow.Hear(trust.Touched)
			r.expect(2*time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted | disabled(policy-never) expiring(policy-never) trusted expiring | expiring(policy-never) trusted",
		disk: "record used", dialogs: 1,
	},
	{
		name: "unpaired by the operator, and trusted anew", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.unpair(true)
			time.Sleep(time.Hour)
			r.flow.Hear(trust.Told)
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted not-asked(unpaired-here) dialog-shown paired trusted",
		disk: "record used -untrusted", dialogs: 2,
	},
	{
		name: "unpaired while away", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.pull()
			r.must(r.records.Untrust(udid))
			r.plug()
			r.expect(2*time.Second, trust.NotAsked)
			if n := len(r.phone.State().Hosts); n != 0 {
				r.t.Errorf("the phone trusts %d hosts", n)
			}
			time.Sleep(time.Hour)
		},
		seen: "connecting dialog-shown paired trusted | connecting not-asked(unpaired-here)", disk: "used -untrusted", dialogs: 1,
	},
	{
		name: "unpaired while the phone keeps its keys locked", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.phone.FailAlways("Unpair", "PasswordProtected")
			r.unpair(false)
			time.Sleep(10 * time.Minute)
			r.phone.Heal("Unpair")
			time.Sleep(time.Minute)
			if n := len(r.phone.State().Hosts); n != 0 {
				r.t.Errorf("the phone trusts %d hosts", n)
			}
		},
		seen: "connecting dialog-shown paired trusted not-asked(unpaired-here)", disk: "used -untrusted", dialogs: 1,
	},
	{
		name: "unpaired while it is restored", phone: virtualphone.Config{RestoreMode: true},
		tell: func(r *rig) {
			r.expect(time.Second, trust.RestoreMode)
			r.flow.Hear(trust.Dismissed)
			time.Sleep(time.Hour)
		},
		seen: "connecting restore-mode not-asked(unpaired-here) restore-mode",
	},
	{
		name: "unpaired from a phone that no longer knows us", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.phone.ResetLocationAndPrivacy()
			r.unpair(true)
			r.flow.Hear(trust.Told)
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted not-asked(unpaired-here) dialog-shown paired trusted",
		disk: "record used -untrusted", dialogs: 2,
	},
}
