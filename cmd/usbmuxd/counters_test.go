package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/mux"
)

// TestCounters asserts that a phone's counters go on when its session is another,
// and are those of the plug.
func TestCounters(t *testing.T) {
	rig(t, nil, func(ctx context.Context, d *muxd, s *script) {
		synctest.Wait()
		began := time.Now()
		for session := range uint64(2) {
			// Of a phone that answers VERSION and nothing else.
			if _, err := d.view("1-1").session.Dial(ctx, 1); !errors.Is(err, mux.ErrDialTimeout) {
				t.Fatal(err)
			}
			got := d.hub.Devices()[0].Counters
			if got.Unanswered != session+1 || got.Sessions != 0 || got.LastByte == nil || got.Connects != 0 {
				t.Errorf("after session %d: %+v", session, got)
			}
			if n := len(got.ConnectLatency.Counts); n != len(got.ConnectLatency.LE)+1 {
				t.Errorf("%d counts for %d bounds", n, len(got.ConnectLatency.LE))
			}
			s.phone.Unplug()
			time.Sleep(firstRetry)
			synctest.Wait()
		}
		if last := d.hub.Devices()[0].LastByte; !last.After(began) {
			t.Errorf("last byte at %v, want that of the third session's greeting", last)
		}
	})
}
