package socket

import (
	"testing"
	"testing/synctest"
	"time"
)

// A device that takes nothing loses what its client has left; one that is slow
// but steady gets it, for a good while.
func TestFlush(t *testing.T) {
	for _, tt := range []struct {
		name  string
		plain bool          // without Acked
		every time.Duration // the device takes a byte; 0 is never
		want  time.Duration // until it is over
	}{
		{name: "takes nothing", want: time.Second},
		{name: "cannot tell", plain: true, every: 100 * time.Millisecond, want: time.Second},
		{name: "steady", every: 900 * time.Millisecond, want: maxFlushes * time.Second},
		{name: "too slow", every: 2500 * time.Millisecond, want: time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPhone(1)
				start := time.Now()
				conn := Conn(fastConn{fakeConn{p}})
				if tt.plain {
					conn = fakeConn{p}
				}
				f := startFlush(conn, time.Second)
				if tt.every > 0 {
					ticker := time.NewTicker(tt.every)
					defer ticker.Stop()
					stop := make(chan struct{})
					defer close(stop)
					go func() {
						for {
							select {
							case <-ticker.C:
								p.do(func() { p.acked++ })
							case <-stop:
								return
							}
						}
					}()
				}
				<-p.done
				if got := time.Since(start); got != tt.want {
					t.Errorf("over after %v, want %v", got, tt.want)
				}
				f.stop()
			})
		})
	}
}

func TestFlushStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPhone(1)
		startFlush(fastConn{fakeConn{p}}, time.Second).stop()
		time.Sleep(time.Minute)
		p.do(func() {
			if p.closed {
				t.Error("ended after stop")
			}
		})
	})
}

// Only the device's silence counts, not the time that a write to the client
// takes, whether that has begun before or after the half-close.
func TestSilence(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(s *silence, begin func())
		want time.Duration // 0 is never
	}{
		{"silent", func(_ *silence, begin func()) { begin() }, time.Second},
		{"half-closed during a write", func(s *silence, begin func()) {
			s.write(true)
			begin()
			time.Sleep(time.Minute)
			s.write(false)
		}, time.Minute + time.Second},
		{"write after the half-close", func(s *silence, begin func()) {
			begin()
			time.Sleep(900 * time.Millisecond)
			s.write(true)
			time.Sleep(time.Minute)
			s.write(false)
		}, time.Minute + 1900*time.Millisecond},
		{"over", func(s *silence, begin func()) {
			begin()
			s.end()
			s.write(true)
			s.write(false)
		}, 0},
		{"over before", func(s *silence, begin func()) {
			s.end()
			begin()
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s silence
				start := time.Now()
				expired := make(chan time.Duration, 1)
				tt.do(&s, func() {
					s.begin(time.Second, func() { expired <- time.Since(start) })
				})
				time.Sleep(time.Hour)
				synctest.Wait()
				var got time.Duration
				select {
				case got = <-expired:
				default:
				}
				if got != tt.want {
					t.Errorf("expired after %v, want %v", got, tt.want)
				}
			})
		})
	}
}
