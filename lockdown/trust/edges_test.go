package trust

import (
	"bytes"
	"flag"
	"fmt"
	"hash/maphash"
	"maps"
	"os"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/edges.txt anew")

// edges is which states may follow each other.
type edges map[State]map[State]bool

func (e edges) add(from, to State) {
	if from == to {
		return
	}
	if e[from] == nil {
		e[from] = map[State]bool{}
	}
	e[from][to] = true
}

// text has a line for each state: it, and what may follow it.
func (e edges) text() []byte {
	var b bytes.Buffer
	for _, from := range States() {
		if next, ok := e[from]; ok {
			fmt.Fprintf(&b, "%s:", from)
			for _, to := range slices.Sorted(maps.Keys(next)) {
				fmt.Fprintf(&b, " %s", to)
			}
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// essence is m without what has no part in which state follows: times are now, long
// ago, or none, and counts end where more makes no difference.
func (m Machine) essence(now time.Time) Machine {
	if m.cause != CauseLockedAway && m.cause != CauseUnpairedHere {
		m.cause = ""
	}
	if m.why != "" {
		m.why = CauseTLS
	}
	if !m.at.IsZero() {
		m.at = epoch
	}
	if !m.dialog.IsZero() && now.Sub(m.dialog) < patience {
		m.dialog = epoch
	} else if !m.dialog.IsZero() {
		m.dialog = epoch.Add(-patience)
	}
	m.class, m.escrow, m.untrusted, m.clients, m.missed, m.opened = "iPhone", false, false, false, time.Time{}, time.Time{}
	m.tries, m.tls, m.taps = min(m.tries, 1), min(m.tls, 1), min(m.taps, 2)
	m.vain = 0 // only pauses are longer by them
	return m
}

var epoch = time.Unix(1_800_000_000, 0)

// causesOf is what may come of each deed.
var causesOf = map[Deed][]string{
	Identify: failures,
	Check: append([]string{CauseNoRecord, CauseUnreadable, CauseDeviceKey, CauseTLS, nameInvalidHostID, nameMissingPairRecord,
		namePasswordProtected, "Odd"}, failures...),
	SetAside: {"", CauseDisk},
	Listen:   {"", CauseBroken},
	Pair: append([]string{nameDialogPending, namePasswordProtected, namePasscodeRequired, nameUserDenied, "Odd"},
		failures...),
	Save:   {"", CauseDisk},
	Unpair: append([]string{CauseNoRecord, nameInvalidHostID, namePasswordProtected, "Odd"}, failures...),
}

// failures may come of all that talks to the phone.
var failures = []string{"", CauseSilent, CauseGarbage, CauseRefused, CauseBroken, CauseDisk, nameFMiPProtected, nameEscrowLocked,
	nameServiceLimit, nameProhibited, nameMCProtected}

// results are all that can come of a deed.
func results(d Deed) (all []Result) {
	for _, cause := range causesOf[d] {
		for _, record := range []bool{false, true} {
			r := Result{Cause: cause, Record: record, Class: "iPhone", Major: 17, Passcode: true}
			all = append(all, r)
			switch {
			case d == Check && cause == nameInvalidHostID:
				r.Stranger = true
				all = append(all, r)
			case d == Identify && cause == "":
				r.Untrusted = true
				all = append(all, r)
				all = append(all, Result{Record: record, Class: "iPhone", Major: 17}, Result{Record: record, Class: "iPhone", Major: 6}, Result{Restoring: true})
			}
		}
	}
	return all
}

// TestEdges follows machines of all kinds through all that can happen to them, and
// compares which states follow each other with testdata/edges.txt. Package flow plays
// those.
func TestEdges(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of thousands of machines")
	}
	found, seen, seed := edges{}, map[uint64]bool{}, maphash.MakeSeed()
	var todo []Machine
	outcomes := map[Deed][]Result{}
	for d := Identify; d <= Unpair; d++ {
		outcomes[d] = results(d)
	}
	reach := func(from State, m *Machine, now time.Time) {
		found.add(from, m.state)
		e := m.essence(now)
		if h := maphash.Comparable(seed, e); !seen[h] {
			seen[h] = true
			todo = append(todo, e)
		}
	}
	for _, policy := range []Policy{Auto, Ask, Never} {
		for _, supervisor := range []bool{false, true} {
			m := New(Config{Policy: policy, Supervisor: supervisor}, epoch)
			reach(m.state, m, epoch)
		}
	}
	for len(todo) > 0 {
		m := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		then := func(now time.Time, do func(*Machine)) {
			next := m
			do(&next)
			reach(m.state, &next, now)
		}
		for e := RequestPair; e <= Dismissed; e++ {
			then(epoch, func(m *Machine) { m.Hear(epoch, e) })
		}
		for _, p := range []Policy{Auto, Ask, Never} {
			then(epoch, func(m *Machine) { m.SetPolicy(epoch, p) })
		}
		if m.dialog.Equal(epoch) {
			then(epoch, func(m *Machine) { m.dialog = epoch.Add(-patience) })
		}
		if d, _ := m.Next(epoch); d != Rest {
			for _, r := range outcomes[d] {
				then(epoch, func(m *Machine) { m.Done(epoch, d, r) })
			}
		}
	}
	t.Logf("%d machines", len(seen))
	const file = "testdata/edges.txt"
	got := found.text()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the machine's edges are not those of %s; if they are to change, run this with -update\n%s", file, got)
	}
}
