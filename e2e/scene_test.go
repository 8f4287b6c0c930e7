package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gomuxd/control"
	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

var update = flag.Bool("update", false, "rewrite testdata/status")

// scene is the story of one phone, which lives apart from the daemon: its person
// acts, and all who watch tell what they see. Each test of a scene goes from the
// plug-in to the right end.
type scene struct {
	*e2e.Rig
	t    *testing.T
	name string // of its files in testdata/status

	states  *track // of the control API's events, with "gone" for a removal and "stopped" for the daemon's end
	clients *track // events of a client of the usbmuxd socket, with "closed" for the daemon's end
	watch   sync.WaitGroup
}

// play starts a scene, in which nothing is plugged in yet. Scenes run beside each
// other.
func play(t *testing.T, name string, cfg e2e.Config) *scene {
	t.Helper()
	t.Parallel()
	cfg.Apart = true
	s := &scene{t: t, name: name, states: newTrack(), clients: newTrack()}
	t.Cleanup(s.watch.Wait) // after the daemon's end
	s.Rig = start(t, cfg)
	s.listen()
	return s
}

// listen has the control API and a client of the usbmuxd socket tell what they see
// of the daemon that runs, until it ends.
func (s *scene) listen() {
	s.t.Helper()
	ready, cancel := context.WithCancel(s.t.Context())
	s.watch.Go(func() {
		_ = control.Dial(s.Control()).Watch(context.Background(), func(ev control.Event) error {
			switch ev.Type {
			case control.Ready:
				cancel()
			case control.DeviceRemoved:
				s.tell("gone")
			default:
				if ev.Device.Trust != string(trust.Trusted) || ev.Device.Capacity != nil {
					s.tell(ev.Device.Trust) // with all that follows it at once
				}
			}
			return nil
		})
		s.tell("stopped")
		cancel()
	})
	l := listen(s.t, s.Rig)
	s.watch.Go(func() {
		for l.SetReadDeadline(time.Time{}) == nil {
			body, err := l.next()
			if err != nil {
				s.clients.add("closed")
				return
			}
			s.clients.add(eventName(body))
		}
	})
	<-ready.Done()
}

// tell notes a state, unless it is the one before: then only facts have changed.
func (s *scene) tell(state string) {
	if s.states.last() != state {
		s.states.add(state)
	}
}

var eventType = regexp.MustCompile(`<key>MessageType</key>\s*<string>(\w+)</string>`)

func eventName(body []byte) string {
	if m := eventType.FindSubmatch(body); m != nil {
		return string(m[1])
	}
	return fmt.Sprintf("%q", body)
}

// phone has the person at the phone do something.
func (s *scene) phone(args ...string) { s.t.Helper(); phone(s.t, s.Rig, args...) }

// plug plugs the phone in, anew if it was plugged in: clients hear of it and list it
// at once, whatever becomes of its trust.
func (s *scene) plug() {
	s.t.Helper()
	s.phone("replug")
	s.attached()
}

// attached waits until clients hear of the phone, and has one list it. What they heard
// may have been an earlier plug, of which nobody has asked.
func (s *scene) attached() {
	s.t.Helper()
	s.hear("Attached")
	until(s.t, "idevice_id lists the phone", func() bool {
		out, err := s.Run(limit(s.t), "idevice_id", "-l")
		return err == nil && strings.Contains(out, firstPhone)
	})
}

// unplug pulls the cable, and waits until all have heard of it.
func (s *scene) unplug() {
	s.t.Helper()
	s.phone("unplug")
	s.hear("Detached")
	s.await("gone")
}

// hear waits for an event on the usbmuxd socket.
func (s *scene) hear(event string) {
	s.t.Helper()
	if _, err := s.clients.await(limit(s.t), event); err != nil {
		s.t.Fatalf("clients: %v\n%s", err, s.Log())
	}
}

// await waits for an event of the control API that shows the phone in a state, and
// passes all before it.
func (s *scene) await(state trust.State, or ...trust.State) trust.State {
	s.t.Helper()
	want := []string{string(state)}
	for _, o := range or {
		want = append(want, string(o))
	}
	got, err := s.states.await(limit(s.t), want...)
	if err != nil {
		s.t.Fatalf("states: %v\n%s", err, s.Log())
	}
	return trust.State(got)
}

// tapTrust taps Trust, enters the passcode if there is one, and waits until the tools
// work: at once when clients are told that the phone is paired.
func (s *scene) tapTrust(passcode ...string) {
	s.t.Helper()
	s.phone("tap", "trust")
	tapped := time.Now()
	if len(passcode) > 0 {
		s.phone("passcode", passcode[0])
		tapped = time.Now()
	}
	s.hear("Paired")
	s.works()
	s.t.Logf("validated %v after the owner's last touch", time.Since(tapped).Round(time.Millisecond))
	s.await(trust.Trusted)
}

