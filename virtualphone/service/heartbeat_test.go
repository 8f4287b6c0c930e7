package service

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// beat is whatever the phone's heartbeat sends.
type beat struct {
	Command            string
	Interval           uint64
	SupportsSleepyTime bool
}

// TestHeartbeat plays a host that answers a number of times.
func TestHeartbeat(t *testing.T) {
	for _, tt := range []struct {
		name  string
		polos int
		delay time.Duration // before each Polo
		beats int           // Marcos in all
	}{
		{name: "silent host", polos: 0, beats: 1},
		{name: "three answers", polos: 3, beats: 4},
		{name: "late but in time", polos: 2, delay: 1400 * time.Millisecond, beats: 3},
		{name: "too late", polos: 2, delay: 1600 * time.Millisecond, beats: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				host, phone := net.Pipe()
				defer host.Close()
				done := make(chan struct{})
				began := time.Now()
				go func() {
					defer close(done)
					Heartbeat(1500*time.Millisecond)(t.Context(), phone)
				}()
				beats := 0
				for {
					var b beat
					if _, err := ReadPlist(host, &b); err != nil {
						t.Fatal(err)
					}
					if b.Command == "SleepyTime" {
						break
					}
					if want := (beat{"Marco", 2, true}); b != want {
						t.Fatalf("want %+v, got %+v", want, b)
					}
					if want := time.Duration(beats) * 1500 * time.Millisecond; time.Since(began) != want {
						t.Errorf("want beat %d after %v, got %v", beats, want, time.Since(began))
					}
					if beats++; beats <= tt.polos {
						if tt.delay < 1500*time.Millisecond {
							time.Sleep(tt.delay)
							host.Write([]byte(framed(poloXML)))
						}
					}
				}
				if beats != tt.beats {
					t.Errorf("want %d beats, got %d", tt.beats, beats)
				}
				wantEOF(t, host)
				<-done
			})
		})
	}
}

// TestHeartbeatHostDoesNotRead checks that a phone is not held up by such a host.
func TestHeartbeatHostDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, phone := net.Pipe()
		defer host.Close()
		began := time.Now()
		Heartbeat(0)(t.Context(), phone)
		if got := time.Since(began); got != DefaultHeartbeat {
			t.Errorf("want the end after %v, got %v", DefaultHeartbeat, got)
		}
	})
}

func TestHeartbeatContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, phone := net.Pipe()
		defer host.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		go ReadPlist(host, new(beat))
		began := time.Now()
		Heartbeat(0)(ctx, phone)
		if got := time.Since(began); got != 3*time.Second {
			t.Errorf("want the end after 3 s, got %v", got)
		}
	})
}
