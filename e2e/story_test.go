package e2e_test

import (
	"testing"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

func TestSceneFirstConnection(t *testing.T) {
	s := play(t, "first-connection", e2e.Config{Passcode: "1234"})
	s.status("before")
	s.plug()
	s.await(trust.DialogShown)
	s.status("asked")
	s.tapTrust("1234")
	s.status("trusted")
	s.unplug()
	s.told("connecting dialog-shown trusted gone", "Attached Paired Detached")
	s.asked(1, 0)
	s.disk("record", "used")
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
	s.status("trusted")
	s.told("connecting dialog-shown denied gone connecting dialog-shown trusted", "Attached Detached Attached Paired")
	s.asked(2, 1)
	s.disk("record", "used")
}
