package socket

import (
	"io"
	"sync"
	"time"
)

const (
	// So many sockets are closed together, and none later than that.
	closeBatch = 64
	closeDelay = 100 * time.Millisecond

	// Clients go first: after so many a pause, or one of them would wait for all.
	closeStep  = 8
	closePause = time.Millisecond
)

// closer closes sockets that nobody uses any more, and whose other end is closed, so
// that nobody sees when: many together. close(2) is the one call of a connect that Go
// tells its scheduler of, which wakes the monitor, see unixConn: a fifth of the
// processor time of a connect.
type closer struct {
	closing sync.Mutex // held while some are closed

	mu      sync.Mutex // guards all below
	timer   *time.Timer
	waiting []io.Closer
}

// add has c closed before long.
func (k *closer) add(c io.Closer) {
	k.mu.Lock()
	k.waiting = append(k.waiting, c)
	n := len(k.waiting)
	switch {
	case k.timer == nil:
		k.timer = time.AfterFunc(closeDelay, k.run)
	case n == 1:
		k.timer.Reset(closeDelay)
	case n == closeBatch:
		k.timer.Reset(0)
	}
	k.mu.Unlock()
	if n >= 2*closeBatch { // they come faster than they go
		k.flush()
	}
}

// run closes some of those that wait, and comes again for the rest.
func (k *closer) run() {
	if k.close(closeStep) {
		k.mu.Lock()
		k.timer.Reset(closePause)
		k.mu.Unlock()
	}
}

// flush closes them now, and waits for those that are being closed.
func (k *closer) flush() {
	for k.close(closeBatch) {
	}
}

// close closes up to n of them, and reports whether there are more.
func (k *closer) close(n int) (more bool) {
	k.closing.Lock()
	defer k.closing.Unlock()
	k.mu.Lock()
	n = min(n, len(k.waiting))
	these := k.waiting[:n:n]
	k.waiting = k.waiting[n:]
	if more = len(k.waiting) > 0; !more {
		k.waiting = nil
	}
	k.mu.Unlock()
	for _, c := range these {
		c.Close()
	}
	return more
}
