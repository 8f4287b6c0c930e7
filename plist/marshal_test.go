package plist

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type result struct {
	MessageType string
	Number      int
}

type properties struct {
	ConnectionSpeed int64
	ConnectionType  string
	DeviceID        uint32
	LocationID      uint32
	ProductID       uint16
	SerialNumber    string
}

type attached struct {
	MessageType string
	DeviceID    uint32
	Properties  properties
}

// TestMarshalXMLGolden compares with files that plistutil of libplist 2.2 wrote.
func TestMarshalXMLGolden(t *testing.T) {
	blob := make([]byte, 130)
	for i := range blob {
		blob[i] = byte(i)
	}
	nest := func(n int) any {
		var v any = blob
		for range n {
			v = []any{v}
		}
		return v
	}
	type scalars struct {
		Empty  []byte    `plist:"e"`
		R      float64   `plist:"r"`
		R1     float32   `plist:"r1"`
		R2     float64   `plist:"r2"`
		R3     float64   `plist:"r3"`
		R4     float64   `plist:"r4"`
		I      int       `plist:"i"`
		U      uint64    `plist:"u"`
		S      string    `plist:"s"`
		Escape string    `plist:"&<>"`
		D      time.Time `plist:"d"`
		Dict   struct{}  `plist:"ed"`
		Array  []string  `plist:"ea"`
		T      bool      `plist:"t"`
		F      bool      `plist:"f"`
		Nest   []any     `plist:"n"`
	}
	for _, tt := range []struct {
		file string
		v    any
		size int // from reference logs, 0 if not known
	}{
		{"result", result{"Result", 0}, 278},
		{"detached", struct {
			MessageType string
			DeviceID    int
		}{"Detached", 1}, 282},
		{"devicelist-empty", struct{ DeviceList []attached }{}, 221},
		{"buid", map[string]string{"BUID": "7E9D1B6A-3C51-4C6B-8F2A-0123456789AB"}, 260},
		{"devicelist", struct{ DeviceList []attached }{[]attached{
			{"Attached", 1, properties{480000000, "USB", 1, 65540, 4776, "00008101-000A1B2C3D4E001E"}},
			{"Attached", 2, properties{5000000000, "USB", 2, 131076, 4779, "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"}},
		}}, 0},
		{"data", blob, 0},
		{"values", scalars{
			R: 0.1, R1: 1, R2: 1e300, R3: 1e-7, R4: 123456789.123456789, I: -5, U: math.MaxUint64,
			Escape: "\"'<>&\té\x7f\n ", D: time.Date(2024, 1, 2, 4, 4, 5, 999, time.FixedZone("", 3600)), T: true,
			Nest: []any{nest(0), nest(1), nest(5), nest(6), nest(7), nest(8), nest(10)},
		}, 0},
	} {
		t.Run(tt.file, func(t *testing.T) {
			want := readFile(t, "testdata/"+tt.file+".plist")
			got, err := MarshalXML(tt.v)
			if err != nil || !bytes.Equal(want, got) {
				t.Fatalf("MarshalXML = %s, %v; want %s", got, err, want)
			}
			if tt.size != 0 && len(got) != tt.size {
				t.Errorf("size = %d, want %d", len(got), tt.size)
			}
		})
	}
}

func TestMarshalXMLText(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "Anna's \"iPhone\"", "Anna's \"iPhone\""},
		{"markup", "</string><true/>&amp;]]>", "&lt;/string&gt;&lt;true/&gt;&amp;amp;]]&gt;"},
		{"emoji", "📱 é", "📱 é"},
		{"carriage return", "a\r\nb", "a&#13;\nb"},
		{"NUL", "a\x00b", "a\ufffdb"},
		{"controls", "\x01\x1b[31m\x7f", "\ufffd\ufffd[31m\x7f"},
		{"invalid utf-8", "a\xffb\xc3", "a\ufffdb\ufffd"},
		{"surrogate", "\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
		{"U+FFFE", "\ufffe\uffff", "\ufffd\ufffd"},
		{"U+FFFD", "\ufffd", "\ufffd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := MarshalXML(map[string]string{tt.in: tt.in})
			if err != nil {
				t.Fatal(err)
			}
			want := xmlHead + "<dict>\n\t<key>" + tt.want + "</key>\n\t<string>" + tt.want + "</string>\n</dict>\n</plist>\n"
			if string(got) != want {
				t.Fatalf("MarshalXML = %q, want %q", got, want)
			}
			if err := Unmarshal(got, new(any)); err != nil {
				t.Errorf("it does not read back: %v", err)
			}
		})
	}
}

