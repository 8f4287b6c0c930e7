package hotplug

import "time"

// slot is what is known about one sysfs path.
type slot struct {
	path   string
	actual *plug // what is there and may be reported; nil for nothing
	told   *plug // what the receiver believes is there
	queued bool  // in ledger.queue

	settledBus, settledAddress int // of the device that udevd last finished here

	complained uint64    // inode of the device that was found malformed
	since      time.Time // when the device that waits for udevd was first seen
	waiting    plug      // that device
	tries      int       // second looks taken since the last event
	due        time.Time // when to look again; zero for not at all

	wanted uint64 // inode of the device that was there at the last release
}

// idle reports whether there is nothing to remember about s.
func (s *slot) idle() bool {
	return s.actual == nil && s.told == nil && !s.queued && s.complained == 0 && s.due.IsZero()
}

// differs reports whether the receiver does not believe what is there. What is
// held back counts as not there.
func (l *ledger) differs(s *slot) bool {
	actual := s.actual
	if l.manual && actual != nil && actual.inode != s.wanted {
		actual = nil
	}
	if actual == nil || s.told == nil {
		return actual != s.told
	}
	return !actual.same(s.told) || actual.Kind != s.told.Kind
}

// ledger holds what is there against what the receiver was told. Events are not
// kept but computed from the difference when the receiver is ready, one step of
// one path at a time. So a slow receiver costs no memory beyond the devices
// themselves, and what came and went while it was busy leaves nothing behind.
type ledger struct {
	slots map[string]*slot
	queue []*slot // paths that may differ, longest first; &l.scanned stands for Scanned

	manual bool // arrivals are held back until the next release

	scanned slot
}

func newLedger(manual bool) *ledger {
	return &ledger{slots: make(map[string]*slot), manual: manual}
}

// slot finds or makes the slot of a path.
func (l *ledger) slot(path string) *slot {
	s := l.slots[path]
	if s == nil {
		s = &slot{path: path}
		l.slots[path] = s
	}
	return s
}

// update notes that s may have changed.
func (l *ledger) update(s *slot) {
	if !s.queued && l.differs(s) {
		s.queued = true
		l.queue = append(l.queue, s)
	}
	l.forget(s)
}

// release lets everything be reported that is there now, or that is still looked
// at before it is.
func (l *ledger) release() {
	for _, s := range l.slots {
		s.wanted = s.waiting.inode
		if s.actual != nil {
			s.wanted = s.actual.inode
		}
		l.update(s)
	}
}

// forget drops s if it says nothing any more.
func (l *ledger) forget(s *slot) {
	if s.idle() {
		delete(l.slots, s.path)
	}
}

// endScan queues Scanned behind everything found so far.
func (l *ledger) endScan() { l.queue = append(l.queue, &l.scanned) }

// next gives the event which the receiver is to get next, if any. The caller
// calls sent when it was delivered, and nothing else in between.
func (l *ledger) next() (Event, bool) {
	for len(l.queue) > 0 {
		s := l.queue[0]
		switch {
		case s == &l.scanned:
			return Event{Action: Scanned}, true
		case !l.differs(s):
			l.pop()
		case s.told != nil:
			return Event{Action: Remove, Device: s.told.Device}, true
		default:
			return Event{Action: Add, Device: s.actual.Device}, true
		}
	}
	return Event{}, false
}

// sent notes that the receiver has the event of next. A path that needs a second
// step goes to the back, so that a flapping device does not hold up the others.
func (l *ledger) sent() {
	s := l.queue[0]
	switch {
	case s == &l.scanned:
	case s.told != nil:
		s.told = nil
	default:
		s.told = s.actual
	}
	l.pop()
	if s != &l.scanned {
		l.update(s)
	}
}

// pop takes the first path off the queue.
func (l *ledger) pop() {
	s := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	if s != &l.scanned {
		s.queued = false
		l.forget(s)
	}
}

// due gives the earliest second look that is wanted; zero for none.
func (l *ledger) due() time.Time {
	var first time.Time
	for _, s := range l.slots {
		if !s.due.IsZero() && (first.IsZero() || s.due.Before(first)) {
			first = s.due
		}
	}
	return first
}
