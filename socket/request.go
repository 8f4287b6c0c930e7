package socket

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strings"
	"unicode"

	"gomuxd/plist"
)

// verb is what a request asks for.
type verb uint8

const (
	cmdUnknown verb = iota
	cmdListen
	cmdConnect
	cmdListDevices
	cmdListListeners
	cmdReadBUID
	cmdReadPairRecord
	cmdSavePairRecord
	cmdDeletePairRecord
)

// verbs maps MessageType to the verb.
var verbs = map[string]verb{
	"Listen":           cmdListen,
	"Connect":          cmdConnect,
	"ListDevices":      cmdListDevices,
	"ListListeners":    cmdListListeners,
	"ReadBUID":         cmdReadBUID,
	"ReadPairRecord":   cmdReadPairRecord,
	"SavePairRecord":   cmdSavePairRecord,
	"DeletePairRecord": cmdDeletePairRecord,
}

// identity is what a client says of itself, for ListListeners.
type identity struct {
	bundleID   string
	progName   string
	libVersion int64
}

// request is one decoded request.
type request struct {
	verb     verb
	deviceID int64  // 0 if missing or of the wrong type
	port     uint16 // in host order; 0 if of the wrong type
	hasID    bool   // DeviceID was there, of whatever type
	hasPort  bool   // PortNumber was there, of whatever type
	recordID string // "" if missing or not a string
	hasName  bool   // recordID was a string
	record   any    // PairRecordData as sent: nil, []byte, map[string]any or nonsense
	identity identity
}

// plistRequest names the keys of all requests. Values are left untyped: one
// key of an unexpected type must not spoil the message.
type plistRequest struct {
	MessageType       any
	DeviceID          any
	PortNumber        any
	PairRecordID      any
	PairRecordData    any
	BundleID          any
	ProgName          any
	KLibUSBMuxVersion any `plist:"kLibUSBMuxVersion"`
}

// decodePlistRequest decodes the payload of a message of type 8, an XML or
// binary property list. It reports false if payload is no property list, no
// dictionary, or has no MessageType; a MessageType that nobody knows gives
// cmdUnknown. The result does not refer to payload, except record.
func decodePlistRequest(payload []byte) (request, bool) {
	if r, ok := scanRequest(payload); ok {
		return r, true
	}
	return decodeAnyRequest(payload)
}

// decodeAnyRequest is decodePlistRequest without the shortcut.
func decodeAnyRequest(payload []byte) (request, bool) {
	var p plistRequest
	if err := plist.Unmarshal(payload, &p); err != nil {
		return request{}, false
	}
	kind, ok := p.MessageType.(string)
	if !ok {
		return request{}, false
	}
	r := request{
		verb:     verbs[kind],
		deviceID: integer(p.DeviceID),
		port:     bits.ReverseBytes16(uint16(integer(p.PortNumber))),
		hasID:    p.DeviceID != nil,
		hasPort:  p.PortNumber != nil,
		record:   p.PairRecordData,
		identity: identity{
			bundleID:   printable(p.BundleID),
			progName:   printable(p.ProgName),
			libVersion: integer(p.KLibUSBMuxVersion),
		},
	}
	r.recordID, r.hasName = p.PairRecordID.(string)
	return r, true
}

// connectSize is the part of a binary Connect's payload that is used: device
// id and port; two reserved bytes follow.
const connectSize = 4 + 2

// decodeBinaryRequest decodes a message of the old protocol. Bytes beyond those
// of the request are ignored; a Connect that is too short is no request.
func decodeBinaryRequest(message uint32, payload []byte) request {
	switch {
	case message == msgListen:
		return request{verb: cmdListen}
	case message == msgConnect && len(payload) >= connectSize:
		return request{
			verb:     cmdConnect,
			deviceID: int64(binary.LittleEndian.Uint32(payload)),
			port:     binary.BigEndian.Uint16(payload[4:]),
			hasID:    true,
			hasPort:  true,
		}
	}
	return request{}
}

// integer returns the value of a property list's integer; 0 for any other type,
// as usbmuxd has it, and for numbers beyond 63 bits.
func integer(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case uint64:
		if n <= math.MaxInt64 {
			return int64(n)
		}
	}
	return 0
}

// maxName bounds what is kept, in bytes, of a name that a client gives itself.
const maxName = 128

// printable returns the string v, cut to maxName and without anything that
// could spoil another client's list or the log; "" if v is no string.
func printable(v any) string {
	s, ok := v.(string)
	if !ok {
		return ""
	}
	s = strings.Clone(strings.ToValidUTF8(s[:min(len(s), maxName)], "")) // not a part of the whole request
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
