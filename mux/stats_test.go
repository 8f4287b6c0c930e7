package mux

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestStats(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		began := time.Now()
		if s := b.s.Stats(); s.Heard.After(began) || s.Heard.IsZero() {
			t.Errorf("heard at %v, want when the phone greeted, before %v", s.Heard, began)
		}
		dial := func() <-chan error {
			failed := make(chan error, 1)
			go func() {
				_, err := b.s.Dial(context.Background(), 62078)
				failed <- err
			}()
			return failed
		}

		failed := dial()
		b.wantSegment(1, 62078, 0, 0, flagSYN)
		b.sendSegment(62078, 1, 0, 1, flagRST, 0, "")
		if err := <-failed; !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		failed = dial()
		b.wantSegment(2, 62078, 0, 0, flagSYN)
		if err := <-failed; !errors.Is(err, ErrDialTimeout) {
			t.Fatal(err)
		}
		b.wantSegment(2, 62078, 0, 0, flagRST)

		failed = dial() // answered after 30 ms, then reset by the phone
		b.wantSegment(3, 62078, 0, 0, flagSYN)
		time.Sleep(30 * time.Millisecond)
		b.sendSegment(62078, 3, 0, 1, flagSYN|flagACK, window, "")
		b.wantSegment(3, 62078, 1, 1, flagACK)
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		b.sendSegment(62078, 3, 1, 1, flagACK, window, "four")
		synctest.Wait()
		heard := time.Now()
		time.Sleep(time.Second)
		if s := b.s.Stats(); !s.Heard.Equal(heard) {
			t.Errorf("heard at %v, want %v", s.Heard, heard)
		}
		b.sendSegment(62078, 3, 5, 1, flagRST, 0, "")

		// Closed by the client, which is nothing to count; then by the phone's mistake;
		// then with data that the phone does not take.
		b.dial(4, window).Close()
		b.wantSegment(4, 62078, 1, 1, flagRST)
		b.dial(5, window)
		b.sendSegment(62078, 5, 100, 1, flagACK, window, "a gap")
		b.wantSegment(5, 62078, 1, 1, flagRST)
		c := b.dial(6, window)
		c.Write([]byte("not taken"))
		b.wantSegment(6, 62078, 1, 1, flagACK)
		c.Close()
		b.wantSegment(6, 62078, 10, 1, flagRST)

		want := Counters{BytesIn: 4, BytesOut: 9, Connects: 4, Refused: 1, Unanswered: 1, ResetsIn: 1, ResetsOut: 2}
		want.Latency.Counts[0] = 3 // no time passes in the bubble
		want.Latency.Counts[6] = 1 // 20 to 50 ms
		want.Latency.Sum = 30 * time.Millisecond
		got := b.s.Stats()
		if got.Counters != want {
			t.Errorf("want %+v, got %+v", want, got.Counters)
		}
		sum := got
		sum.Heard = time.Time{}
		if sum.Add(got); sum.BytesOut != 18 || sum.Latency.Counts[6] != 2 || sum.Latency.Sum != 60*time.Millisecond || !sum.Heard.Equal(got.Heard) {
			t.Errorf("twice that is %+v", sum)
		}
	})
}

func TestLatencyBounds(t *testing.T) {
	var l Latencies
	for i, d := range LatencyBounds {
		if i > 0 && d <= LatencyBounds[i-1] {
			t.Errorf("bound %v follows %v", d, LatencyBounds[i-1])
		}
		l.add(d)
	}
	l.add(time.Hour)
	for i, n := range l.Counts {
		if n != 1 {
			t.Errorf("bucket %d has %d, want 1", i, n)
		}
	}
}
