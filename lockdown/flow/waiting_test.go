package flow_test

import (
	"time"

	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

// lockedUp is a phone that is locked, though it has been unlocked since its start.
func lockedUp(r *rig) { r.must(r.phone.Lock()) }

// waitingStories are about phones that cannot ask, or answer, now.
var waitingStories = []story{
	{
		name: "locked", phone: coded, before: lockedUp,
		tell: func(r *rig) {
			r.expect(time.Second, trust.Locked)
			time.Sleep(10 * time.Minute)
			r.must(r.phone.Unlock(code))
			r.expect(20*time.Second, trust.DialogShown)
			r.accept()
		},
		seen: "connecting locked(PasswordProtected) dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "locked since its start, unknown", phone: virtualphone.Config{Passcode: code, Locked: true},
		tell: func(r *rig) {
			r.expect(time.Second, trust.Locked)
			r.must(r.phone.Unlock(code))
			r.accept()
		},
		seen: "connecting locked(PasswordProtected) dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "locked away while it asks", phone: coded,
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			r.must(r.phone.Lock())
			r.expect(time.Minute, trust.Locked)
			r.must(r.phone.Unlock(code))
			r.accept()
		},
		seen: "connecting dialog-shown locked(locked-away) dialog-shown paired trusted", disk: "record used", dialogs: 2,
	},
	{
		name: "trusted, then locked", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.must(r.phone.Lock())
			time.Sleep(10 * time.Minute)
			r.replug()
			r.expect(time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted | connecting trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "restarted", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.must(r.phone.Reboot())
			r.replug()
			r.expect(time.Second, trust.LockedSinceBoot)
			time.Sleep(10 * time.Minute)
			r.must(r.phone.Unlock(code))
			r.expect(20*time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted | connecting locked-since-boot(PasswordProtected) trusted",
		disk: "record used", dialogs: 1,
	},
	{
		name:  "locked for so long that it takes no accessory",
		phone: virtualphone.Config{Passcode: code, Behavior: virtualphone.Behavior{USBRestricted: true}},
		tell: func(r *rig) {
			r.accept()
			r.must(r.phone.Lock())
			r.expect(2*time.Hour, trust.AccessoryRestricted)
			r.replug()
			r.expect(time.Second, trust.AccessoryRestricted)
			r.must(r.phone.Unlock(code))
			r.expect(20*time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted accessory-restricted(refused) | connecting accessory-restricted(refused) trusted",
		disk: "record used", dialogs: 1,
	},
	{
		name: "falls silent while it asks", phone: coded,
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			r.phone.SilenceAlways(virtualphone.AnyRequest)
			r.expect(5*time.Minute, trust.NotAnswering)
			r.phone.Heal(virtualphone.AnyRequest)
			r.expect(2*time.Minute, trust.DialogShown)
			r.accept()
		},
		seen: "connecting dialog-shown not-answering(silent) dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "hangs up once",
		tell: func(r *rig) {
			r.accept()
			r.phone.GarbageNext(virtualphone.AnyRequest, virtualphone.GarbageHangUp)
			time.Sleep(time.Hour)
		},
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "hangs up again and again",
		tell: func(r *rig) {
			r.accept()
			r.phone.GarbageAlways(virtualphone.AnyRequest, virtualphone.GarbageHangUp)
			r.expect(10*time.Minute, trust.NotAnswering)
			r.phone.Heal(virtualphone.AnyRequest)
			r.expect(2*time.Minute, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted not-answering(broken) trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "talks nonsense",
		tell: func(r *rig) {
			r.accept()
			r.phone.GarbageAlways(virtualphone.AnyRequest, virtualphone.GarbageWrongTypes)
			r.expect(10*time.Minute, trust.NotAnswering)
			r.phone.Heal(virtualphone.AnyRequest)
			r.expect(2*time.Minute, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted not-answering(garbage) trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "restore mode", phone: virtualphone.Config{RestoreMode: true},
		tell: func(r *rig) {
			r.expect(time.Second, trust.RestoreMode)
			time.Sleep(time.Hour)
			r.must(r.phone.SetRestoreMode(false))
			r.replug()
			r.accept()
		},
		seen: "connecting restore-mode | connecting dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "without lockdownd", phone: virtualphone.Config{NoLockdown: true},
		tell: func(r *rig) { time.Sleep(time.Hour) },
		seen: "no-lockdown",
	},
}
