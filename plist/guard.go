package plist

import (
	"bytes"
	"fmt"
)

const (
	// MaxSize is the size, in bytes, of the largest property list read. Messages
	// on the usbmuxd socket end at 64 KiB, pair records are about 8 KiB.
	MaxSize = 1 << 20

	// MaxDepth is the number of levels of arrays and dictionaries read or
	// written. Messages of usbmuxd and lockdownd have five at most.
	MaxDepth = 32

	// MaxValues is the number of values read, keys included: a reply that lists
	// a thousand devices. One value costs the decoder 1.3 KiB at most.
	MaxValues = 16 << 10
)

const bom = "\ufeff"

// guard returns an error unless the decoder can be trusted with data. If it
// can, guard returns what to give it: data without byte order mark and leading
// space, and whether that is binary.
func guard(data []byte) (body []byte, binary bool, err error) {
	if len(data) > MaxSize {
		return nil, false, fmt.Errorf("%w: %d bytes, the most is %d", ErrMalformed, len(data), MaxSize)
	}
	if bytes.HasPrefix(data, []byte("bplist")) {
		return data, true, guardBinary(data)
	}
	start := len(data) - len(bytes.TrimPrefix(data, []byte(bom)))
	for start < len(data) && isSpace(data[start]) {
		start++
	}
	end := len(data)
	for end > start && (data[end-1] == 0 || isSpace(data[end-1])) {
		end--
	}
	g := xmlGuard{data: data[:end], pos: start}
	switch {
	case g.at("<?xml"), g.at("<!DOCTYPE"), g.at("<plist"):
		return data[start:end], false, g.document()
	}
	return nil, false, malformed(start, "neither an XML nor a binary property list")
}

// isSpace reports white space as XML has it.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
