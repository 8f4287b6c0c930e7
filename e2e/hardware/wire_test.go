package main

import (
	"errors"
	"slices"
	"testing"
)

// concluded makes the lines about the wire of a daemon's log.
func concluded(b borders, log ...string) *report {
	c := &check{journal: newJournal(), borders: b}
	c.report.plan(wireLines...)
	for _, text := range log {
		c.journal.add(parseLog(text))
	}
	c.concludeWire()
	return &c.report
}

const (
	sessionA = `07:52:00.584 DEBUG session observed {"wire": {"packets_in":10,"largest_packet_in":32764,"largest_segment_in":32728,"joined":1,"split":2,"smallest_window":131072,"largest_window":131072,"acks":4,"acked_bytes":4000,"bare_acks":3,"largest_ack":1500,"largest_open":3000,"largest_packet_out":49152,"largest_segment_out":49116}}`
	sessionB = `07:52:00.584 DEBUG session observed {"wire": {"packets_in":5,"largest_packet_in":100,"largest_segment_in":64,"smallest_window":0,"largest_window":65536,"acks":1,"acked_bytes":1000,"idle_acks":2,"largest_ack":1000,"largest_open":1000}}`
	silent   = `07:52:00.584 DEBUG session observed {"wire": {"packets_out":1}}`
	pipeA    = `07:52:00.584 DEBUG usb: transfers ended {"stats": {"empty_in":1,"short_in":2,"empty_out":3,"largest_in":33280}}`
	pipeB    = `07:52:00.584 DEBUG usb: transfers ended {"stats": {"empty_out":4,"recoveries":1}}`
)

func TestConcludeWire(t *testing.T) {
	all := borders{packet: 512, tried: 512}
	for _, tt := range []struct {
		name, line string
		got        *report
		verdict    verdict
		value      string
	}{
		{"one", lineLargestIn, concluded(all, sessionA), pass, "32764 bytes, 32728 of them data"},
		{"with usb", lineLargestIn, concluded(all, sessionA, pipeA), pass, "32764 bytes, 32728 of them data; USB transfer of 33280"},
		{"out", lineLargestOut, concluded(all, sessionB, sessionA), pass, "49152 bytes, 49116 of them data"},
		{"one window", lineWindow, concluded(all, sessionA), pass, "131072 bytes; at most 3000 on their way at once"},
		{"windows", lineWindow, concluded(all, silent, sessionA, sessionB), pass, "from 0 to 131072 bytes; at most 3000 on their way at once"},
		{"acks", lineAcks, concluded(all, sessionA, sessionB), pass, "5, one for 1000 bytes on average and for 1500 at most; 3 without data, 2 that acknowledged nothing new"},
		{"together", lineTogether, concluded(all, sessionA, sessionB), pass, "of 15 packets, 1 came with the one before and 2 in parts"},
		{"borders out", lineBorderOut, concluded(all, sessionA, pipeA, pipeB), pass, "lengths to 512 tried; 7 ended by one of length zero"},
		{"borders in", lineBorderIn, concluded(all, sessionA, pipeA), pass, "lengths to 512 tried; 2 ended by one of length zero, and 1 by one in a transfer of its own"},
		{"borders not all", lineBorderOut, concluded(borders{packet: 512, tried: 7}, sessionA, pipeA), notTried, "lengths to 7 tried; 3 ended by one of length zero"},
		{"no borders", lineBorderIn, concluded(borders{packet: 512}, sessionA, pipeB), notTried, "no transfer; 0 ended by one of length zero, and 0 by one in a transfer of its own"},
		{"borders fail", lineBorderOut, concluded(borders{packet: 512, tried: 7, err: errors.New("piece of 8 bytes: why")}, sessionA, pipeA), fail, "piece of 8 bytes: why; 3 ended by one of length zero"},
		{"not on usb", lineBorderOut, concluded(borders{}, sessionA), notTried, "the daemon was not on USB"},
		{"repeated", lineRecovered, concluded(all, sessionA, pipeA, pipeB), fail, "1: see the log"},
		{"not repeated", lineRecovered, concluded(all, sessionA, pipeA), pass, "none"},
		{"no session", lineWindow, concluded(all, silent, pipeA), notTried, "no session with the phone has ended"},
		{"no complaints", lineComplaints, concluded(all), pass, "none"},
		{
			"complaints", lineComplaints, concluded(all, "07:52:00.584 WARN usb: b", `07:52:00.584 ERROR a {"x": 1}`, "07:52:00.584 WARN b"),
			fail, "ERROR a (1 times); WARN b (2 times): see the log",
		},
		{"panic", lineComplaints, concluded(all, "panic: why"), fail, "panic: why (1 times): see the log"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if l := tt.got.of(tt.line); l.verdict != tt.verdict || l.value != tt.value {
				t.Errorf("%s: %s with %q\nwant %s with %q", tt.line, l.verdict, l.value, tt.verdict, tt.value)
			}
			if open := tt.got.open(wireLines); len(open) > 0 {
				t.Errorf("left open: %q", slices.Compact(open))
			}
		})
	}
}
