package flow_test

import (
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

// plot is what all stories have in common: the states, and the edges from one to
// the next.
type plot struct {
	mu      sync.Mutex
	stories int
	edges   map[edge]bool
}

type edge struct{ from, to trust.State }

func (p *plot) add(seen []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stories++
	if p.edges == nil {
		p.edges = map[edge]bool{}
	}
	var from trust.State
	for _, word := range seen {
		if word == "paired" {
			continue
		}
		name, _, _ := strings.Cut(word, "(")
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

func TestStories(t *testing.T) {
	var p plot
	all := slices.Concat(firstStories, waitingStories, forgottenStories, recordStories, managedStories, policyStories, clientStories, refusalStories)
	t.Run("play", func(t *testing.T) {
		for _, s := range all {
			t.Run(s.name, func(t *testing.T) { s.play(t, &p) })
		}
	})
	if p.stories < len(all) {
		return // not all were wanted
	}
	for _, s := range trust.States() {
		if told := p.tells(s); told == slices.Contains(elsewhere, s) {
			t.Errorf("state %s told by a story: %v", s, told)
		}
	}
}
