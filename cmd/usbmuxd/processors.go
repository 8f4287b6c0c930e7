package main

import (
	"os"
	"runtime"
	"sync"
)

// perProcessor is how many phones share a processor. One alone moves more than the
// buses of as many carry; with two, a client's every wake-up is a thread's, for
// nothing: see docs/benchmarks.md.
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

func (p *processors) want(phones int) int {
	return max(1, min(p.max, (phones+perProcessor-1)/perProcessor))
}
