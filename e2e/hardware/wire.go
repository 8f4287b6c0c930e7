package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gomuxd/mux"
	"gomuxd/usb"
)

// wireLines are filled in at the end, from what the daemon has logged.
var wireLines = []string{lineLargestIn, lineLargestOut, lineWindow, lineAcks, lineTogether, lineBorderOut, lineBorderIn, lineRecovered, lineComplaints}

// traffic is what all sessions together have seen.
type traffic struct {
	sessions  int
	mux       mux.Observed
	transfers int // pipes
	usb       usb.Stats
}

// sum adds up what the daemon has logged at the end of sessions and pipes.
func sum(entries []entry) traffic {
	var t traffic
	for _, e := range entries {
		l, ok := e.fact.(logged)
		if !ok {
			continue
		}
		var o mux.Observed
		var u usb.Stats
		switch {
		case l.message == "session observed" && l.decode("wire", &o):
			if o.PacketsIn == 0 {
				continue // its window says nothing
			}
			if t.sessions == 0 {
				t.mux.SmallestWindow = o.SmallestWindow
			}
			t.sessions++
			t.addMux(o)
		case l.message == "transfers ended" && l.decode("stats", &u):
			t.transfers++
			t.usb.EmptyIn += u.EmptyIn
			t.usb.ShortIn += u.ShortIn
			t.usb.EmptyOut += u.EmptyOut
			t.usb.LargestIn = max(t.usb.LargestIn, u.LargestIn)
			t.usb.Recoveries += u.Recoveries
		}
	}
	return t
}

func (t *traffic) addMux(o mux.Observed) {
	m := &t.mux
	m.PacketsIn += o.PacketsIn
	m.SegmentsIn += o.SegmentsIn
	m.Joined += o.Joined
	m.Split += o.Split
	m.ResetsIn += o.ResetsIn
	m.Acks += o.Acks
	m.BareAcks += o.BareAcks
	m.IdleAcks += o.IdleAcks
	m.AckedBytes += o.AckedBytes
	m.PacketsOut += o.PacketsOut
	m.LargestPacketIn = max(m.LargestPacketIn, o.LargestPacketIn)
	m.LargestSegmentIn = max(m.LargestSegmentIn, o.LargestSegmentIn)
	m.LargestPacketOut = max(m.LargestPacketOut, o.LargestPacketOut)
	m.LargestSegmentOut = max(m.LargestSegmentOut, o.LargestSegmentOut)
	m.LargestAck = max(m.LargestAck, o.LargestAck)
	m.LargestOpen = max(m.LargestOpen, o.LargestOpen)
	m.LargestWindow = max(m.LargestWindow, o.LargestWindow)
	m.SmallestWindow = min(m.SmallestWindow, o.SmallestWindow)
}

// concludeWire fills in the lines about the wire. The daemon must have ended.
func (c *check) concludeWire() {
	c.concludeLog()
	t := sum(c.journal.all())
	if t.sessions == 0 {
		for _, l := range wireLines {
			c.report.set(l, notTried, "no session with the phone has ended")
		}
		return
	}
	m := t.mux
	largest := fmt.Sprintf("%d bytes, %d of them data", m.LargestPacketIn, m.LargestSegmentIn)
	if t.usb.LargestIn > 0 {
		largest += fmt.Sprintf("; USB transfer of %d", t.usb.LargestIn)
	}
	c.report.set(lineLargestIn, pass, "%s", largest)
	c.report.set(lineLargestOut, pass, "%d bytes, %d of them data", m.LargestPacketOut, m.LargestSegmentOut)
	window := fmt.Sprintf("%d bytes", m.LargestWindow)
	if m.SmallestWindow != m.LargestWindow {
		window = fmt.Sprintf("from %d to %d bytes", m.SmallestWindow, m.LargestWindow)
	}
	c.report.set(lineWindow, pass, "%s; at most %d on their way at once", window, m.LargestOpen)
	c.report.set(lineAcks, pass, "%d, one for %d bytes on average and for %d at most; %d without data, %d that acknowledged nothing new",
		m.Acks, m.AckedBytes/max(m.Acks, 1), m.LargestAck, m.BareAcks, m.IdleAcks)
	c.report.set(lineTogether, pass, "of %d packets, %d came with the one before and %d in parts", m.PacketsIn, m.Joined, m.Split)
	c.concludeUSB(t)
}

// concludeUSB fills in what only real USB shows.
func (c *check) concludeUSB(t traffic) {
	if t.transfers == 0 {
		for _, l := range []string{lineBorderOut, lineBorderIn, lineRecovered} {
			c.report.set(l, notTried, "the daemon was not on USB")
		}
		return
	}
	v, tried := pass, fmt.Sprintf("lengths to %d tried", c.borders.tried)
	switch {
	case c.borders.err != nil:
		v, tried = fail, c.borders.err.Error()
	case c.borders.tried == 0:
		v, tried = notTried, "no transfer"
	case c.borders.tried < c.borders.packet:
		v = notTried // not all
	}
	c.report.set(lineBorderOut, v, "%s; %d ended by one of length zero", tried, t.usb.EmptyOut)
	c.report.set(lineBorderIn, v, "%s; %d ended by one of length zero, and %d by one in a transfer of its own", tried, t.usb.ShortIn, t.usb.EmptyIn)
	if n := t.usb.Recoveries; n > 0 {
		c.report.set(lineRecovered, fail, "%d: see the log", n)
	} else {
		c.report.set(lineRecovered, pass, "none")
	}
}

// concludeLog fills in what the daemon has warned of.
func (c *check) concludeLog() {
	times := make(map[string]int)
	for _, e := range c.journal.all() {
		l, ok := e.fact.(logged)
		switch {
		case !ok:
		case l.level == "WARN" || l.level == "ERROR":
			times[l.level+" "+l.message]++
		case strings.HasPrefix(l.text, "panic:"):
			times[l.text]++
		}
	}
	if len(times) == 0 {
		c.report.set(lineComplaints, pass, "none")
		return
	}
	var words []string
	for _, m := range slices.Sorted(maps.Keys(times)) {
		words = append(words, fmt.Sprintf("%s (%d times)", m, times[m]))
	}
	c.report.set(lineComplaints, fail, "%s: see the log", strings.Join(words, "; "))
}
