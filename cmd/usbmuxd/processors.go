package main

import (
	"os"
	"runtime"
	"sync"
)

// perProcessor is how many phones share a processor: one alone moves more than the
// buses of as many carry.
const perProcessor = 8

// processors fits the number of threads that Go runs at once to what is plugged in.
type processors struct {
	mu  sync.Mutex // guards now
	max int
	now int
}

// newProcessors has as many as Go would use, and begins with one. It is nil, which
// does nothing, if the user has said how many.
func newProcessors() *processors {
	if os.Getenv("GOMAXPROCS") != "" {
		return nil
	}
	p := &processors{max: runtime.GOMAXPROCS(0)}
	p.now = p.max
	p.fit(0)
	return p
}

// fit is told how many phones there are. It stops the world for a moment if that
// changes anything.
func (p *processors) fit(phones int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.want(phones); n != p.now {
		p.now = n
		runtime.GOMAXPROCS(n)
	}
}

// want is one for a single phone: with two, each of a client's wake-ups is a thread's,
// for nothing. Others get one more, since a call for a phone that is being configured
// waits in the kernel, on its processor, until the phone has answered, 5 s at most.
func (p *processors) want(phones int) int {
	n := 1
	if phones > 1 {
		n += (phones + perProcessor - 1) / perProcessor
	}
	return min(n, p.max)
}
