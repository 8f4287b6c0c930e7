package socket

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts the calls of Close.
type counted struct{ atomic.Int32 }

func (c *counted) Close() error { c.Add(1); return nil }

func TestCloser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k closer
		var n counted
		want := func(what string, want int32) {
			t.Helper()
			synctest.Wait()
			if got := n.Load(); got != want {
				t.Fatalf("%s: %d closed, want %d", what, got, want)
			}
		}
		k.add(&n)
		time.Sleep(closeDelay - time.Nanosecond)
		k.add(&n)
		want("before the time", 0)
		time.Sleep(time.Nanosecond)
		want("at the time of the first", 2)
		time.Sleep(closeDelay)
		for range closeBatch - 1 {
			k.add(&n)
		}
		want("not enough of them", 2)
		k.add(&n)
		want("enough of them", 2+closeStep)
		time.Sleep(closePause)
		want("after a pause", 2+2*closeStep)
		k.flush()
		want("flushed", 2+closeBatch)
		for range 2 * closeBatch {
			k.add(&n)
		}
		want("too many for steps", 2+3*closeBatch)
		k.add(&n)
		k.flush()
		time.Sleep(2 * closeDelay)
		want("in the end", 3+3*closeBatch)
	})
}

// Clients that come and go leave no descriptors behind.
func TestClosedBefore(t *testing.T) {
	r := newRig(t)
	r.dial().sync()
	before := openFiles(t)
	for range 5 * closeBatch {
		h := r.dial()
		h.sync()
		h.Close()
	}
	r.until(func() bool { return openFiles(t) == before })
}