func TestMarshalXMLValues(t *testing.T) {
	s := "x"
	type named string
	for _, tt := range []struct {
		name string
		v    any
		want string
	}{
		{"omitempty", struct {
			A string         `plist:",omitempty"`
			B []byte         `plist:"B,omitempty"`
			C *int           `plist:"C,omitempty"`
			D any            `plist:"D,omitempty"`
			E time.Time      `plist:"E,omitempty"`
			F []int          `plist:"F,omitempty"`
			G int            `plist:"G,omitempty"`
			H bool           `plist:"H,omitempty"`
			I map[string]int `plist:"I,omitempty"`
		}{}, "<dict/>\n"},
		{"pointers", struct {
			P *string
			I any
		}{&s, &s}, "<dict>\n\t<key>P</key>\n\t<string>x</string>\n\t<key>I</key>\n\t<string>x</string>\n</dict>\n"},
		{"declared order", struct {
			Z, A bool
			M    named `plist:"B"`
		}{true, false, "n"}, "<dict>\n\t<key>Z</key>\n\t<true/>\n\t<key>A</key>\n\t<false/>\n\t<key>B</key>\n\t<string>n</string>\n</dict>\n"},
		{"sorted map", map[named]int8{"b": 2, "a": 1, "": -3}, "<dict>\n\t<key></key>\n\t<integer>-3</integer>\n\t<key>a</key>\n\t<integer>1</integer>\n\t<key>b</key>\n\t<integer>2</integer>\n</dict>\n"},
		{"embedded", struct {
			inner
			*Base
			Depth string
		}{Depth: "outer wins"}, "<dict>\n\t<key>Depth</key>\n\t<string>outer wins</string>\n</dict>\n"},
		{"embedded pointer", struct{ *Base }{&Base{"b"}}, "<dict>\n\t<key>FromBase</key>\n\t<string>b</string>\n</dict>\n"},
		{"nil slices", struct {
			A []byte
			B []string
			C map[string]int
		}{}, "<dict>\n\t<key>A</key>\n\t<data>\n\t</data>\n\t<key>B</key>\n\t<array/>\n\t<key>C</key>\n\t<dict/>\n</dict>\n"},
		{"byte array", [3]byte{1, 2, 3}, "<data>\nAQID\n</data>\n"},
		{"uid", []any{UID(5)}, "<array>\n\t<dict>\n\t\t<key>CF$UID</key>\n\t\t<integer>5</integer>\n\t</dict>\n</array>\n"},
		{"reals", []float64{math.NaN(), math.Inf(1), math.Inf(-1), 100, -0.5, 1e17}, "<array>\n\t<real>nan</real>\n\t<real>+infinity</real>\n\t<real>-infinity</real>\n\t<real>100</real>\n\t<real>-0.5</real>\n\t<real>1e+17</real>\n</array>\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AppendXML([]byte("before"), tt.v)
			if want := "before" + xmlHead + tt.want + xmlTail; err != nil || string(got) != want {
				t.Fatalf("AppendXML = %q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestMarshalRefuses(t *testing.T) {
	deep := any("x")
	for range MaxDepth + 1 {
		deep = []any{deep}
	}
	var loop any
	loop = &loop
	round := map[string]any{}
	round["round"] = round
	for _, tt := range []struct {
		name string
		v    any
	}{
		{"nil", nil},
		{"nil pointer", struct{ P *int }{}},
		{"nil interface", struct{ I any }{}},
		{"nil element", []any{nil}},
		{"nil map value", map[string]any{"a": nil}},
		{"channel", struct{ C chan int }{}},
		{"function", func() {}},
		{"complex", 1i},
		{"integer keys", map[int]int{}},
		{"year 10000", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"year 0", time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"too deep", deep},
		{"pointer loop", loop},
		{"map in itself", round},
	} {
		for name, marshal := range map[string]func(any) ([]byte, error){"XML": MarshalXML, "binary": MarshalBinary} {
			if got, err := marshal(tt.v); !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: Marshal %s = %.80q, %v; want ErrUnsupported", tt.name, name, got, err)
			}
		}
	}
	before := []byte("before")
	if got, err := AppendXML(before, deep); err == nil || string(got) != "before" {
		t.Errorf("AppendXML = %q, %v; want what was there and an error", got, err)
	}
}

// TestDeepestReadsBack writes the most levels and reads them.
func TestDeepestReadsBack(t *testing.T) {
	for name, leaf := range map[string]any{"array": []any{}, "dict": map[string]any{}, "uid": UID(1), "text": []any{"x"}} {
		v := leaf
		for range MaxDepth - 1 {
			v = []any{v}
		}
		data, err := MarshalXML(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got any
		if err := Unmarshal(data, &got); err != nil || !reflect.DeepEqual(v, got) {
			t.Errorf("%s: reads back as %v, %v", name, got, err)
		}
	}
}

func TestMarshalBinary(t *testing.T) {
	want := map[string]any{"s": "é", "u": uint64(5), "i": int64(-5), "d": []byte{1}, "a": []any{true, 1.5}, "m": map[string]any{}}
	data, err := MarshalBinary(want)
	if err != nil || !bytes.HasPrefix(data, []byte("bplist00")) {
		t.Fatalf("MarshalBinary = %q, %v", data, err)
	}
	var got any
	if err := Unmarshal(data, &got); err != nil || !reflect.DeepEqual(any(want), got) {
		t.Fatalf("Unmarshal = %v, %v; want %v", got, err, want)
	}
}

var list30 = func() (l struct{ DeviceList []attached }) {
	for range 30 {
		l.DeviceList = append(l.DeviceList, attached{"Attached", 1, properties{480000000, "USB", 1, 65540, 4776, strings.Repeat("a", 40)}})
	}
	return l
}()

func BenchmarkMarshalXML(b *testing.B) {
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		var err error
		if buf, err = AppendXML(buf[:0], &list30); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkUnmarshal(b *testing.B) {
	data, err := MarshalXML(map[string]any{
		"MessageType": "Connect", "ClientVersionString": "libusbmuxd 2.1.0", "ProgName": "iproxy",
		"kLibUSBMuxVersion": 3, "DeviceID": 1, "PortNumber": 32498,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var v struct {
			MessageType string
			DeviceID    int64
			PortNumber  int64
		}
		if err := Unmarshal(data, &v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	data := readFile(b, "testdata/devicelist.plist")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := guard(data); err != nil {
			b.Fatal(err)
		}
	}
}
