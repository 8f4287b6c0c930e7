package hotplug

import (
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
)

// firstLook is the wait before a second look at a device that could not be read,
// that waits for udevd, or that should have gone; it doubles each time, maxLooks
// times.
const (
	firstLook = 100 * time.Millisecond
	maxLooks  = 5
)

// state brings the ledger in line with sysfs. Only sysfs is believed: uevents
// and scans say where to look.
type state struct {
	log    *zap.Logger
	tree   tree
	udevd  udevd
	ledger *ledger
	blind  bool // the last listing did not work, which has been logged
}

// scan looks at everything that is thought to be there and then at what is new,
// so that a phone which moved to another port leaves before it arrives. A quick
// scan spares what is known the looks that are to show nothing new.
func (s *state) scan(quick bool) {
	paths, err := s.tree.list()
	if err != nil {
		if !s.blind {
			s.log.Warn("sysfs cannot be listed, devices are kept as they are", zap.Error(err))
		}
		s.blind = true
		return
	}
	s.blind = false
	known := slices.Sorted(maps.Keys(s.ledger.slots))
	for _, p := range known {
		s.look(s.ledger.slots[p], quick, !slices.Contains(paths, p))
	}
	for _, p := range paths {
		if _, found := slices.BinarySearch(known, p); !found {
			s.look(s.ledger.slot(p), quick, false)
		}
	}
}

// hint looks where a uevent points.
func (s *state) hint(h hint) {
	sl := s.ledger.slot(h.path)
	sl.tries = 0
	if h.udev && !h.removed {
		sl.settledBus, sl.settledAddress = h.bus, h.address
	}
	leaving := h.removed && sl.actual != nil && sl.actual.Bus == h.bus && sl.actual.Address == h.address
	s.look(sl, false, leaving)
}

// lookAgain takes the second looks that are due.
func (s *state) lookAgain(now time.Time) {
	for _, sl := range s.ledger.slots {
		if !sl.due.IsZero() && !sl.due.After(now) {
			s.look(sl, false, false)
		}
	}
}

// look reads the device of one slot and decides what may be reported. leaving
// says that it is expected to be gone, quick that nothing points at a change.
func (s *state) look(sl *slot, quick, leaving bool) {
	sl.due = time.Time{}
	p, err := s.tree.observe(sl.path, sl.actual, quick)
	known := p.inode != 0 && p.same(sl.actual)
	switch {
	case errors.Is(err, errGone):
		*sl = slot{path: sl.path, told: sl.told, queued: sl.queued}
	case errors.Is(err, errDescriptors):
		if !known {
			sl.actual = nil
		}
		if sl.complained != p.inode {
			sl.complained = p.inode
			s.log.Warn("device skipped", zap.String("sysfs", sl.path), zap.Error(err))
		}
	case err != nil:
		if p.inode != 0 && !known {
			sl.actual = nil
		}
		if !s.again(sl) && sl.complained != p.inode|1<<63 {
			sl.complained = p.inode | 1<<63
			s.log.Warn("device cannot be read", zap.String("sysfs", sl.path), zap.Error(err))
		}
	case p.Kind == Ignored:
		sl.actual = nil
		sl.complained = 0
	case known || s.settled(sl, &p):
		sl.actual = &p
		sl.complained = 0
		if !leaving {
			sl.tries = 0
		} else {
			s.again(sl)
		}
	default:
		// udevd's message may not reach us, so its files are looked at until then.
		sl.actual = nil
		if !s.again(sl) {
			sl.due = sl.since.Add(settleTime)
		}
	}
	s.ledger.update(sl)
}

// again asks for a second look, and reports false if there were enough of them.
func (s *state) again(sl *slot) bool {
	if sl.tries >= maxLooks {
		return false
	}
	sl.due = time.Now().Add(firstLook << sl.tries)
	sl.tries++
	return true
}

// settled reports whether p has waited for udevd as long as it must.
func (s *state) settled(sl *slot, p *plug) bool {
	if sl.settledBus == p.Bus && sl.settledAddress == p.Address || s.udevd.settled(p.devno) {
		return true
	}
	if !p.same(&sl.waiting) {
		sl.waiting, sl.since = *p, time.Now()
		return false
	}
	if time.Since(sl.since) < settleTime {
		return false
	}
	s.log.Warn("udevd has not handled a device, taking it as it is", zap.String("sysfs", sl.path),
		zap.Duration("waited", settleTime))
	return true
}
