package socket

import (
	"sync"
	"time"
)

// maxFlushes bounds how long a device that is slow but steady may take what its
// vanished client has sent, in units of Config.FlushTimeout.
const maxFlushes = 60

// flush ends the connection to a device that takes nothing of what its vanished
// client has sent.
type flush struct {
	conn  Conn
	every time.Duration

	mu    sync.Mutex // guards all below
	timer *time.Timer
	runs  int
	acked uint32
}

// startFlush watches conn until stop: it is aborted when the device has taken
// nothing for the time every.
func startFlush(conn Conn, every time.Duration) *flush {
	f := &flush{conn: conn, every: every}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acked, _ = acked(conn)
	f.timer = time.AfterFunc(every, f.look)
	return f
}

func (f *flush) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs++
	if now, ok := acked(f.conn); ok && now != f.acked && f.runs < maxFlushes {
		f.acked = now
		f.timer.Reset(f.every)
		return
	}
	abort(f.conn)
}

func (f *flush) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = maxFlushes
	f.timer.Stop()
}

func acked(conn Conn) (n uint32, ok bool) {
	if a, is := conn.(interface{ Acked() uint32 }); is {
		return a.Acked(), true
	}
	return 0, false
}

// abort closes conn without waiting for the device to take what was written.
func abort(conn Conn) {
	if a, is := conn.(interface{ Abort() }); is {
		a.Abort()
		return
	}
	_ = conn.Close()
}
