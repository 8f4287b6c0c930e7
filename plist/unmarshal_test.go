package plist

import (
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestUnmarshalAny(t *testing.T) {
	date := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name string
		in   []byte
		want any
	}{
		{"decimal", xmlDoc("<integer>42</integer>"), uint64(42)},
		{"negative", xmlDoc("<integer>-42</integer>"), int64(-42)},
		{"hexadecimal", xmlDoc("<integer>0x1F</integer>"), uint64(31)},
		{"hexadecimal upper", xmlDoc("<integer>0XfF</integer>"), uint64(255)},
		{"negative hexadecimal", xmlDoc("<integer>-0x10</integer>"), int64(-16)},
		{"greatest", xmlDoc("<integer>18446744073709551615</integer>"), uint64(math.MaxUint64)},
		{"least", xmlDoc("<integer>-9223372036854775808</integer>"), int64(math.MinInt64)},
		{"real", xmlDoc("<real>-1.5e3</real>"), -1500.0},
		{"real infinite", xmlDoc("<real>+infinity</real>"), math.Inf(1)},
		{"true", xmlDoc("<true/>"), true},
		{"false with end tag", xmlDoc("<false></false>"), false},
		{"string", xmlDoc("<string>a &lt;&amp;&#65;&#x42; <![CDATA[<c>]]> é</string>"), "a <&AB <c> é"},
		{"string keeps space", xmlDoc("<string>  a\n\tb </string>"), "  a\n\tb "},
		{"string empty", xmlDoc("<string/>"), ""},
		{"data", xmlDoc("<data>\n\tAQ\tID\r\nBA==\n</data>"), []byte{1, 2, 3, 4}},
		{"data empty", xmlDoc("<data></data>"), []byte{}},
		{"date", xmlDoc("<date>2024-01-02T03:04:05Z</date>"), date},
		{"date with offset", xmlDoc("<date>2024-01-02T04:04:05+01:00</date>"), date},
		{"array", xmlDoc("<array> <true/> <!-- c --> <array/> </array>"), []any{true, []any{}}},
		{"dict", xmlDoc("<dict><key>a</key><integer>1</integer></dict>"), map[string]any{"a": uint64(1)}},
		{"last of two keys", xmlDoc("<dict><key>a</key><true/><key>a</key><false/></dict>"), map[string]any{"a": false}},
		{"empty key", xmlDoc("<dict><key></key><true/></dict>"), map[string]any{"": true}},
		{"uid", xmlDoc("<dict><key>CF$UID</key><integer>7</integer></dict>"), UID(7)},
		{"prolog", []byte(bom + "\n" + xmlHead + "<true/></plist>\n\x00\x00"), true},
		{"doctype only", []byte("<!DOCTYPE plist SYSTEM 'file://localhost/x.dtd'><plist version='0.9'><true/></plist>"), true},
		{"space in tags", []byte("<plist ><dict ><key >a</key ><true /></dict ></plist >"), map[string]any{"a": true}},

		{"binary integers", bplist("\xa5\x01\x02\x03\x04\x05", "\x10\xff", "\x11\xff\xff", "\x12\xff\xff\xff\xff",
			"\x13\xff\xff\xff\xff\xff\xff\xff\xff", "\x14\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
			[]any{uint64(255), uint64(65535), uint64(math.MaxUint32), int64(-1), uint64(math.MaxUint64)}},
		{"binary texts", bplist("\xa4\x01\x02\x03\x01", "\x52ab", "\x62\x00\xe9\x26\x3a", "\x52\xc3\xa9"), []any{"ab", "é☺", "é", "ab"}},
		{"binary lone surrogate", bplist("\x61\xd8\x00"), "\ufffd"},
		{"binary reals", bplist("\xa2\x01\x02", "\x22\x3f\xc0\x00\x00", "\x23\x3f\xf8\x00\x00\x00\x00\x00\x00"), []any{1.5, 1.5}},
		{"binary date", bplist("\x33\x00\x00\x00\x00\x00\x00\x00\x00"), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"binary data", bplist("\x43abc"), []byte("abc")},
		{"binary uid", bplist("\x81\x01\x00"), UID(256)},
		{"binary dict", bplist("\xd1\x01\x02", "\x51k", "\x08"), map[string]any{"k": false}},
		{"binary long length", bplist("\x5f\x10\x10" + strings.Repeat("a", 16)), strings.Repeat("a", 16)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got any
			if err := Unmarshal(tt.in, &got); err != nil || !reflect.DeepEqual(tt.want, got) {
				t.Fatalf("Unmarshal = %#v, %v; want %#v", got, err, tt.want)
			}
		})
	}
}

