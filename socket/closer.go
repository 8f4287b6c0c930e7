package socket

import (
	"io"
	"sync"
	"time"
)

// A closer closes so many sockets at once, and none later than that.
const (
	closeBatch = 64
	closeDelay = 100 * time.Millisecond
)

// closer closes sockets that nobody uses any more, and whose other end is closed, so
// that nobody sees when: many at once. close(2) is the one call of a connect that Go
// tells its scheduler of, which wakes its monitor; that then looks 50 times before it
// sleeps again, a fifth of the processor time of a connect.
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
	case n > 1:
	case k.timer == nil:
		k.timer = time.AfterFunc(closeDelay, k.flush)
	default:
		k.timer.Reset(closeDelay)
	}
	k.mu.Unlock()
	if n >= closeBatch {
		k.flush()
	}
}

// flush closes them now, and waits for those that are being closed.
func (k *closer) flush() {
	k.closing.Lock()
	defer k.closing.Unlock()
	k.mu.Lock()
	all := k.waiting
	k.waiting = nil
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}
