package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// Phones that have trusted this computer and do so no more.

// playTrusted is play up to the first Trust.
func playTrusted(t *testing.T, name string, cfg e2e.Config) *scene {
	t.Helper()
	s := play(t, name, cfg)
	s.plug()
	s.await(trust.DialogShown)
	if cfg.Passcode != "" {
		s.tapTrust(cfg.Passcode)
	} else {
		s.tapTrust()
	}
	return s
}

// unused makes the record's last use so many days old.
func (s *scene) unused(days int) {
	s.t.Helper()
	at := time.Now().Add(-time.Duration(days) * 24 * time.Hour).UTC().Format(time.RFC3339)
	if err := os.WriteFile(filepath.Join(s.Records, ".used", firstPhone), []byte(at+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func TestSceneForgottenAway(t *testing.T) {
	s := playTrusted(t, "forgotten-away", e2e.Config{})
	s.unplug()
	s.phone("forget")
	s.plug()
	s.await(trust.DialogShown)
	s.status("asked-again")
	s.disk("copy invalidhostid", "used")
	s.tapTrust()
	s.told("connecting dialog-shown trusted gone connecting forgotten-by-phone dialog-shown trusted", "Attached Paired Detached Attached Paired")
	s.asked(2, 0)
	s.disk("copy invalidhostid", "record", "used")
}

// TestSceneForgottenAttached asserts that a reset while the phone is plugged in is
// noticed as soon as a program meets it: nothing else tells of it.
func TestSceneForgottenAttached(t *testing.T) {
	s := playTrusted(t, "forgotten-attached", e2e.Config{})
	s.phone("forget")
	fails(t, s.Rig, "", "ideviceinfo", "-k", "ProductVersion")
	s.await(trust.DialogShown)
	s.status("asked-again")
	s.tapTrust()
	s.phone("forget")
	trusted := s.muxctlTrust() // which does not take the daemon's word for it
	s.await(trust.DialogShown)
	s.tapTrust()
	trusted()
	s.told("connecting dialog-shown trusted( forgotten-by-phone dialog-shown trusted){2}", "Attached Paired Paired Paired")
	s.asked(3, 0)
	s.disk("copy invalidhostid", "copy invalidhostid", "record", "used")
}

func TestSceneUnused(t *testing.T) {
	s := playTrusted(t, "unused", e2e.Config{Passcode: "1234"})
	s.unplug()
	s.unused(40)
	s.phone("expire")
	s.plug()
	s.await(trust.DialogShown)
	s.status("asked-again")
	s.tapTrust("1234")
	s.status("trusted")
	s.told("connecting dialog-shown trusted gone connecting forgotten-by-phone dialog-shown trusted", "Attached Paired Detached Attached Paired")
	s.asked(2, 0)
	s.disk("copy unused", "record", "used")
}

// TestSceneExpiring has the daemon leave the phone alone, so that nothing renews the
// pairing.
func TestSceneExpiring(t *testing.T) {
	s := play(t, "expiring", e2e.Config{Args: []string{"--trust-policy", "never"}})
	s.plug()
	s.await(trust.Disabled)
	pair(t, s.Rig)
	s.disk("record", "used")
	s.unplug()
	s.unused(27)
	s.plug()
	s.await(trust.Expiring)
	s.status("expiring")
	muxctl(t, s.Rig, "", "trust", "--touch")
	s.await(trust.Trusted)
	s.status("touched")
	s.works()
	s.told("connecting disabled gone connecting expiring trusted", "Attached Paired Detached Attached")
	s.asked(1, 0)
	s.disk("record", "used")
}

func TestSceneBUIDMismatch(t *testing.T) {
	s := playTrusted(t, "buid-mismatch", e2e.Config{})
	s.unplug()
	s.shutdown()
	if err := os.Remove(filepath.Join(s.Records, "SystemConfiguration.plist")); err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.plug()
	s.await(trust.DialogShown)
	s.status("asked-again")
	s.tapTrust()
	s.told("connecting dialog-shown trusted gone stopped connecting buid-mismatch dialog-shown trusted", "Attached Paired Detached closed Attached Paired")
	s.asked(2, 0)
	s.disk("copy buid", "record", "used")
}

func TestSceneErased(t *testing.T) {
	s := playTrusted(t, "erased", e2e.Config{Passcode: "1234"})
	s.phone("erase")
	s.attached()
	s.hear("Paired")
	s.await(trust.Trusted)
	s.status("set-up-anew")
	s.works()
	s.phone("finish-setup")
	s.plug()
	s.await(trust.Trusted)
	s.works()
	s.told("connecting dialog-shown trusted gone connecting forgotten-by-phone trusted gone connecting trusted", "Attached Paired Detached Attached Paired Detached Attached")
	s.asked(1, 0) // in setup it asks nobody
	s.disk("copy invalidhostid", "record", "used")
}

func TestSceneReset(t *testing.T) {
	for _, what := range []string{"network", "all"} {
		t.Run(what, func(t *testing.T) {
			s := playTrusted(t, "reset-"+what, e2e.Config{Passcode: "1234"})
			s.phone("reset", what)
			s.attached()
			s.await(trust.LockedSinceBoot)
			s.status("restarted")
			s.phone("unlock", "1234")
			s.await(trust.DialogShown)
			s.status("asked-again")
			s.tapTrust("1234")
			s.told("connecting dialog-shown trusted gone connecting locked-since-boot forgotten-by-phone dialog-shown trusted", "Attached Paired Detached Attached Paired")
			s.asked(2, 0)
			s.disk("copy invalidhostid", "record", "used")
		})
	}
}
