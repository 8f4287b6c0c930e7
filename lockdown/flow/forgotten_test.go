package flow_test

import (
	"time"

	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

// forgottenStories are about phones that no longer know this computer.
var forgottenStories = []story{
	{
		name: "Reset Location & Privacy while plugged in", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.phone.ResetLocationAndPrivacy()
			r.expect(6*time.Minute, trust.DialogShown)
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted forgotten-by-phone(InvalidHostID) dialog-shown(InvalidHostID) paired trusted",
		disk: "record used -invalidhostid", dialogs: 2,
	},
	{
		name: "Reset Location & Privacy while away", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.pull()
			r.phone.ResetLocationAndPrivacy()
			r.plug()
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted | connecting forgotten-by-phone(InvalidHostID) dialog-shown(InvalidHostID) paired trusted",
		disk: "record used -invalidhostid", dialogs: 2,
	},
	{
		name: "Reset Network Settings", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.must(r.phone.ResetNetworkSettings())
			r.replug()
			r.expect(time.Second, trust.LockedSinceBoot)
			r.must(r.phone.Unlock(code))
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted | connecting locked-since-boot(PasswordProtected) " +
			"forgotten-by-phone(InvalidHostID) dialog-shown(InvalidHostID) paired trusted",
		disk: "record used -invalidhostid", dialogs: 2,
	},
	{
		name: "Reset All Settings", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.must(r.phone.ResetAllSettings())
			r.replug()
			r.expect(time.Second, trust.LockedSinceBoot)
			time.Sleep(10 * time.Minute)
			r.must(r.phone.Unlock(code))
			r.expect(20*time.Second, trust.DialogShown)
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted | connecting locked-since-boot(PasswordProtected) " +
			"forgotten-by-phone(InvalidHostID) dialog-shown(InvalidHostID) paired trusted",
		disk: "record used -invalidhostid", dialogs: 2,
	},
	{
		name: "erased", phone: coded, // its first screens ask nothing
		tell: func(r *rig) {
			r.accept()
			r.must(r.phone.EraseAll())
			r.replug()
			r.expect(2*time.Second, trust.Trusted)
			r.must(r.phone.FinishSetup())
			time.Sleep(time.Hour)
		},
		seen: "connecting dialog-shown paired trusted | connecting forgotten-by-phone(InvalidHostID) paired trusted",
		disk: "record used -invalidhostid", dialogs: 1,
	},
	{
		name: "erased and set up elsewhere", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.pull()
			r.must(r.phone.EraseAll())
			r.must(r.phone.FinishSetup())
			r.plug()
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted | connecting forgotten-by-phone(InvalidHostID) dialog-shown(InvalidHostID) paired trusted",
		disk: "record used -invalidhostid", dialogs: 2,
	},
	{
		name: "unused for too long", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.pull()
			time.Sleep(31 * 24 * time.Hour)
			r.plug()
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted | connecting forgotten-by-phone(unused) dialog-shown(unused) paired trusted",
		disk: "record used -unused", dialogs: 2,
	},
	{
		name: "unused for as long, on iOS 10", phone: virtualphone.Config{ProductVersion: "10.3.4", Passcode: code},
		tell: func(r *rig) {
			r.accept()
			r.pull()
			time.Sleep(179 * 24 * time.Hour)
			r.plug()
			r.expect(time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted | connecting trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "forgotten again and again", // each answer is asked for later
		tell: func(r *rig) {
			for range 3 {
				r.accept()
				r.phone.ResetLocationAndPrivacy()
			}
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted forgotten-by-phone(InvalidHostID) dialog-shown(InvalidHostID) paired trusted" +
			" forgotten-by-phone(InvalidHostID) dialog-shown(InvalidHostID) paired trusted" +
			" forgotten-by-phone(InvalidHostID) dialog-shown(InvalidHostID) paired trusted",
		disk: "record used -invalidhostid -invalidhostid -invalidhostid", dialogs: 4,
	},
}
