package mux

import (
	"sync"
	"time"
)

// deadline is a point in time that may be moved while others wait for it.
// The zero value is no deadline.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{} // closed at the deadline; nil without one
}

// set moves the deadline. Whoever waits on an earlier channel must be woken to
// call wait again.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.expired = nil
	if t.IsZero() {
		return
	}
	expired := make(chan struct{})
	d.expired = expired
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { close(expired) })
	} else {
		close(expired)
	}
}

// wait returns a channel that is closed at the deadline as it stands now.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired
}
