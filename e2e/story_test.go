package e2e_test

import (
	"encoding/json"
	"testing"

	"gomuxd/control"
	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// What people meet who do nothing special.

func TestSceneFirstConnection(t *testing.T) {
	s := play(t, "first-connection", e2e.Config{Passcode: "1234"})
	s.status("before")
	s.plug()
	s.await(trust.DialogShown)
	s.status("asked")
	s.tapTrust("1234")
	s.status("trusted")
	s.listed()
	s.unplug()
	s.told("connecting dialog-shown trusted gone", "Attached Paired Detached")
	s.asked(1, 0)
	s.disk("record", "used")
}

// listed asserts what programs are told of a trusted phone.
func (s *scene) listed() {
	s.t.Helper()
	var list []control.Device
	if err := json.Unmarshal([]byte(muxctl(s.t, s.Rig, "", "list", "--json")), &list); err != nil {
		s.t.Fatal(err)
	}
	if len(list) != 1 || list[0].Trust != string(trust.Trusted) || list[0].Model != "iPhone 13" ||
		list[0].Capacity == nil || list[0].ExpiresInDays == nil || *list[0].ExpiresInDays != 30 {
		s.t.Errorf("muxctl list: %+v", list)
	}
	run(s.t, s.Rig, "Virtual iPhone", "ideviceinfo", "-k", "DeviceName")
}

func TestSceneDontTrust(t *testing.T) {
	s := play(t, "dont-trust", e2e.Config{})
	s.plug()
	s.await(trust.DialogShown)
	s.phone("tap", "dont-trust")
	s.await(trust.Denied)
	s.status("denied")
	s.disk()
	s.plug()
	s.await(trust.DialogShown)
	s.tapTrust()
	s.told("connecting dialog-shown denied gone connecting dialog-shown trusted", "Attached Detached Attached Paired")
	s.asked(2, 1)
	s.disk("record", "used")
}

func TestSceneLocked(t *testing.T) {
	s := play(t, "locked", e2e.Config{Passcode: "1234"})
	s.phone("lock")
	s.plug()
	s.await(trust.Locked)
	s.status("locked")
	s.phone("unlock", "1234")
	s.await(trust.DialogShown)
	s.phone("lock")
	s.await(trust.Locked)
	s.status("locked-away")
	s.phone("unlock", "1234")
	s.await(trust.DialogShown)
	s.tapTrust("1234")
	s.phone("lock")
	s.plug() // whom it knows it serves while locked
	s.await(trust.Trusted)
	s.works()
	s.told("connecting locked dialog-shown locked dialog-shown trusted gone connecting trusted", "Attached Paired Detached Attached")
	s.asked(2, 0)
	s.disk("record", "used")
}

func TestSceneLockedSinceBoot(t *testing.T) {
	s := play(t, "locked-since-boot", e2e.Config{Passcode: "1234"})
	s.plug()
	s.await(trust.DialogShown)
	s.tapTrust("1234")
	s.phone("reboot")
	s.attached()
	s.await(trust.LockedSinceBoot)
	s.status("restarted")
	s.phone("unlock", "1234")
	s.await(trust.Trusted)
	s.works()
	s.told("connecting dialog-shown trusted gone connecting locked-since-boot trusted", "Attached Paired Detached Attached")
	s.asked(1, 0)
	s.disk("record", "used")
}

// TestSceneLateDialog has the phone say that it asks some time before it does.
func TestSceneLateDialog(t *testing.T) {
	s := play(t, "late-dialog", e2e.Config{Version: "26.1", Passcode: "1234"})
	s.phone("behavior", "dialog-delay", "4s")
	s.plug()
	s.await(trust.DialogShown)
	s.status("asked")
	s.asked(0, 0)
	s.phone("wait", "dialog")
	s.asked(1, 0)
	s.tapTrust("1234")
	s.told("connecting dialog-shown trusted", "Attached Paired")
	s.asked(1, 0)
	s.disk("record", "used")
}

func TestScenePasscodeCancelled(t *testing.T) {
	s := play(t, "passcode-cancelled", e2e.Config{Passcode: "1234"})
	s.phone("behavior", "tap-notifies", "on")
	s.plug()
	s.await(trust.DialogShown)
	s.phone("tap", "trust")
	s.await(trust.PasscodeAwaited)
	s.status("awaited")
	s.phone("passcode", "cancel")
	s.phone("wait", "dialog") // it asks anew by itself
	s.status("asked-again")
	s.tapTrust("1234")
	s.told("connecting dialog-shown passcode-awaited answer-not-accepted trusted", "Attached Paired")
	s.asked(2, 0)
	s.disk("record", "used")
}

func TestScenePasscodeNeverEntered(t *testing.T) {
	s := play(t, "passcode-never-entered", e2e.Config{Passcode: "1234"})
	s.phone("behavior", "tap-notifies", "on")
	s.plug()
	s.await(trust.DialogShown)
	s.phone("tap", "trust")
	s.await(trust.PasscodeAwaited)
	s.phone("lock")
	s.await(trust.Locked)
	s.status("locked")
	s.disk()
	s.unplug()
	s.phone("unlock", "1234")
	s.plug()
	s.await(trust.DialogShown)
	s.tapTrust("1234")
	s.told("connecting dialog-shown passcode-awaited locked gone connecting dialog-shown passcode-awaited trusted", "Attached Detached Attached Paired")
	s.asked(2, 0)
	s.disk("record", "used")
}

func TestSceneDismissed(t *testing.T) {
	s := play(t, "dismissed", e2e.Config{})
	s.plug()
	s.await(trust.DialogShown)
	s.phone("tap", "dismiss")
	s.phone("wait", "dialog") // it asks anew by itself
	s.status("asked-again")
	s.tapTrust()
	s.told("connecting dialog-shown trusted", "Attached Paired")
	s.asked(2, 0)
	s.disk("record", "used")
}

func TestSceneAnswerNotAccepted(t *testing.T) {
	s := play(t, "answer-not-accepted", e2e.Config{})
	s.phone("behavior", "reject-answer", "PairingDialogResponsePending")
	s.plug()
	s.await(trust.DialogShown)
	s.phone("tap", "trust")
	s.await(trust.AnswerNotAccepted)
	s.status("tapped")
	s.phone("behavior", "reject-answer", "off")
	s.phone("wait", "dialog")
	s.tapTrust()
	s.told("connecting dialog-shown answer-not-accepted trusted", "Attached Paired")
	s.asked(2, 0)
	s.disk("record", "used")
}
