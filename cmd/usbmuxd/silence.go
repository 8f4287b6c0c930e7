package main

import (
	"sync"
	"time"

	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
)

// silence measures for how long lockdownd has been silent. Its timer runs only while
// that is so.
type silence struct {
	limit   time.Duration // 0: for ever
	bytesIn func() uint64 // of payload that came from the phone
	timer   *time.Timer

	mu     sync.Mutex // guards the rest
	silent bool
	heard  uint64 // bytesIn when the timer was set
}

func newSilence(limit time.Duration, bytesIn func() uint64) *silence {
	s := &silence{limit: limit, bytesIn: bytesIn, timer: time.NewTimer(forever)}
	s.timer.Stop()
	return s
}

// hear takes note of what the trust flow has found out.
func (s *silence) hear(status flow.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.silent
	s.silent = status.State == trust.NotAnswering && status.Cause == trust.CauseSilent
	switch {
	case s.limit == 0:
	case s.silent && !before:
		s.setLocked()
	case !s.silent:
		s.timer.Stop()
	}
}

func (s *silence) setLocked() {
	s.heard = s.bytesIn()
	s.timer.Reset(s.limit)
}

// complete reports, when the timer has run out, whether nothing at all came from the
// phone meanwhile. If something did, a connection works, which no client is to lose:
// the wait begins anew.
func (s *silence) complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.silent {
		return false
	}
	if s.bytesIn() == s.heard {
		return true
	}
	s.setLocked()
	return false
}

func (s *silence) stop() { s.timer.Stop() }
