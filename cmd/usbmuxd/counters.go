package main

import (
	"gomuxd/control"
	"gomuxd/mux"
)

// counters are the device's numbers at this moment, since it was plugged in.
func (v *view) counters() control.Counters {
	v.usedMu.Lock()
	stats, session, clients := v.past, v.session, v.clients
	v.usedMu.Unlock()
	open := 0
	if session != nil {
		stats.Add(session.Stats())
		open = clients()
	}
	c := countersOf(stats)
	c.Sessions = open
	return c
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