// works asserts that the phone trusts this computer.
func (s *scene) works() {
	s.t.Helper()
	run(s.t, s.Rig, "SUCCESS: Validated", "idevicepair", "validate")
}

// shutdown ends the daemon in good order; launch starts it again.
func (s *scene) shutdown() {
	s.t.Helper()
	if err := s.Shutdown(); err != nil {
		s.t.Fatal(err)
	}
	s.await("stopped")
}

func (s *scene) launch() {
	s.t.Helper()
	if err := s.Launch(); err != nil {
		s.t.Fatal(err)
	}
	s.listen()
}

// told asserts what the control API and a client of the usbmuxd socket have been
// told from the beginning: regular expressions, since both come late to a daemon
// that starts anew.
func (s *scene) told(states, clients string) {
	s.t.Helper()
	if got := s.states.String(); !whole(states).MatchString(got) {
		s.t.Errorf("states:\nwant %s\ngot  %s\n%s", states, got, s.Log())
	}
	if got := s.clients.String(); !whole(clients).MatchString(got) {
		s.t.Errorf("events for clients:\nwant %s\ngot  %s", clients, got)
	}
}

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile("^(?:" + pattern + ")$") }

// asked asserts how many dialogs the phone has shown in all, and how many of them
// were answered Don't Trust.
func (s *scene) asked(dialogs, denials uint64) {
	s.t.Helper()
	st := s.look().Stats
	if st.Dialogs != dialogs || st.Denials != denials {
		s.t.Errorf("want %d dialogs and %d denials, the phone counted %d and %d\n%s", dialogs, denials, st.Dialogs, st.Denials, s.Log())
	}
}

// look is what the phone says of itself.
func (s *scene) look() virtualphone.ControlResponse {
	s.t.Helper()
	out, err := s.Phone(limit(s.t), "status", "--json")
	var a virtualphone.ControlResponse
	if err == nil {
		err = json.Unmarshal([]byte(out), &a)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// disk asserts what is in the record directory, sorted: "record" and "used" of the
// phone, "copy REASON" of a record set aside, "untrusted" one that the phone is to
// forget; "without bag" follows a record that has no escrow bag. All of it must be
// closed to others.
func (s *scene) disk(want ...string) {
	s.t.Helper()
	if got := s.files(); !slices.Equal(got, want) {
		s.t.Errorf("record directory:\nwant %q\ngot  %q", want, got)
	}
}

// files is what disk compares.
func (s *scene) files() (got []string) {
	s.t.Helper()
	err := filepath.WalkDir(s.Records, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == s.Records {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		private := fs.FileMode(0o600)
		if e.IsDir() {
			private = 0o700
		}
		if fi.Mode().Perm() != private {
			s.t.Errorf("%s has the mode %v, want %v", path, fi.Mode(), private)
		}
		if word := s.file(path); word != "" && !e.IsDir() {
			got = append(got, word)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(got)
	return got
}

// file is what the file at path is.
func (s *scene) file(path string) string {
	name, err := filepath.Rel(s.Records, path)
	if err != nil {
		s.t.Fatal(err)
	}
	var word string
	switch {
	case name == "SystemConfiguration.plist":
		return ""
	case name == ".used/"+firstPhone:
		return "used"
	case name == firstPhone+".plist":
		word = "record"
	case name == ".untrusted/"+firstPhone+".plist":
		word = "untrusted"
	case strings.HasPrefix(name, ".replaced/"+firstPhone+".plist."):
		word = "copy " + name[strings.LastIndex(name, ".")+1:]
	default:
		return "unknown file " + name
	}
	data, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("<key>EscrowBag</key>")) {
		word += " without bag"
	}
	return word
}

// recordPath is where the phone's record is.
func (s *scene) recordPath() string { return filepath.Join(s.Records, firstPhone+".plist") }

// restless are the parts of a status that differ from run to run.
var restless = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(?m)^(  Trust: .*), (just now|for \d+ \w+)$`), "$1, SINCE"},
	{regexp.MustCompile(`(?m)^(  Traffic: +).*$`), "${1}BYTES"},
}

// status compares what muxctl status prints at a moment of the scene with its golden
// file.
func (s *scene) status(moment string) {
	s.t.Helper()
	out, err := s.Muxctl(limit(s.t), "status")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range restless {
		out = r.pattern.ReplaceAllString(out, r.with)
	}
	got := []byte(out + "\n")
	name := filepath.Join("testdata", "status", s.name+"-"+moment+".txt")
	want, err := os.ReadFile(name)
	if *update && !bytes.Equal(got, want) {
		err = errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, got, 0o644))
		want = got
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		s.t.Errorf("%s (-update rewrites it):\nwant\n%s\ngot\n%s\n%s", name, want, got, s.Log())
	}
}
