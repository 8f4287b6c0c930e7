package mux

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Waiting is a Pipe whose packets wait behind its back, as those of a Lender do.
type Waiting interface {
	// Waiting reports whether packets are on their way to the phone, and gives a
	// mark that has not changed if the phone has taken nothing meanwhile.
	Waiting() (mark uint64, waiting bool)
}

// stuck ends a session whose phone takes nothing. Its timer runs only while something
// is sent, and is set once in Config.Stuck, not for each packet.
type stuck struct {
	limit  time.Duration // 0: never
	pipe   Waiting       // nil: only Writes wait
	writes atomic.Uint64 // begun and ended: odd while one waits
	armed  atomic.Bool
	timer  *time.Timer
	seen   atomic.Uint64 // the mark when the timer ran out last
}

func (s *Session) watchWrites() {
	s.stuck.limit = s.cfg.Stuck
	s.stuck.pipe, _ = s.pipe.(Waiting)
	if s.cfg.Stuck > 0 {
		s.stuck.timer = time.AfterFunc(s.cfg.Stuck, s.lookAtWrites)
		s.stuck.timer.Stop()
	}
}

// sent follows a packet that may wait in the pipe.
func (k *stuck) sent() {
	if k.limit > 0 && !k.armed.Load() && k.armed.CompareAndSwap(false, true) {
		k.timer.Reset(k.limit)
	}
}

// begin precedes a Write, which may wait; end follows it.
func (k *stuck) begin() {
	k.writes.Add(1)
	k.sent()
}

func (k *stuck) end() { k.writes.Add(1) }

// waiting is the pipe's Waiting, or the same by the Writes.
func (k *stuck) waiting() (mark uint64, waiting bool) {
	if k.pipe != nil {
		return k.pipe.Waiting()
	}
	n := k.writes.Load()
	return n, n%2 == 1
}

// lookAtWrites is called by the timer.
func (s *Session) lookAtWrites() {
	k := &s.stuck
	k.armed.Store(false) // what is sent from now on sets the timer itself
	mark, waiting := k.waiting()
	switch {
	case !waiting:
		k.seen.Store(0)
	case mark == k.seen.Load():
		s.end(fmt.Errorf("%w for %v", ErrStuck, k.limit))
	case k.armed.CompareAndSwap(false, true):
		k.seen.Store(mark)
		k.timer.Reset(k.limit)
	}
}
