package mux

import "time"

// LatencyBounds are the upper bounds of the buckets of Latencies.
var LatencyBounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second,
}

// Latencies is a histogram.
type Latencies struct {
	Counts [len(LatencyBounds) + 1]uint64 // per bucket; the last is for what is beyond all bounds
	Sum    time.Duration                  // of all
}

func (l *Latencies) add(d time.Duration) {
	i := 0
	for i < len(LatencyBounds) && d > LatencyBounds[i] {
		i++
	}
	l.Counts[i]++
	l.Sum += d
}

// Add adds what another histogram has counted.
func (l *Latencies) Add(o *Latencies) {
	for i := range l.Counts {
		l.Counts[i] += o.Counts[i]
	}
	l.Sum += o.Sum
}

// Counters are what a session has counted since its start.
type Counters struct {
	BytesIn    uint64 // payload from the phone
	BytesOut   uint64 // payload to the phone
	Connects   uint64 // Dials that the phone has accepted
	Refused    uint64 // Dials that it has refused
	Unanswered uint64 // Dials that it has left without an answer
	ResetsIn   uint64 // open connections that the phone has reset
	// ResetsOut are connections that this side has reset for the phone's mistake, or
	// with data that the phone did not take. Every connection that a client closes
	// ends with a reset, too, as the protocol has no other word: those do not count.
	ResetsOut uint64
	Latency   Latencies // from Dial to the phone's SYN+ACK
}

// Stats are the counters of a session since its start.
type Stats struct {
	Conns int       // connections now, including those being opened or closed
	Heard time.Time // when the last bytes of any kind came from the phone; zero: none yet
	Counters
}

// Stats returns the session's counters.
func (s *Session) Stats() Stats {
	var stats Stats
	if at := s.heard.Load(); at != 0 {
		stats.Heard = s.start.Add(time.Duration(at))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Conns, stats.Counters = len(s.conns), s.count
	return stats
}

// Add adds the counters of another session; Heard becomes the later one.
func (s *Stats) Add(o Stats) {
	s.Conns += o.Conns
	if o.Heard.After(s.Heard) {
		s.Heard = o.Heard
	}
	s.BytesIn += o.BytesIn
	s.BytesOut += o.BytesOut
	s.Connects += o.Connects
	s.Refused += o.Refused
	s.Unanswered += o.Unanswered
	s.ResetsIn += o.ResetsIn
	s.ResetsOut += o.ResetsOut
	s.Latency.Add(&o.Latency)
}

// hasHeard notes that something came from the phone: once for each transfer.
func (s *Session) hasHeard() { s.heard.Store(int64(time.Since(s.start))) }

// answered counts what a segment has done to a connection that was in state before.
func (c *Counters) answered(conn *Conn, before state, reset bool) {
	switch {
	case before == synSent && conn.tcb.state == established:
		c.Connects++
		c.Latency.add(time.Since(conn.dialed))
	case before == synSent && reset:
		c.Refused++
	case reset && (before == established || before == writeClosed):
		c.ResetsIn++
	case before != closed && conn.tcb.state == closed && !reset:
		c.ResetsOut++
	}
}