// TestIntegerTolerance notes where this reader is narrower than libplist, which
// takes both.
func TestIntegerTolerance(t *testing.T) {
	for _, in := range []string{"<integer>+5</integer>", "<integer> 7 </integer>"} {
		if err := Unmarshal(xmlDoc(in), new(any)); !errors.Is(err, ErrMalformed) {
			t.Errorf("Unmarshal(%s) = %v, want ErrMalformed", in, err)
		}
	}
}

type inner struct{ Depth int8 }

// Base is exported, as an embedded pointer has to be.
type Base struct{ FromBase string }

type outer struct {
	inner
	*Base
	Number  int64 `plist:"Num"`
	Port    uint16
	Signed  int8
	Name    string `plist:"Name,omitempty"`
	Ptr     *string
	Data    []byte
	Fixed   [2]byte
	List    []inner
	Two     [2]uint8
	Map     map[string]int
	When    time.Time
	Rate    float32
	On      bool
	Any     any
	Skipped string `plist:"-"`
}

func TestUnmarshalStruct(t *testing.T) {
	in := xmlDoc(`<dict>
		<key>Depth</key><integer>3</integer><key>FromBase</key><string>b</string><key>Num</key><integer>-9</integer>
		<key>Port</key><integer>65535</integer><key>Signed</key><integer>-128</integer><key>Name</key><string>n</string>
		<key>Ptr</key><string>p</string><key>Data</key><data>AQI=</data><key>Fixed</key><data>AwQ=</data>
		<key>List</key><array><dict><key>Depth</key><integer>1</integer></dict><dict/></array>
		<key>Map</key><dict><key>a</key><integer>1</integer></dict><key>When</key><date>2024-01-02T03:04:05Z</date>
		<key>Rate</key><real>0.5</real><key>On</key><true/><key>Any</key><array><integer>1</integer></array>
		<key>Skipped</key><string>x</string><key>private</key><integer>1</integer><key>Unknown</key><dict/>
		<key>number</key><integer>5</integer></dict>`)
	p := "p"
	want := outer{
		inner: inner{3}, Base: &Base{"b"}, Number: -9, Port: 65535, Signed: -128, Name: "n", Ptr: &p,
		Data: []byte{1, 2}, Fixed: [2]byte{3, 4}, List: []inner{{1}, {0}}, Map: map[string]int{"a": 1},
		When: time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), Rate: 0.5, On: true, Any: []any{uint64(1)},
	}
	var got outer
	if err := Unmarshal(in, &got); err != nil || !reflect.DeepEqual(want, got) {
		t.Fatalf("Unmarshal = %+v, %v; want %+v", got, err, want)
	}
	// Again into the same: slices are replaced, not appended to.
	if err := Unmarshal(in, &got); err != nil || !reflect.DeepEqual(want, got) {
		t.Fatalf("second Unmarshal = %+v, %v; want %+v", got, err, want)
	}
}

