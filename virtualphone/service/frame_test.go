package service

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

// polo is {"Command": "Polo"} as libplist writes it, in XML and in binary.
const (
	poloXML = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n" +
		`<plist version="1.0"><dict><key>Command</key><string>Polo</string></dict></plist>`
	poloBinary = "62706c6973743030d101025743" + "6f6d6d616e6454506f6c6f" + "080b13" + "000000000000" + "0101" + "0000000000000003" + "0000000000000000" + "0000000000000018"
)

// framed returns the message of body, whose length must be below 64 KiB.
func framed(body string) string {
	return string([]byte{0, 0, byte(len(body) >> 8), byte(len(body))}) + body
}

func unhex(t testing.TB, s string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReadPlist(t *testing.T) {
	for _, tt := range []struct {
		name   string
		in     string
		binary bool
		err    error
	}{
		{name: "xml", in: framed(poloXML)},
		{name: "binary", in: framed(unhex(t, poloBinary)), binary: true},
		{name: "end", in: "", err: io.EOF},
		{name: "end in length", in: "\x00\x00", err: io.ErrUnexpectedEOF},
		{name: "end after length", in: "\x00\x00\x00\x08", err: io.ErrUnexpectedEOF},
		{name: "end in list", in: framed(poloXML)[:40], err: io.ErrUnexpectedEOF},
		{name: "empty", in: "\x00\x00\x00\x00", err: ErrProtocol},
		{name: "1 MiB and a byte", in: "\x00\x10\x00\x01", err: ErrProtocol},
		{name: "4 GiB", in: "\xff\xff\xff\xff", err: ErrProtocol},
		{name: "no list", in: framed("<plist"), err: ErrProtocol},
		{name: "wrong kind", in: framed(strings.Replace(poloXML, "<string>Polo</string>", "<array/>", 1)), err: ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m command
			inBinary, err := ReadPlist(strings.NewReader(tt.in), &m)
			if !errors.Is(err, tt.err) || (tt.err == nil && err != nil) {
				t.Fatalf("want error %v, got %v", tt.err, err)
			}
			if err == nil && (inBinary != tt.binary || m.Command != "Polo") {
				t.Errorf("want Polo, binary %v; got %q, %v", tt.binary, m.Command, inBinary)
			}
		})
	}
}

// writes counts the Write calls.
type writes struct {
	bytes.Buffer
	calls int
}

func (w *writes) Write(b []byte) (int, error) {
	w.calls++
	return w.Buffer.Write(b)
}

func TestWritePlist(t *testing.T) {
	for _, inBinary := range []bool{false, true} {
		var w writes
		if err := WritePlist(&w, command{"Polo"}, inBinary); err != nil {
			t.Fatal(err)
		}
		if w.calls != 1 {
			t.Errorf("want one Write, got %d", w.calls)
		}
		var m command
		got, err := ReadPlist(&w, &m)
		if err != nil || got != inBinary || m.Command != "Polo" || w.Len() != 0 {
			t.Errorf("want Polo, binary %v; got %q, %v, %v, %d bytes left", inBinary, m.Command, got, err, w.Len())
		}
	}
	var w writes
	if err := WritePlist(&w, command{strings.Repeat("x", MaxPlist)}, true); err == nil || w.calls != 0 {
		t.Errorf("want an error and no Write for a message above the limit, got %v, %d", err, w.calls)
	}
}

// FuzzReadPlist reads foreign bytes: what is consumed never exceeds what is
// announced, and what decodes can be written and read again.
func FuzzReadPlist(f *testing.F) {
	f.Add([]byte(framed(poloXML)))
	f.Add([]byte(framed(unhex(f, poloBinary))))
	f.Add([]byte("\x00\x10\x00\x01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		var m notice
		inBinary, err := ReadPlist(r, &m)
		if err != nil {
			return
		}
		announced := int(in[0])<<24 | int(in[1])<<16 | int(in[2])<<8 | int(in[3])
		if used := len(in) - r.Len(); used != announced+4 {
			t.Fatalf("want %d bytes consumed, got %d", announced+4, used)
		}
		var w bytes.Buffer
		if err := WritePlist(&w, m, inBinary); err != nil {
			return // grown above the limit in the other encoding
		}
		var again notice
		if _, err := ReadPlist(&w, &again); err != nil {
			t.Fatalf("own message: %v", err)
		}
	})
}
