package e2e_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// Two who pair at the same time: the daemon, and a person with idevicepair.

// idevicepair runs idevicepair pair beside the test, as a person does who does not
// wait. result is what it printed; it fails while the dialog is up.
func (s *scene) idevicepair() (result func() string) {
	done := make(chan string, 1)
	go func() {
		out, _ := s.Run(limit(s.t), "idevicepair", "pair")
		done <- out
	}()
	return func() string { return <-done }
}

// one asserts that the phone trusts one host, and that it is the one of our record.
func (s *scene) one() {
	s.t.Helper()
	data, err := os.ReadFile(s.recordPath())
	if err != nil {
		s.t.Fatal(err)
	}
	hosts := s.look().State.Hosts
	if len(hosts) != 1 || !bytes.Contains(data, []byte("<string>"+hosts[0]+"</string>")) {
		s.t.Errorf("the phone trusts %v, which is not who the record says\n%s", hosts, s.Log())
	}
}

func TestSceneIdevicepair(t *testing.T) {
	const rounds = 3
	for name, round := range map[string]func(s *scene){
		"at-the-plug": func(s *scene) {
			s.phone("replug")
			s.hear("Attached")
			first := s.idevicepair()
			s.phone("wait", "dialog")
			first()
			s.phone("tap", "trust")
		},
		"dialog-is-up": func(s *scene) {
			s.plug()
			s.await(trust.DialogShown)
			s.idevicepair()()
			s.phone("tap", "trust")
		},
		"at-the-tap": func(s *scene) {
			s.plug()
			s.await(trust.DialogShown)
			first := s.idevicepair()
			s.phone("tap", "trust")
			first()
		},
		"just-before-the-tap": func(s *scene) {
			s.plug()
			s.await(trust.DialogShown)
			s.idevicepair()()
			first := s.idevicepair()
			s.phone("tap", "trust")
			first()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, "idevicepair-"+name, e2e.Config{})
			for i := range rounds {
				round(s)
				// What the tool told its user to do.
				if out := s.idevicepair()(); !strings.Contains(out, "SUCCESS: Paired") {
					t.Errorf("after the tap idevicepair says %q", out)
				}
				s.works()
				s.await(trust.Trusted)
				s.one()
				s.works()
				s.asked(uint64(i+1), 0)
				if !slices.Contains(s.files(), "record") {
					t.Errorf("no whole record: %q", s.files())
				}
				run(t, s.Rig, "SUCCESS: Unpaired", "idevicepair", "unpair")
				s.await(trust.NotAsked)
			}
		})
	}
}
