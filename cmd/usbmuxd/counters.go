package main

import (
	"gomuxd/control"
	"gomuxd/mux"
)

// counters are the device's numbers at this moment, since it was plugged in.
func (v *view) counters() control.Counters {
	v.usedMu.Lock()
	stats, session, clients, mended, last := v.past, v.session, v.clients, v.mended, v.last
	v.usedMu.Unlock()
	open := 0
	if session != nil {
		stats.Add(session.Stats())
		open = clients()
	}
	c := countersOf(stats)
	c.Sessions, c.Recoveries, c.LastRecovery = open, mended, last
	return c
}

// recovered shows an attempt to mend the device.
func (v *view) recovered(r control.Recovery) {
	v.usedMu.Lock()
	v.last = &r
	if r.Action != control.ActionLeave {
		v.mended++
	}
	v.usedMu.Unlock()
	v.change(func(*control.Device) {})
}

// succeed goes on with what another view of the same phone has counted.
func (v *view) succeed(before *view) {
	before.usedMu.Lock()
	past, mended, last := before.past, before.mended, before.last
	before.usedMu.Unlock()
	before.mu.Lock()
	since := before.device.PluggedIn
	before.mu.Unlock()
	v.usedMu.Lock()
	v.past, v.mended, v.last = past, mended, last
	v.usedMu.Unlock()
	v.change(func(d *control.Device) { d.PluggedIn = since })
}

// latencyBounds are those of mux in seconds, shared by all.
var latencyBounds = func() []float64 {
	bounds := make([]float64, len(mux.LatencyBounds))
	for i, b := range mux.LatencyBounds {
		bounds[i] = b.Seconds()
	}
	return bounds
}()

func countersOf(s mux.Stats) control.Counters {
	c := control.Counters{
		BytesIn:        s.BytesIn,
		BytesOut:       s.BytesOut,
		Connects:       s.Connects,
		Refused:        s.Refused,
		Unanswered:     s.Unanswered,
		ResetsByPhone:  s.ResetsIn,
		ResetsByHost:   s.ResetsOut,
		ConnectLatency: control.Latency{LE: latencyBounds, Counts: s.Latency.Counts[:], Sum: s.Latency.Sum.Seconds()},
	}
	if !s.Heard.IsZero() {
		at := s.Heard.UTC().Round(0)
		c.LastByte = &at
	}
	return c
}
