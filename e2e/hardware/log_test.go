package main

import (
	"testing"

	"gomuxd/usb"
)

func TestParseLog(t *testing.T) {
	for _, tt := range []struct {
		text, level, message, udid string
	}{
		{`07:52:00.584 INFO ready {"devices": 1}`, "INFO", "ready", ""},
		{`07:52:00.771 DEBUG trust: asked {"udid": "x", "deed": "pair", "cause": ""}`, "DEBUG", "asked", "x"},
		{`07:52:12.063 INFO socket.audit: pair record read {"udid": "x"}`, "INFO", "pair record read", "x"},
		{`07:52:00.584 INFO stopping`, "INFO", "stopping", ""},
		{`07:52:00.584 WARN usb: phone refuses the USB mode: why`, "WARN", "phone refuses the USB mode: why", ""},
		{`goroutine 1 [running]:`, "", "", ""},
		{`07:52:00.584 INFO odd {"cut": `, "", "", ""},
		{``, "", "", ""},
	} {
		l := parseLog(tt.text)
		if l.level != tt.level || l.message != tt.message || l.field("udid") != tt.udid || l.text != tt.text {
			t.Errorf("parseLog(%q) = %+v", tt.text, l)
		}
	}
	l := parseLog(`07:52:00.584 DEBUG usb: transfers ended {"stats": {"empty_out": 7, "largest_in": 33280}, "n": 3, "s": "x"}`)
	var s usb.Stats
	if !l.decode("stats", &s) || s.EmptyOut != 7 || s.LargestIn != 33280 {
		t.Errorf("stats %+v", s)
	}
	if l.decode("none", &s) || l.decode("s", &s) {
		t.Error("decoded what is no object")
	}
	if l.number("n") != 3 || l.number("s") != 0 || l.field("n") != "" {
		t.Error("a field of the wrong kind was taken")
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add(`07:52:00.771 DEBUG trust: asked {"udid": "x"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if l := parseLog(text); l.text != text || l.level == "" && l.message != "" {
			t.Errorf("parseLog(%q) = %+v", text, l)
		}
	})
}
