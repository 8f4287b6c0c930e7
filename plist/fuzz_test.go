package plist

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzUnmarshal decodes foreign bytes. Whatever comes, the cost is bounded, an
// error is ErrMalformed, and what was read can be written and read again.
func FuzzUnmarshal(f *testing.F) {
	for _, a := range attacks() {
		if len(a.data) < 4096 {
			f.Add(a.data)
		}
	}
	for _, file := range []string{"result", "devicelist", "values"} {
		f.Add(readFile(f, "testdata/"+file+".plist"))
	}
	if data, err := MarshalBinary(list30); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		var err error
		if got, want := allocated(func() { err = Unmarshal(data, &v) }), memoryBound(len(data)); got > want {
			t.Errorf("%d bytes of input cost %d, want at most %d", len(data), got, want)
		}
		var s outer
		if serr := Unmarshal(data, &s); serr == nil && err != nil || serr != nil && !errors.Is(serr, ErrMalformed) {
			t.Fatalf("Unmarshal into a struct = %v, into any = %v", serr, err)
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) || v != nil {
				t.Fatalf("Unmarshal = %v, %v; want ErrMalformed and no value", v, err)
			}
			return
		}
		out, err := MarshalXML(v)
		if err != nil {
			t.Fatalf("MarshalXML of what was read: %v", err)
		}
		want, values := asXML(v)
		if len(out) > MaxSize || values > MaxValues {
			return
		}
		var again any
		if err := Unmarshal(out, &again); err != nil {
			t.Fatalf("read again: %v\n%s", err, out)
		}
		if !equal(want, again) {
			t.Fatalf("read again = %#v, want %#v\n%s", again, want, out)
		}
	})
}

// asXML returns v as XML carries it, and the number of values that makes.
func asXML(v any) (any, int) {
	switch v := v.(type) {
	case string:
		return xmlText(v), 1
	case time.Time:
		return v.Truncate(time.Second), 1
	case UID:
		return v, 3
	case int64:
		if v == 0 { // it was read as -0
			return uint64(0), 1
		}
	case []any:
		out, sum := make([]any, len(v)), 1
		for i, e := range v {
			var n int
			out[i], n = asXML(e)
			sum += n
		}
		return out, sum
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		out, sum := make(map[string]any, len(v)), 1
		for _, k := range keys { // keys that become alike: the last wins
			e, n := asXML(v[k])
			out[xmlText(k)] = e
			sum += n + 1
		}
		if len(v) == 1 {
			switch n := v["CF$UID"].(type) {
			case uint64:
				return UID(n), sum
			case int64:
				return UID(n), sum
			}
		}
		return out, sum
	}
	return v, 1
}

// xmlText is s with U+FFFD for what XML cannot carry.
func xmlText(s string) string {
	var b strings.Builder
	for _, r := range s { // gives U+FFFD for invalid UTF-8
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}

// equal is reflect.DeepEqual for decoded values, with NaN equal to itself.
func equal(a, b any) bool {
	switch x := a.(type) {
	case float64:
		y, ok := b.(float64)
		return ok && (x == y || math.IsNaN(x) && math.IsNaN(y))
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, equal)
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			if w, ok := y[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

// FuzzMarshalXML writes foreign text. Whatever it is, Go's XML parser and this
// package's reader take the output, and both see the same text.
func FuzzMarshalXML(f *testing.F) {
	f.Add("Name", "Anna's iPhone", []byte("data"), int64(-1), 0.1, int64(1700000000))
	f.Add("</key>", "</string><true/>", []byte{}, int64(math.MinInt64), math.Inf(-1), int64(-62135596800))
	f.Add("]]>", "a\x00\x1b\r\n\xff\ufffe", make([]byte, 100), int64(0), math.NaN(), int64(253402300799))
	f.Add("CF$UID", "&amp;&#x41;<!--<![CDATA[", []byte{0}, int64(5), 1e300, int64(0))
	f.Fuzz(func(t *testing.T, key, text string, data []byte, n int64, r float64, unix int64) {
		when := time.Unix(unix, 0).UTC()
		in := map[string]any{key: text, key + "n": []any{n, r, data, when}, key + "m": map[string]any{text: uint64(n)}}
		out, err := MarshalXML(in)
		if y := when.Year(); (err != nil) != (y < 1 || y > 9999) {
			t.Fatalf("MarshalXML with year %d = %v", y, err)
		}
		if err != nil || len(out) > MaxSize {
			return
		}
		d := xml.NewDecoder(strings.NewReader(string(out)))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("encoding/xml: %v\n%s", err, out)
			}
		}
		if n >= 0 {
			in[key+"n"].([]any)[0] = uint64(n) // as it is read
		}
		want, _ := asXML(in)
		var got any
		if err := Unmarshal(out, &got); err != nil || !equal(want, got) {
			t.Fatalf("read back = %#v, %v; want %#v", got, err, want)
		}
	})
}
