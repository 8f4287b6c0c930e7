package mux_test

import (
	"testing"

	"gomuxd/mux"
	"gomuxd/virtualphone"
)

// TestObserved moves data both ways and asks the session what it has seen of a
// phone whose habits are known.
func TestObserved(t *testing.T) {
	const (
		window  = 128 << 10
		largest = 32764 // of a phone's packets, with 36 bytes of headers
	)
	observe := func(t *testing.T, f virtualphone.Faults) mux.Observed {
		t.Helper()
		s, phone := attach(t, virtualphone.Config{Faults: f})
		phone.HandlePort(discardPort, discard)
		phone.HandlePort(pourPort, pour)
		for port, up := range map[uint16]bool{discardPort: true, pourPort: false} {
			if err := mebibyte(dial(t, s, port), up); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Dial(t.Context(), 12345); err == nil {
			t.Fatal("a port where nobody listens was opened")
		}
		s.Close()
		return s.Observed()
	}

	o := observe(t, virtualphone.Faults{})
	for _, c := range []struct {
		what      string
		want, got int
	}{
		{"largest packet in", largest, o.LargestPacketIn},
		{"largest segment in", largest - 36, o.LargestSegmentIn},
		{"smallest window", window, int(o.SmallestWindow)},
		{"largest window", window, int(o.LargestWindow)},
		{"largest packet out", 48 << 10, o.LargestPacketOut},
		{"largest segment out", mux.MaxPayload, o.LargestSegmentOut},
		{"split", 0, int(o.Split)},
		{"joined", 0, int(o.Joined)},
		{"resets", 1, int(o.ResetsIn)},
	} {
		if c.want != c.got {
			t.Errorf("%s: want %d, got %d", c.what, c.want, c.got)
		}
	}
	if o.LargestOpen < mux.MaxPayload || o.LargestOpen > window {
		t.Errorf("want between a segment and a window open at once, got %d", o.LargestOpen)
	}
	if o.LargestAck == 0 || o.LargestAck > o.LargestOpen || o.BareAcks == 0 || o.BareAcks > o.Acks || o.Acks > o.PacketsIn || o.AckedBytes < 1<<20 {
		t.Errorf("acks that cannot be: %+v", o)
	}
	if o.SegmentsIn < 1<<20/largest || o.SegmentsIn >= o.PacketsIn || o.PacketsOut < 1<<20/mux.MaxPayload {
		t.Errorf("counts that cannot be: %+v", o)
	}

	if o := observe(t, virtualphone.Faults{FragmentIn: 512}); o.Split < 1<<20/largest {
		t.Errorf("transfers of 512 bytes: want every large packet split, got %d", o.Split)
	}
	if o := observe(t, virtualphone.Faults{CoalesceIn: true}); o.Joined == 0 {
		t.Error("a phone that joins packets: want some seen")
	}
}
