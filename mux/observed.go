package mux

// Observed is what a session has seen of the phone's habits and of its own use
// of the wire. It is for those who want to know phones, not for accounts: the
// daemon logs it when a session has ended.
type Observed struct {
	PacketsIn       uint64 `json:"packets_in"`        // TCP packets from the phone
	LargestPacketIn int    `json:"largest_packet_in"` // bytes with headers
	Joined          uint64 `json:"joined"`            // packets that came in one read with the one before
	Split           uint64 `json:"split"`             // packets that took several reads

	SegmentsIn       uint64 `json:"segments_in"`        // of them with data
	LargestSegmentIn int    `json:"largest_segment_in"` // bytes of data
	ResetsIn         uint64 `json:"resets_in"`

	SmallestWindow uint32 `json:"smallest_window"` // that the phone has advertised, bytes
	LargestWindow  uint32 `json:"largest_window"`

	Acks        uint64 `json:"acks"`         // packets that acknowledged something new
	BareAcks    uint64 `json:"bare_acks"`    // of them without data
	IdleAcks    uint64 `json:"idle_acks"`    // packets without data that acknowledged nothing new
	AckedBytes  uint64 `json:"acked_bytes"`  // in all
	LargestAck  uint32 `json:"largest_ack"`  // bytes acknowledged at once
	LargestOpen uint32 `json:"largest_open"` // bytes on their way to the phone at once

	PacketsOut        uint64 `json:"packets_out"`
	LargestPacketOut  int    `json:"largest_packet_out"` // bytes with headers
	LargestSegmentOut int    `json:"largest_segment_out"`
}

// Observed returns what the session has seen, once Close has returned: until
// then the numbers are the reader's and the writer's, who keep them without a
// lock.
func (s *Session) Observed() Observed {
	o := s.in
	o.PacketsOut, o.LargestPacketOut = s.out.PacketsOut, s.out.LargestPacketOut
	o.LargestSegmentOut, o.LargestOpen = s.out.LargestSegmentOut, s.out.LargestOpen
	return o
}

// segmentIn is the reader's: a packet of length bytes came, with n bytes of
// data and acknowledging acked bytes.
func (o *Observed) segmentIn(g segment, length, n int, acked uint32) {
	o.PacketsIn++
	o.LargestPacketIn = max(o.LargestPacketIn, length)
	if g.flags&flagRST != 0 {
		o.ResetsIn++
		return // its text is no data, its window means nothing
	}
	if o.PacketsIn-o.ResetsIn == 1 {
		o.SmallestWindow = g.window
	}
	o.SmallestWindow = min(o.SmallestWindow, g.window)
	o.LargestWindow = max(o.LargestWindow, g.window)
	if n > 0 {
		o.SegmentsIn++
		o.LargestSegmentIn = max(o.LargestSegmentIn, n)
	}
	switch {
	case acked > 0:
		o.Acks++
		o.AckedBytes += uint64(acked)
		o.LargestAck = max(o.LargestAck, acked)
		if n == 0 {
			o.BareAcks++
		}
	case n == 0 && g.flags == flagACK:
		o.IdleAcks++
	}
}

// packetOut is the writer's: a packet of length bytes goes, with n bytes of
// data, after which open bytes are on their way.
func (o *Observed) packetOut(length, n int, open uint32) {
	o.PacketsOut++
	o.LargestPacketOut = max(o.LargestPacketOut, length)
	o.LargestSegmentOut = max(o.LargestSegmentOut, n)
	o.LargestOpen = max(o.LargestOpen, open)
}
