package mux

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestStuck asserts that a session ends whose phone takes nothing for long, and that
// one whose phone is slow, or that has nothing to say, does not.
func TestStuck(t *testing.T) {
	const limit = 10 * time.Second
	play(t, Config{Stuck: limit}, func(b *bench) {
		c := b.dial(1, window)
		time.Sleep(time.Hour) // nothing to say
		c.Write([]byte("slow"))
		time.Sleep(limit - time.Second)
		b.wantSegment(1, 62078, 1, 1, flagACK)
		for range 5 { // something is taken in each limit
			c.Write([]byte("slow"))
			time.Sleep(limit - time.Second)
			b.recv()
		}
		synctest.Wait()
		if err := b.s.Err(); err != nil {
			t.Fatalf("a slow phone is not stuck: %v", err)
		}

		start := time.Now()
		c.Write([]byte("stuck"))
		<-b.s.Done()
		if err, d := b.s.Err(), time.Since(start); !errors.Is(err, ErrStuck) || d < limit || d > 2*limit {
			t.Errorf("want ErrStuck after %v to %v, got %v after %v", limit, 2*limit, err, d)
		}
		if err := c.Err(); !errors.Is(err, ErrDeviceGone) || !errors.Is(err, ErrStuck) {
			t.Errorf("the connection ended with %v", err)
		}
	})
}

// TestNeverStuck asserts that without a limit nothing is looked at.
func TestNeverStuck(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		c.Write([]byte("stuck"))
		time.Sleep(time.Hour)
		if err := b.s.Err(); err != nil {
			t.Errorf("want a session still, got %v", err)
		}
	})
}
