package flow_test

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

// story is what happens to one phone, from its plug to its end.
type story struct {
	name   string
	phone  virtualphone.Config
	cfg    flow.Config
	before func(*rig) // the plug; may be nil
	tell   func(*rig)

	// What the flow tells, in order: each state, with its cause if there is one,
	// and "paired" for each new record; "|" is a new plug, or a new daemon.
	seen    string
	disk    string // at the end; see rig.disk
	dialogs uint64 // that the phone's owner has seen
}

func (s story) play(t *testing.T, plot *plot) {
	t.Parallel()
	play(t, s.phone, s.cfg, func(r *rig) {
		if s.before != nil {
			s.before(r)
		}
		r.plug()
		s.tell(r)
		r.status()
		if got := strings.Join(r.seen, " "); got != s.seen {
			t.Errorf("states\nwant %s\ngot  %s", s.seen, got)
		}
		if got := r.disk(); got != s.disk {
			t.Errorf("on disk: want %q, got %q", s.disk, got)
		}
		if n := r.phone.Stats().Dialogs; n != s.dialogs {
			t.Errorf("want %d dialogs, the phone counted %d", s.dialogs, n)
		}
		plot.add(r.seen)
	})
}

// plot is what all stories have in common: which state came after which, and the
// causes.
type plot struct {
	mu      sync.Mutex
	stories int
	edges   map[edge]bool
	causes  map[string]bool
}

type edge struct{ from, to trust.State }

func (p *plot) add(seen []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stories++
	if p.edges == nil {
		p.edges, p.causes = map[edge]bool{}, map[string]bool{}
	}
	var from trust.State
	for _, word := range seen {
		if word == "paired" {
			continue
		}
		name, cause, _ := strings.Cut(word, "(")
		p.causes[strings.TrimSuffix(cause, ")")] = true
		to := trust.State(name)
		if word == "|" {
			to = ""
		} else if from != to {
			p.edges[edge{from, to}] = true
		}
		from = to
	}
}

func (p *plot) tells(s trust.State) bool {
	for e := range p.edges {
		if e.to == s {
			return true
		}
	}
	return false
}

// elsewhere are the states that no flow tells, because there is no multiplexer then:
// cmd/usbmuxd shows them (TestBelowMux there), and e2e/guest has seen them on USB.
var elsewhere = []trust.State{trust.ChargingOnly, trust.NoMux, trust.Recovery, trust.DFU}

// TestStories plays every state, and everything that can happen in it.
func TestStories(t *testing.T) {
	var p plot
	all := slices.Concat(firstStories, generationStories, waitingStories, forgottenStories, recordStories, managedStories, policyStories, clientStories, refusalStories)
	played := t.Run("whole", func(t *testing.T) {
		for _, s := range all {
			t.Run(s.name, func(t *testing.T) { s.play(t, &p) })
		}
	})
	if testing.Short() {
		return
	}
	played = t.Run("turns", func(t *testing.T) {
		for _, w := range ways {
			for _, turn := range turnsOf(w) {
				t.Run(string(w.to)+", "+turn.name, func(t *testing.T) { turn.play(t, w, &p) })
			}
		}
	}) && played
	want := len(all)
	for _, w := range ways {
		want += len(turnsOf(w))
	}
	if !played || p.stories < want {
		return // not all were wanted
	}
	for _, s := range trust.States() {
		if told := p.tells(s); told == slices.Contains(elsewhere, s) {
			t.Errorf("state %s told by a story: %v", s, told)
		}
	}
	for _, cause := range causes {
		if !p.causes[cause] {
			t.Errorf("cause %s told by no story", cause)
		}
	}
	p.compare(t)
}

// causes are those beside lockdownd's own names. That there is no record is told by
// the state alone.
var causes = []string{
	trust.CauseSilent, trust.CauseGarbage, trust.CauseRefused, trust.CauseBroken,
	trust.CauseTLS, trust.CauseDeviceKey, trust.CauseIncomplete, trust.CauseUnreadable, trust.CauseDisk, trust.CauseUnused, trust.CauseBUID,
	trust.CausePolicyAsk, trust.CausePolicyNever, trust.CauseUnpairedHere,
	trust.CauseTimedOut, trust.CauseLockedAway,
}

// unplayed are the machine's edges that nobody can meet, or hardly.
var unplayed = []struct {
	from, to string // "*" is any
	why      string
}{
	{"*", "restore-mode", "a restart brings it about, which is a new plug"},
	{"locked-since-boot", "dialog-gone", noRecordFirst},
	{"not-answering", "dialog-gone", noRecordFirst},
	{"forgotten-by-phone", "dialog-gone", noRecordFirst},
	{"record-broken", "dialog-gone", noRecordFirst},
	{"buid-mismatch", "dialog-gone", noRecordFirst},
}

const noRecordFirst = "a client must save a record while the dialog is up, and lose it when that has become too old"

// compare compares what was played with the machine's edges.
func (p *plot) compare(t *testing.T) {
	data, err := os.ReadFile("../trust/testdata/edges.txt")
	if err != nil {
		t.Fatal(err)
	}
	needless := slices.Clone(unplayed)
	for line := range strings.Lines(string(data)) {
		from, next, _ := strings.Cut(line, ":")
		for _, to := range strings.Fields(next) {
			e := edge{trust.State(from), trust.State(to)}
			excuse := slices.IndexFunc(unplayed, func(u struct{ from, to, why string }) bool {
				return (u.from == "*" || u.from == from) && u.to == to
			})
			switch {
			case p.edges[e]:
			case excuse < 0:
				t.Errorf("nobody plays %s after %s", to, from)
			default:
				needless = slices.DeleteFunc(needless, func(u struct{ from, to, why string }) bool { return u == unplayed[excuse] })
			}
			delete(p.edges, e)
		}
	}
	for _, u := range needless {
		t.Errorf("all of %s after %s is played", u.to, u.from)
	}
	for e := range p.edges {
		// A first state follows none; the flow makes expiring of disabled and trusted.
		if e.from != "" && e.from != trust.Expiring && e.to != trust.Expiring {
			t.Errorf("%s after %s is not the machine's", e.to, e.from)
		}
	}
}
