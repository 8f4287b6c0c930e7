package lockdown

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadFrame(t *testing.T) {
	long := strings.Repeat("x", MaxMessage)
	for _, tt := range []struct {
		name string
		in   string
		want string
		err  error
	}{
		{name: "short message", in: "\x00\x00\x00\x02ab", want: "ab"},
		{name: "rest stays", in: "\x00\x00\x00\x02abcd", want: "ab"},
		{name: "longest", in: "\x00\x10\x00\x00" + long, want: long},
		{name: "one longer", in: "\x00\x10\x00\x01" + long + "x", err: ErrProtocol},
		{name: "giant", in: "\xff\xff\xff\xff", err: ErrProtocol},
		{name: "sign bit", in: "\x80\x00\x00\x00", err: ErrProtocol},
		{name: "little endian", in: "\x02\x00\x00\x00ab", err: ErrProtocol},
		{name: "empty message", in: "\x00\x00\x00\x00", err: ErrProtocol},
		{name: "nothing", in: "", err: io.EOF},
		{name: "ends in the length", in: "\x00\x00", err: io.ErrUnexpectedEOF},
		{name: "ends after the length", in: "\x00\x00\x00\x02", err: io.ErrUnexpectedEOF},
		{name: "ends in the message", in: "\x00\x00\x00\x02a", err: io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readFrame(iotest.HalfReader(strings.NewReader(tt.in)))
			if !errors.Is(err, tt.err) || string(got) != tt.want {
				t.Fatalf("readFrame = %.20q, %v; want %.20q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestReadFrameAllocatesWhatArrives(t *testing.T) {
	announced := []byte{0x00, 0x10, 0x00, 0x00, 'x'}
	const runs = 16
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		if _, err := readFrame(bytes.NewReader(announced)); err == nil {
			t.Fatal("a message cut short was accepted")
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 64<<10 {
		t.Errorf("1 MiB announced and 1 byte sent cost %d bytes, want at most 64 KiB", got)
	}
}

func TestEncodeFrame(t *testing.T) {
	got, err := encodeFrame(map[string]any{"Request": "QueryType", "Label": "usbmuxd"})
	if err != nil {
		t.Fatal(err)
	}
	if n := binary.BigEndian.Uint32(got); int(n) != len(got)-4 {
		t.Errorf("length word is %d, want %d", n, len(got)-4)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` +
		`<plist version="1.0"><dict><key>Label</key><string>usbmuxd</string><key>Request</key><string>QueryType</string></dict></plist>`
	if got := compact(got[4:]); got != want {
		t.Errorf("message = %s\nwant %s", got, want)
	}
}
