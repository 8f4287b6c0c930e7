package e2e_test

import (
	"bytes"
	"os"
	"testing"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// Daemons that end while somebody counts on them.

// kill ends the daemon as a power cut would.
func (s *scene) kill() {
	s.t.Helper()
	s.Kill()
	s.await("stopped")
}

// TestSceneTappedDuringRestart has the owner answer while there is no daemon.
func TestSceneTappedDuringRestart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		end    func(*scene)
		before bool // the daemon's end, Trust is tapped
	}{
		{"stopped", (*scene).shutdown, false},
		{"killed", (*scene).kill, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := play(t, "restart-"+tt.name, e2e.Config{Passcode: "1234"})
			s.plug()
			s.await(trust.DialogShown)
			if tt.before {
				s.phone("tap", "trust")
				tt.end(s)
			} else {
				tt.end(s)
				s.phone("tap", "trust")
			}
			s.phone("passcode", "1234")
			s.launch()
			s.attached()
			s.await(trust.Trusted)
			s.status("trusted")
			s.works()
			s.told("connecting dialog-shown stopped( connecting)? trusted", "Attached( Detached)? closed Attached( Paired)?")
			s.asked(1, 0)
			s.disk("record", "used")
		})
	}
}

// TestSceneRestarts asserts that after one Trust neither ends of the daemon, in good
// order or not, nor replugs while it is there or away raise another dialog, and that
// the record stays what it was.
func TestSceneRestarts(t *testing.T) {
	s := playTrusted(t, "restarts", e2e.Config{Passcode: "1234"})
	record, err := os.ReadFile(s.recordPath())
	if err != nil {
		t.Fatal(err)
	}
	trusted := func() {
		t.Helper()
		s.attached()
		s.await(trust.Trusted)
	}
	for i := range 20 {
		s.shutdown()
		s.launch()
		trusted()
		s.plug()
		s.await(trust.Trusted)
		s.kill()
		if i%2 == 0 {
			s.phone("replug")
		}
		s.launch()
		trusted()
	}
	s.works()
	s.asked(1, 0)
	s.disk("record", "used")
	if now, err := os.ReadFile(s.recordPath()); err != nil || !bytes.Equal(now, record) {
		t.Errorf("the record has changed, %v", err)
	}
}

// TestSceneReplugs is the same for a hundred replugs and restarts of the phone.
func TestSceneReplugs(t *testing.T) {
	s := playTrusted(t, "replugs", e2e.Config{})
	for i := range 100 {
		if i%20 == 19 {
			s.phone("reboot")
		} else {
			s.phone("replug")
		}
		s.await(trust.Trusted)
	}
	s.works()
	s.told("connecting dialog-shown trusted( gone connecting trusted){100}", "Attached Paired( Detached Attached){100}")
	s.asked(1, 0)
	s.disk("record", "used")
}
