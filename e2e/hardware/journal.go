package main

import (
	"fmt"
	"sync"
	"time"
)

// fact is something that was seen, told or done.
type fact interface {
	source() string // in a word, for the timeline
	fmt.Stringer
}

// entry is a fact with the time at which it was noted.
type entry struct {
	at   time.Time
	fact fact
}

// journal keeps all facts in the order in which they came. Every source writes
// to it from its own goroutine; the steps wait for what they need.
type journal struct {
	mu      sync.Mutex // guards all below
	entries []entry
	grown   chan struct{} // closed and replaced with each entry
}

func newJournal() *journal { return &journal{grown: make(chan struct{})} }

func (j *journal) add(f fact) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry{time.Now(), f})
	close(j.grown)
	j.grown = make(chan struct{})
}

// now is the place in the journal behind all that is in it.
func (j *journal) now() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.entries)
}

// since gives the entries from a place on, and a channel that closes when there
// are more.
func (j *journal) since(place int) ([]entry, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entries[place:len(j.entries):len(j.entries)], j.grown
}

// all gives every entry so far.
func (j *journal) all() []entry {
	entries, _ := j.since(0)
	return entries
}

// find gives the first fact of kind F since a place that match accepts; nil
// accepts any.
func find[F fact](j *journal, place int, match func(F) bool) (f F, at time.Time, ok bool) {
	entries, _ := j.since(place)
	for _, e := range entries {
		if f, is := e.fact.(F); is && (match == nil || match(f)) {
			return f, e.at, true
		}
	}
	return f, at, false
}

// count says how many facts of kind F there are since a place that match accepts.
func count[F fact](j *journal, place int, match func(F) bool) int {
	n := 0
	entries, _ := j.since(place)
	for _, e := range entries {
		if f, is := e.fact.(F); is && match(f) {
			n++
		}
	}
	return n
}

// titled is the beginning of a step.
type titled string

func (titled) source() string   { return "step" }
func (t titled) String() string { return string(t) }

// told is what the person was told or asked.
type told string

func (told) source() string   { return "told" }
func (t told) String() string { return string(t) }

// pressed is what the person answered: a line, mostly an empty one.
type pressed string

func (pressed) source() string { return "person" }
func (p pressed) String() string {
	if p == "" {
		return "pressed Enter"
	}
	return fmt.Sprintf("typed %q", string(p))
}
