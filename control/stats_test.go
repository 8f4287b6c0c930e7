package control

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// A reading says when it is of, and of which plug.
func TestStats(t *testing.T) {
	r := newRig(t)
	before := now()
	var s Stats
	if err := json.Unmarshal([]byte(r.ask("GET", "/v1/stats", "").body), &s); err != nil {
		t.Fatal(err)
	}
	devices := r.hub.Devices()
	if s.Time.Before(before) || len(s.Devices) != len(devices) || len(devices) == 0 {
		t.Fatalf("%d devices at %v, want %d not before %v", len(s.Devices), s.Time, len(devices), before)
	}
	for i, d := range devices {
		if got := s.Devices[i]; got.PortPath != d.PortPath || !got.PluggedIn.Equal(d.PluggedIn) || got.PluggedIn.IsZero() || got.BytesIn != d.BytesIn {
			t.Errorf("%+v, want those of %+v", got, d)
		}
	}
}

// BenchmarkStats is a reading of 100 phones, less the HTTP.
func BenchmarkStats(b *testing.B) {
	h := NewHub(Config{Counters: func(string) Counters {
		at := time.Now()
		return Counters{BytesIn: 1 << 40, BytesOut: 1 << 30, Connects: 1234, LastByte: &at,
			ConnectLatency: Latency{LE: make([]float64, 13), Counts: make([]uint64, 14), Sum: 1.5}}
	}})
	for i := range 100 {
		udid, id := fmt.Sprintf("00008110-%016X", i), uint32(i)
		h.Put(fmt.Sprint("1-", i), Device{DeviceID: &id, UDID: &udid, Name: "iPhone", PortPath: fmt.Sprint("1-", i), Trust: "trusted"})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(statsOf(now(), h.Devices())); err != nil {
			b.Fatal(err)
		}
	}
}
