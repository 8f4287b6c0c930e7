package lockdown

import (
	"encoding/hex"
	"errors"
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

func TestCheckReply(t *testing.T) {
	request := "<key>Request</key><string>GetValue</string>"
	for _, tt := range []struct {
		name  string
		frame []byte
		err   error
		text  string // part of the error
	}{
		{name: "ios5", frame: xmlDict(request + "<key>Value</key><string>x</string>")},
		{name: "ios4", frame: xmlDict(request + "<key>Result</key><string>Success</string>")},
		{name: "failure without a name", frame: xmlDict(request + "<key>Result</key><string>Failure</string>"), err: ErrFailure},
		{name: "refusal without a request", frame: xmlDict("<key>Error</key><string>InvalidHostID</string>"), err: ErrInvalidHostID},
		{name: "another request", frame: xmlDict("<key>Request</key><string>Pair</string>"), err: ErrProtocol, text: `"Pair"`},
		{name: "refusal of another request", frame: xmlDict("<key>Request</key><string>Pair</string><key>Error</key><string>InvalidHostID</string>"), err: ErrProtocol, text: `"Pair"`},
		{name: "no request", frame: xmlDict("<key>Value</key><string>x</string>"), err: ErrProtocol},
		{name: "empty request", frame: xmlDict("<key>Request</key><string></string>"), err: ErrProtocol},
		{name: "request is a number", frame: xmlDict("<key>Request</key><integer>1</integer>"), err: ErrProtocol, text: `integer of key "Request"`},
		{name: "error is a number", frame: xmlDict(request + "<key>Error</key><integer>1</integer>"), err: ErrProtocol, text: `integer of key "Error"`},
		{name: "result is a boolean", frame: xmlDict(request + "<key>Result</key><true/>"), err: ErrProtocol, text: `boolean of key "Result"`},
		{name: "empty dictionary", frame: xmlDict(""), err: ErrProtocol},
		{name: "array", frame: xmlPlist("<array/>"), err: ErrProtocol},
		{name: "string", frame: xmlPlist("<string>x</string>"), err: ErrProtocol},
		{name: "http", frame: []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), err: ErrProtocol},
		{name: "xml cut short", frame: xmlDict(request)[:150], err: ErrProtocol},
		{name: "binary cut short", frame: []byte("bplist00"), err: ErrProtocol},
		{name: "one byte", frame: []byte{0}, err: ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := checkReply("GetValue", tt.frame)
			if !errors.Is(err, tt.err) {
				t.Fatalf("checkReply = %v, want %v", err, tt.err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q does not say %q", err, tt.text)
			}
		})
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
			err := checkReply("Pair", xmlDict(head+tt.body))
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

func TestDecodeValue(t *testing.T) {
	type colour string
	type battery struct {
		Level int8 `plist:"Level"`
	}
	for _, tt := range []struct {
		name  string
		value string // XML of the value
		to    any    // pointer
		want  any
		err   string
	}{
		{name: "string", value: "<string>x</string>", to: new(string), want: "x"},
		{name: "empty string", value: "<string></string>", to: new(string), want: ""},
		{name: "named string", value: "<string>red</string>", to: new(colour), want: colour("red")},
		{name: "data", value: "<data>AQ==</data>", to: new([]byte), want: []byte{1}},
		{name: "bool", value: "<true/>", to: new(bool), want: true},
		{name: "int", value: "<integer>7</integer>", to: new(int), want: 7},
		{name: "below zero", value: "<integer>-7</integer>", to: new(int8), want: int8(-7)},
		{name: "any", value: "<string>x</string>", to: new(any), want: "x"},
		{name: "dictionary", value: "<dict><key>a</key><string>b</string></dict>", to: new(map[string]any), want: map[string]any{"a": "b"}},
		{name: "struct", value: "<dict><key>Level</key><integer>93</integer><key>Other</key><true/></dict>", to: new(battery), want: battery{93}},
		{name: "strings", value: "<array><string>a</string><string>b</string></array>", to: new([]string), want: []string{"a", "b"}},

		{name: "too large", value: "<integer>70000</integer>", to: new(uint16), err: "Value"},
		{name: "below zero unsigned", value: "<integer>-1</integer>", to: new(uint16), err: "Value"},
		{name: "string for int", value: "<string>7</string>", to: new(int), err: `string of key "Value"`},
		{name: "int for string", value: "<integer>7</integer>", to: new(string), err: `integer of key "Value"`},
		{name: "string for data", value: "<string>x</string>", to: new([]byte), err: `string of key "Value"`},
		{name: "int for bool", value: "<integer>1</integer>", to: new(bool), err: `integer of key "Value"`},
		{name: "array for struct", value: "<array/>", to: new(battery), err: `array of key "Value"`},
		{name: "wrong kind within", value: "<dict><key>Level</key><string>x</string></dict>", to: new(battery), err: `string of key "Value.Level"`},
		{name: "too large within", value: "<dict><key>Level</key><integer>128</integer></dict>", to: new(battery), err: `"Value.Level"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := reflect.ValueOf(tt.to).Elem().Interface()
			found, err := decodeValue(xmlDict("<key>Request</key><string>GetValue</string><key>Value</key>"+tt.value), tt.to)
			got := reflect.ValueOf(tt.to).Elem().Interface()
			if tt.err != "" {
				if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("decodeValue = %v, want ErrProtocol with %q", err, tt.err)
				}
				if !reflect.DeepEqual(got, before) {
					t.Errorf("value is %#v after an error, want it as it was", got)
				}
				return
			}
			if err != nil || !found || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("decodeValue = %#v, %v, %v; want %#v", got, found, err, tt.want)
			}
		})
	}
	if found, err := decodeValue(xmlDict(""), new(string)); found || err != nil {
		t.Errorf("no value = %v, %v", found, err)
	}
	for _, to := range []any{nil, "x", (*string)(nil)} {
		if _, err := decodeValue(xmlDict(""), to); err == nil || errors.Is(err, ErrProtocol) {
			t.Errorf("decode into %#v = %v, want the caller's mistake", to, err)
		}
	}
}
