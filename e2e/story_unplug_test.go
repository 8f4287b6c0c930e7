package e2e_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// TestSceneUnplugged pulls the cable at random moments of each step, counted in
// packets. The next plug must find a phone that asks, or one that trusts this
// computer, and the last one a record directory in order.
func TestSceneUnplugged(t *testing.T) {
	const rounds = 20
	unplug := func(s *scene, most int) {
		s.t.Helper()
		packets := 1 + rand.IntN(most)
		s.t.Logf("unplugged after %d packets", packets)
		s.phone("unplug", strconv.Itoa(packets))
	}
	// asked plugs the phone in and waits until it asks, also if it had trusted us.
	asked := func(s *scene) {
		s.t.Helper()
		s.plug()
		if s.await(trust.DialogShown, trust.Trusted) == trust.Trusted {
			s.works()
			s.phone("forget")
			s.plug()
			s.await(trust.DialogShown)
		}
	}
	for name, step := range map[string]func(s *scene){
		"connecting": func(s *scene) {
			unplug(s, 24)
			s.phone("replug")
			s.await("gone")
		},
		"dialog": func(s *scene) {
			asked(s)
			unplug(s, 3)
			s.await("gone")
		},
		"passcode": func(s *scene) {
			asked(s)
			s.phone("tap", "trust")
			s.await(trust.PasscodeAwaited)
			unplug(s, 3)
			s.await("gone")
		},
		"just-after-trust": func(s *scene) {
			asked(s)
			s.phone("tap", "trust")
			unplug(s, 40)
			s.phone("passcode", "1234")
			if s.await("gone", trust.Trusted) == trust.Trusted {
				s.unplug() // it was faster
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, "unplugged-"+name, e2e.Config{Passcode: "1234"})
			s.phone("behavior", "tap-notifies", "on")
			for range rounds {
				step(s)
			}
			asked(s)
			s.tapTrust("1234")
			s.one()
			for _, f := range s.files() {
				if f != "record" && f != "used" && !strings.HasPrefix(f, "copy ") {
					t.Errorf("the record directory has a file %q", f)
				}
			}
			if !slices.Contains(s.files(), "record") {
				t.Error("no whole record")
			}
		})
	}
}
