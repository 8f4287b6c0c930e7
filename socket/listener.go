package socket

import (
	"net"
	"slices"
	"sync"
	"time"
)

// listener is a client that has sent Listen. Messages are queued by whoever has
// an event and written by the client's writer goroutine, so that one who does
// not read delays nobody.
type listener struct {
	// Set before subscribe, read-only afterwards.
	number    uint64 // of the client, for ListListeners
	version   uint32 // protocol form of the events
	identity  identity
	conn      net.Conn
	maxEvents int               // messages waiting, see Config
	maxBytes  int               // bytes waiting, see Config
	sees      func(*entry) bool // what it is told of

	wake chan struct{} // holds a token when there is something for the writer

	mu       sync.Mutex // guards the fields below
	queue    [][]byte   // whole messages, shared with other listeners
	bytes    int        // sum of their lengths
	ending   bool       // nothing follows what is queued
	overflow bool       // an event did not fit; the client is to be dropped
}

// start queues the first messages, whatever their number: the limits are for
// what a slow client piles up later.
func (l *listener) start(messages [][]byte) {
	l.mu.Lock()
	l.queue = messages
	l.mu.Unlock()
	l.poke()
}

// push queues one event. It reports false if that exceeds a limit.
func (l *listener) push(b []byte) bool {
	l.mu.Lock()
	switch {
	case l.ending || l.overflow:
		l.mu.Unlock()
		return true
	case len(l.queue) >= l.maxEvents || l.bytes+len(b) > l.maxBytes:
		l.overflow = true
		l.queue, l.bytes = nil, 0
		l.mu.Unlock()
		return false
	}
	l.queue = append(l.queue, b)
	l.bytes += len(b)
	l.mu.Unlock()
	l.poke()
	return true
}

// end lets the writer return after what is queued and last, if not nil.
func (l *listener) end(last []byte) {
	l.mu.Lock()
	if last != nil && !l.overflow {
		l.queue = append(l.queue, last)
	}
	l.ending = true
	l.mu.Unlock()
	l.poke()
}

func (l *listener) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take waits for messages and returns all of them, or nil at the end.
func (l *listener) take() net.Buffers {
	for {
		l.mu.Lock()
		batch, ending := l.queue, l.ending || l.overflow
		l.queue, l.bytes = nil, 0
		l.mu.Unlock()
		if len(batch) > 0 || ending {
			return batch
		}
		<-l.wake
	}
}

// write writes what is queued until end or an error. It is the only writer of
// the client's socket while it runs.
func (l *listener) write() error {
	for {
		batch := l.take()
		if batch == nil {
			return nil
		}
		if _, own := l.conn.(*unixConn); own && len(batch) > 1 {
			batch = net.Buffers{slices.Concat(batch...)} // at once, as it does by itself for net's own
		}
		if _, err := batch.WriteTo(l.conn); err != nil {
			return err
		}
	}
}

// drop ends listeners whose queue was full: their handlers and writers return
// with a timeout.
func drop(victims []*listener) {
	for _, l := range victims {
		_ = l.conn.SetDeadline(time.Unix(1, 0)) // fails only on a closed socket
		l.poke()
	}
}

// dropped reports whether the listener was ended because it did not read.
func (l *listener) dropped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.overflow
}
