package lockdown

import (
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// xmlDict returns an XML property list, a dictionary with the given inside.
func xmlDict(inside string) []byte { return xmlPlist("<dict>" + inside + "</dict>") }

func xmlPlist(inside string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>` +
		`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` +
		`<plist version="1.0">` + inside + `</plist>`)
}

// compact drops the white space between the tags of an XML property list.
func compact(xml []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(xml)) {
		b.WriteString(strings.TrimSpace(line))
	}
	return b.String()
}

// A binary property list, {Request: QueryType, Type: com.apple.mobile.lockdown},
// laid out by hand: header, five objects, offset table, trailer.
const binaryQueryType = "62706c6973743030" +
	"d201020304" + // 8: dict of 2, keys 1 2, values 3 4
	"5752657175657374" + // 13: "Request"
	"5454797065" + // 21: "Type"
	"59517565727954797065" + // 26: "QueryType"
	"5f1019636f6d2e6170706c652e6d6f62696c652e6c6f636b646f776e" + // 36: 25 characters
	"080d151a24" + // offsets
	"0000000000000101000000000000000500000000000000000000000000000040"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeReply(t *testing.T) {
	request := "<key>Request</key><string>GetValue</string>"
	for _, tt := range []struct {
		name  string
		frame []byte
		want  dict
		err   error
		text  string // part of the error
	}{
		{
			name:  "ios5",
			frame: xmlDict(request + "<key>Value</key><string>x</string>"),
			want:  dict{"Request": "GetValue", "Value": "x"},
		},
		{
			name:  "ios4",
			frame: xmlDict(request + "<key>Result</key><string>Success</string>"),
			want:  dict{"Request": "GetValue", "Result": "Success"},
		},
		{name: "failure without a name", frame: xmlDict(request + "<key>Result</key><string>Failure</string>"), err: ErrFailure},
		{name: "refusal without a request", frame: xmlDict("<key>Error</key><string>InvalidHostID</string>"), err: ErrInvalidHostID},
		{name: "another request", frame: xmlDict("<key>Request</key><string>Pair</string>"), err: ErrProtocol, text: `"Pair"`},
		{name: "refusal of another request", frame: xmlDict("<key>Request</key><string>Pair</string><key>Error</key><string>InvalidHostID</string>"), err: ErrProtocol, text: `"Pair"`},
		{name: "no request", frame: xmlDict("<key>Value</key><string>x</string>"), err: ErrProtocol},
		{name: "empty request", frame: xmlDict("<key>Request</key><string></string>"), err: ErrProtocol},
		{name: "request is a number", frame: xmlDict("<key>Request</key><integer>1</integer>"), err: ErrProtocol, text: "Request is an integer, want a string"},
		{name: "error is a number", frame: xmlDict(request + "<key>Error</key><integer>1</integer>"), err: ErrProtocol, text: "Error is an integer"},
		{name: "result is a boolean", frame: xmlDict(request + "<key>Result</key><true/>"), err: ErrProtocol, text: "Result is a boolean"},
		{name: "empty dictionary", frame: xmlDict(""), err: ErrProtocol},
		{name: "array", frame: xmlPlist("<array/>"), err: ErrProtocol},
		{name: "string", frame: xmlPlist("<string>x</string>"), err: ErrProtocol},
		{name: "http", frame: []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), err: ErrProtocol},
		{name: "xml cut short", frame: xmlDict(request)[:150], err: ErrProtocol},
		{name: "binary cut short", frame: []byte("bplist00"), err: ErrProtocol},
		{name: "one byte", frame: []byte{0}, err: ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeReply("GetValue", tt.frame)
			if !errors.Is(err, tt.err) || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("decodeReply = %v, %v; want %v, %v", got, err, tt.want, tt.err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q does not say %q", err, tt.text)
			}
		})
	}
}

func TestDecodeBinaryReply(t *testing.T) {
	got, err := decodeReply("QueryType", unhex(t, binaryQueryType))
	want := dict{"Request": "QueryType", "Type": "com.apple.mobile.lockdown"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("decodeReply = %v, %v; want %v", got, err, want)
	}
}

func TestDecodeChallenge(t *testing.T) {
	head := "<key>Request</key><string>Pair</string><key>Error</key><string>MCChallengeRequired</string>"
	for _, tt := range []struct {
		name, body, want string
		err              error
	}{
		{name: "challenge", body: "<key>ExtendedResponse</key><dict><key>PairingChallenge</key><data>c2lnbiBtZQ==</data></dict>", want: "sign me", err: ErrMCChallengeRequired},
		{name: "none", err: ErrMCChallengeRequired},
		{name: "no dictionary", body: "<key>ExtendedResponse</key><string>x</string>", err: ErrProtocol},
		{name: "no data", body: "<key>ExtendedResponse</key><dict><key>PairingChallenge</key><string>x</string></dict>", err: ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := decodeReply("Pair", xmlDict(head+tt.body))
			if !errors.Is(err, tt.err) {
				t.Fatalf("error = %v, want %v", err, tt.err)
			}
			var refused *Error
			if errors.As(err, &refused) && string(refused.PairingChallenge) != tt.want {
				t.Errorf("challenge = %q, want %q", refused.PairingChallenge, tt.want)
			}
		})
	}
}

func TestAssign(t *testing.T) {
	type colour string
	type battery struct {
		Level int64 `plist:"Level"`
	}
	for _, tt := range []struct {
		name string
		to   any // pointer
		v    any // as the decoder gives it
		want any
		err  string
	}{
		{name: "string", to: new(string), v: "x", want: "x"},
		{name: "named string", to: new(colour), v: "red", want: colour("red")},
		{name: "data", to: new([]byte), v: []byte{1}, want: []byte{1}},
		{name: "bool", to: new(bool), v: true, want: true},
		{name: "int", to: new(int), v: uint64(7), want: 7},
		{name: "int below zero", to: new(int8), v: int64(-7), want: int8(-7)},
		{name: "uint16", to: new(uint16), v: uint64(65535), want: uint16(65535)},
		{name: "real", to: new(float64), v: 1.5, want: 1.5},
		{name: "real of half width", to: new(float64), v: float32(1.5), want: 1.5},
		{name: "any", to: new(any), v: "x", want: "x"},
		{name: "dictionary", to: new(map[string]any), v: map[string]any{"a": "b"}, want: map[string]any{"a": "b"}},
		{name: "struct", to: new(battery), v: map[string]any{"Level": uint64(93), "Other": true}, want: battery{93}},
		{name: "strings", to: new([]string), v: []any{"a", "b"}, want: []string{"a", "b"}},

		{name: "uint16 too large", to: new(uint16), v: uint64(70000), err: "Key is 70000, which does not fit"},
		{name: "uint16 below zero", to: new(uint16), v: int64(-1), err: "Key is -1, which does not fit"},
		{name: "int64 too large", to: new(int64), v: uint64(math.MaxUint64), err: "does not fit"},
		{name: "string for int", to: new(int), v: "7", err: "Key is a string, want an integer"},
		{name: "int for string", to: new(string), v: uint64(7), err: "Key is an integer, want a string"},
		{name: "string for data", to: new([]byte), v: "x", err: "Key is a string, want data"},
		{name: "data for strings", to: new([]string), v: []byte("x"), err: "Key is data, want an array"},
		{name: "int for bool", to: new(bool), v: uint64(1), err: "Key is an integer, want a boolean"},
		{name: "array for struct", to: new(battery), v: []any{"a"}, err: "Key is an array, want a dictionary"},
		{name: "wrong kind within", to: new(battery), v: map[string]any{"Level": "x"}, err: "Key"},
		{name: "missing", to: new(string), v: nil, err: "Key is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := assign(tt.to, tt.v, "Key")
			if tt.err != "" {
				if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("assign = %v, want ErrProtocol with %q", err, tt.err)
				}
				return
			}
			if got := reflect.ValueOf(tt.to).Elem().Interface(); err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("assign = %#v, %v; want %#v", got, err, tt.want)
			}
		})
	}
	for _, to := range []any{nil, "x", (*string)(nil)} {
		if err := assign(to, "x", "Key"); err == nil || errors.Is(err, ErrProtocol) {
			t.Errorf("assign to %#v = %v, want the caller's mistake", to, err)
		}
	}
}
