package socket

import (
	"bytes"
	"math/bits"
)

// Marks that scanRequest looks for. The head is what libplist, Python's
// plistlib and howett.net/plist write; small clients of their own often leave
// the document type out.
var (
	scanHead = [...][]byte{
		[]byte(`<?xml version="1.0" encoding="UTF-8"?>`),
		[]byte(`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">`),
		[]byte(`<plist version="1.0">`),
		[]byte(`<dict>`),
	}
	scanTail   = [...][]byte{[]byte(`</dict>`), []byte(`</plist>`)}
	keyOpen    = []byte(`<key>`)
	keyClose   = []byte(`</key>`)
	strOpen    = []byte(`<string>`)
	strClose   = []byte(`</string>`)
	numOpen    = []byte(`<integer>`)
	numClose   = []byte(`</integer>`)
	maxDecimal = 18 // digits that always fit an int64
)

// scanDoctype is the index in scanHead of what may be missing.
const scanDoctype = 1

// scanRequest decodes the requests that clients send all day: a flat XML
// dictionary of plain strings and decimal numbers. It reports false for
// everything else, good or bad, which is then decodePlistRequest's. Whatever it
// accepts it decodes alike; FuzzPlistRequest holds the two against each other.
//
// A client polls the device list or connects some fifty times faster this way.
func scanRequest(payload []byte) (request, bool) {
	s := scanner{rest: payload}
	for i, mark := range scanHead {
		if !s.skip(mark) && i != scanDoctype {
			return request{}, false
		}
	}
	var r request
	kind := false // MessageType was there, and a string
	for s.skip(keyOpen) {
		key, ok := s.text(keyClose)
		if !ok {
			return request{}, false
		}
		var value []byte
		var number int64
		isString := s.skip(strOpen)
		switch {
		case isString:
			value, ok = s.text(strClose)
		case s.skip(numOpen):
			number, ok = s.number()
		default:
			ok = false
		}
		if !ok {
			return request{}, false
		}
		switch string(key) { // the last of several counts
		case "MessageType":
			r.verb, kind = verbs[string(value)], isString
		case "DeviceID":
			r.deviceID, r.hasID = number, true
		case "PortNumber":
			r.port, r.hasPort = bits.ReverseBytes16(uint16(number)), true
		case "PairRecordID":
			r.recordID, r.hasName = string(value), isString
		case "PairRecordData":
			return request{}, false
		case "BundleID":
			r.identity.bundleID = string(value[:min(len(value), maxName)])
		case "ProgName":
			r.identity.progName = string(value[:min(len(value), maxName)])
		case "kLibUSBMuxVersion":
			r.identity.libVersion = number
		}
	}
	for _, mark := range scanTail {
		if !s.skip(mark) {
			return request{}, false
		}
	}
	s.space()
	return r, kind && len(s.rest) == 0
}

// scanner is what is left of a document.
type scanner struct{ rest []byte }

// space skips white space.
func (s *scanner) space() {
	i := 0
	for i < len(s.rest) && (s.rest[i] == '\n' || s.rest[i] == '\t' || s.rest[i] == ' ') {
		i++
	}
	s.rest = s.rest[i:]
}

// skip skips white space and then mark, if it is there.
func (s *scanner) skip(mark []byte) bool {
	s.space()
	if !bytes.HasPrefix(s.rest, mark) {
		return false
	}
	s.rest = s.rest[len(mark):]
	return true
}

// text takes printable ASCII up to the closing tag. It refuses entities, which
// mean other text, and empty text, which decoders see differently.
func (s *scanner) text(closing []byte) ([]byte, bool) {
	i := 0
	for i < len(s.rest) && s.rest[i] >= ' ' && s.rest[i] <= '~' && s.rest[i] != '<' && s.rest[i] != '&' && s.rest[i] != '>' {
		i++
	}
	text := s.rest[:i]
	s.rest = s.rest[i:]
	if i == 0 || !bytes.HasPrefix(s.rest, closing) {
		return nil, false
	}
	s.rest = s.rest[len(closing):]
	return text, true
}

// number takes a decimal number without sign or leading zeros.
func (s *scanner) number() (n int64, ok bool) {
	i := 0
	for i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9' {
		n = n*10 + int64(s.rest[i]-'0')
		i++
		if i > maxDecimal {
			return 0, false
		}
	}
	if i == 0 || i > 1 && s.rest[0] == '0' || !bytes.HasPrefix(s.rest[i:], numClose) {
		return 0, false
	}
	s.rest = s.rest[i+len(numClose):]
	return n, true
}