func TestUnmarshalMisfit(t *testing.T) {
	for _, tt := range []struct{ name, key, value, want string }{
		{"uint16 over", "Port", "<integer>70000</integer>", `integer of key "Port" does not fit into uint16`},
		{"uint16 negative", "Port", "<integer>-1</integer>", `integer of key "Port" does not fit into uint16`},
		{"int8 under", "Signed", "<integer>-129</integer>", `integer of key "Signed" does not fit into int8`},
		{"int64 over", "Num", "<integer>9223372036854775808</integer>", `integer of key "Num" does not fit into int64`},
		{"text for number", "Num", "<string>5</string>", `string of key "Num" does not fit into int64`},
		{"real for number", "Num", "<real>5</real>", `real of key "Num" does not fit into int64`},
		{"number for text", "Ptr", "<integer>5</integer>", `integer of key "Ptr" does not fit into string`},
		{"text for data", "Data", "<string>5</string>", `string of key "Data" does not fit into []uint8`},
		{"data for text", "Name", "<data>AA==</data>", `data of key "Name" does not fit into string`},
		{"data length", "Fixed", "<data>AA==</data>", `data of key "Fixed" does not fit into [2]uint8`},
		{"array for data", "Data", "<array/>", `array of key "Data" does not fit into []uint8`},
		{"dict for bool", "On", "<dict/>", `dict of key "On" does not fit into bool`},
		{"in a list", "List", "<array><dict/><dict><key>Depth</key><true/></dict></array>", `boolean of key "List.1.Depth" does not fit into int8`},
		{"in a map", "Map", "<dict><key>k</key><string/></dict>", `string of key "Map.k" does not fit into int`},
		{"real over", "Rate", "<real>1e300</real>", `real of key "Rate" does not fit into float32`},
		{"text for date", "When", "<string>now</string>", `string of key "When" does not fit into time.Time`},
		{"dict for date", "When", "<dict/>", `dict of key "When" does not fit into time.Time`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := xmlDoc("<dict><key>" + tt.key + "</key>" + tt.value + "<key>FromBase</key><string>set</string></dict>")
			var got outer
			err := Unmarshal(in, &got)
			var te *TypeError
			if !errors.As(err, &te) || !errors.Is(err, ErrMalformed) || err.Error() != ErrMalformed.Error()+": "+tt.want {
				t.Fatalf("Unmarshal = %v, want TypeError %q", err, tt.want)
			}
			if got.Base == nil || got.FromBase != "set" {
				t.Error("the other keys are not set")
			}
			if got.Port != 0 || got.Number != 0 || got.Ptr != nil {
				t.Errorf("Unmarshal set what does not fit: %+v", got)
			}
		})
	}
	if err := Unmarshal(xmlDoc("<array/>"), &outer{}); err == nil || !strings.Contains(err.Error(), "array does not fit into plist.outer") {
		t.Errorf("array into struct = %v", err)
	}
	for _, v := range []any{nil, outer{}, (*outer)(nil)} {
		if err := Unmarshal(xmlDoc("<dict/>"), v); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Unmarshal into %T = %v, want ErrUnsupported", v, err)
		}
	}
}

// TestUnmarshalManyMisfits checks that none but the fitting values are set.
func TestUnmarshalManyMisfits(t *testing.T) {
	var got struct {
		A, B *int64
		C    *string
		M    map[string]int8
		L    []int8
	}
	err := Unmarshal(xmlDoc(`<dict><key>A</key><true/><key>B</key><string/><key>C</key><string>c</string>
		<key>M</key><dict><key>a</key><integer>1000</integer><key>b</key><integer>5</integer></dict>
		<key>L</key><array><integer>1</integer><true/><integer>3</integer></array></dict>`), &got)
	var te *TypeError
	if !errors.As(err, &te) || te.Path != "A" {
		t.Errorf("Unmarshal = %v, want a TypeError about A", err)
	}
	if got.A != nil || got.B != nil || got.C == nil || *got.C != "c" ||
		!reflect.DeepEqual(got.M, map[string]int8{"b": 5}) || !reflect.DeepEqual(got.L, []int8{1, 0, 3}) {
		t.Errorf("Unmarshal set %+v", got)
	}
}

// TestUnmarshalSharesNoMemory decodes overlapping data of a binary list.
func TestUnmarshalSharesNoMemory(t *testing.T) {
	in := bplist("\xa3\x01\x01\x02", "\x43abc", "\x53xyz")
	var got []any
	if err := Unmarshal(in, &got); err != nil {
		t.Fatal(err)
	}
	clear(in)
	first := append(got[0].([]byte), "overrun"...)
	first[0], got[0].([]byte)[1] = '!', '!'
	if want := []any{[]byte("a!c"), []byte("abc"), "xyz"}; !reflect.DeepEqual(want, got) {
		t.Errorf("after writes to the first: %q, want %q", got, want)
	}
}
