package usb

import (
	"sync"
	"time"
)

const (
	// leaveTime is how long a phone may take to leave the bus after it has
	// agreed to another mode.
	leaveTime = 5 * time.Second

	// switchPause is how long a port is spared another switch: a phone that comes
	// back as it was must not be sent round for ever.
	switchPause = time.Minute
)

// switches remembers at which ports a phone has lately agreed to another mode.
type switches struct {
	mu   sync.Mutex // guards last
	last map[string]switched
}

type switched struct {
	address int // before
	when    time.Time
}

// verdict is what switches has to say to another switch.
type verdict uint8

const (
	mayAsk       verdict = iota
	stillLeaving         // it has agreed just now and is about to go
	tried                // it has agreed lately, to no effect
)

func (s *switches) ask(at Address, now time.Time) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	for port, sw := range s.last {
		if now.Sub(sw.when) >= switchPause {
			delete(s.last, port)
		}
	}
	sw, ok := s.last[at.Port]
	switch {
	case !ok:
		return mayAsk
	case sw.address == at.Address && now.Sub(sw.when) < leaveTime:
		return stillLeaving
	}
	return tried
}

func (s *switches) forget(port string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, port)
}

func (s *switches) note(at Address, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = make(map[string]switched)
	}
	s.last[at.Port] = switched{address: at.Address, when: now}
}
