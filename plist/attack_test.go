package plist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
)

// bplist builds a binary list of objects with one-byte references; object 0 is
// the top.
func bplist(objects ...string) []byte {
	out := []byte("bplist00")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = len(out)
		out = append(out, o...)
	}
	table := len(out)
	for _, o := range offsets {
		out = binary.BigEndian.AppendUint16(out, uint16(o))
	}
	return append(out, bplistTrailer(2, 1, uint64(len(objects)), 0, uint64(table))...)
}

func bplistTrailer(offsetSize, refSize byte, objects, top, table uint64) []byte {
	out := []byte{0, 0, 0, 0, 0, 0, offsetSize, refSize}
	out = binary.BigEndian.AppendUint64(out, objects)
	out = binary.BigEndian.AppendUint64(out, top)
	return binary.BigEndian.AppendUint64(out, table)
}

// u64 is an 8-byte length as it follows a tag ending in f.
func u64(n uint64) string {
	return "\x13" + string(binary.BigEndian.AppendUint64(nil, n))
}

// doublings is n levels of [a, a].
func doublings(n int) []byte {
	objects := make([]string, n+1)
	for i := range n {
		objects[i] = "\xa2" + string([]byte{byte(i + 1), byte(i + 1)})
	}
	objects[n] = "\x51x"
	return bplist(objects...)
}

func xmlDoc(body string) []byte { return []byte(`<plist version="1.0">` + body + `</plist>`) }

func attacks() []attack {
	at := strings.Repeat
	secs := func(f float64) string {
		return "\x33" + string(binary.BigEndian.AppendUint64(nil, math.Float64bits(f)))
	}
	list := []attack{
		// golibs table
		{"ascii length 2^64-16", bplist("\x5f" + u64(math.MaxUint64-15) + "x")},
		{"data length overflow", bplist("\x4f" + u64(math.MaxUint64) + "x")},
		{"data length 2^63", bplist("\x4f" + u64(1<<63) + "x")},
		{"utf-16 length overflow", bplist("\x6f" + u64(1<<63) + "x")},
		{"utf-16 length doubles beyond", bplist("\x63\x00x\x00y\x00")},
		{"array length overflow", bplist("\xaf" + u64(math.MaxUint64))},
		{"array of 2^33", bplist("\xaf" + u64(1<<33))},
		{"dict length overflow", bplist("\xdf" + u64(1<<63))},
		{"dict of 2^63+1", bplist("\xdf" + u64(1<<63+1) + "\x01\x01")},
		{"set", bplist("\xc1\x01", "\x09")},
		{"ordered set", bplist("\xb1\x01", "\x09")},
		{"set length overflow", bplist("\xcf" + u64(math.MaxUint64))},
		{"uid of 16 bytes", bplist("\x8f" + at("\x01", 16))},
		{"uid cut off", bplist("\x87\x01")},
		{"doubling, 21 levels", doublings(21)},
		{"doubling, 31 levels", doublings(31)},
		{"xml arrays 200,000 deep", []byte("<plist>" + at("<array>", 140_000))},
		{"xml arrays 1,000,000 deep", []byte("<plist>" + at("<array>", 1_000_000))},
		{"openstep text", []byte("helloworld")},
		{"openstep dict", []byte("{ a = b; }")},
		{"openstep data", []byte("<abcd>")},
		{"gnustep", []byte("<*I5>")},

		// sizes
		{"empty", nil},
		{"space only", []byte(" \n\t")},
		{"bom only", []byte(bom)},
		{"NULs only", make([]byte, 100)},
		{"one byte too large", append(xmlDoc("<true/>"), bytes.Repeat([]byte(" "), MaxSize)...)},
		{"200,000 siblings", xmlDoc("<array>" + at("<a/>", 200_000) + "</array>")},
		{"arrays in a row", xmlDoc("<array>" + at("<array/>", MaxValues) + "</array>")},
		{"dicts in a row", xmlDoc("<array>" + at("<dict/>", MaxValues) + "</array>")},
		{"strings in a row", xmlDoc("<array>" + at("<string/>", MaxValues) + "</array>")},
		{"comments in a row", xmlDoc(at("<!---->", MaxValues) + "<true/>")},
		{"starts with a comment", append([]byte("<!---->"), xmlDoc("<true/>")...)},
		{"cdata in a row", xmlDoc("<string>" + at("<![CDATA[]]>", MaxValues) + "</string>")},
		{"attributes in a row", []byte("<plist " + at(`a="" `, 100_000) + "><true/></plist>")},
		{"33 levels", xmlDoc(at("<array>", 33) + at("</array>", 33))},
		{"33 levels, last empty", xmlDoc(at("<array>", 32) + "<dict/>" + at("</array>", 32))},

		// XML that property lists have not
		{"prefix", xmlDoc("<x:array></x:array>")},
		{"prefix deep", []byte("<plist>" + at("<x:array>", 1000))},
		{"namespace", []byte(`<plist xmlns="x"><true/></plist>`)},
		{"attribute on dict", xmlDoc(`<dict a="b"/>`)},
		{"upper case", xmlDoc("<ARRAY/>")},
		{"unknown element", xmlDoc("<foo/>")},
		{"longer name", xmlDoc("<arrays/>")},
		{"root is dict", []byte(`<?xml version="1.0"?><dict/>`)},
		{"root is openstep", []byte(`<?xml version="1.0"?><abab>`)},
		{"no root", []byte(`<?xml version="1.0"?>`)},
		{"empty plist", xmlDoc("")},
		{"empty plist tag", []byte("<plist/>")},
		{"two values", xmlDoc("<true/><true/>")},
		{"two roots", append(xmlDoc("<true/>"), xmlDoc("<true/>")...)},
		{"plist in plist", xmlDoc("<plist><true/></plist>")},
		{"text at top", xmlDoc("x<true/>")},
		{"text in dict", xmlDoc("<dict>x<key>a</key><true/></dict>")},
		{"text after", append(xmlDoc("<true/>"), 'x')},
		{"wrong end tag", xmlDoc("<dict></array>")},
		{"stray end tag", []byte("<plist></plist></plist>")},
		{"unclosed", []byte("<plist><dict>")},
		{"unclosed string", []byte("<plist><string>abc")},
		{"cut in tag", []byte("<plist><dict")},
		{"cut in end tag", []byte("<plist><true></true")},
		{"cut in attribute", []byte(`<plist version="1`)},
		{"only plist", []byte("<plist")},
		{"key without value", xmlDoc("<dict><key>a</key></dict>")},
		{"value without key", xmlDoc("<dict><true/></dict>")},
		{"two keys", xmlDoc("<dict><key>a</key><key>b</key><true/></dict>")},
		{"key in array", xmlDoc("<array><key>a</key></array>")},
		{"key as root", xmlDoc("<key>a</key>")},
		{"element in string", xmlDoc("<string>a<true/>b</string>")},
		{"element in key", xmlDoc("<dict><key><key>a</key></key><true/></dict>")},
		{"element in true", xmlDoc("<true><array/></true>")},
		{"text in true", xmlDoc("<true>no</true>")},
		{"comment in string", xmlDoc("<string>a<!-- b -->c</string>")},
		{"comment with --", xmlDoc("<!-- a -- b --><true/>")},
		{"comment unfinished", xmlDoc("<!-- <true/>")},
		{"cdata in dict", xmlDoc("<dict><![CDATA[x]]></dict>")},
		{"cdata in integer", xmlDoc("<integer><![CDATA[1]]></integer>")},
		{"cdata unfinished", xmlDoc("<string><![CDATA[x</string>")},
		{"bare ]]>", xmlDoc("<string>a]]>b</string>")},
		{"processing instruction", xmlDoc("<?php x?><true/>")},
		{"second declaration", []byte(`<?xml version="1.0"?><?xml version="1.0"?><plist><true/></plist>`)},
		{"declaration unfinished", []byte(`<?xml version="1.0"`)},
		{"declaration with junk", []byte(`<?xml version="1.0" x="y"?><plist><true/></plist>`)},
		{"declaration longer name", []byte(`<?xmlx version="1.0"?><plist><true/></plist>`)},
		{"xml 1.1", []byte(`<?xml version="1.1"?><plist><true/></plist>`)},
		{"latin-1", []byte(`<?xml version="1.0" encoding="ISO-8859-1"?><plist><true/></plist>`)},
		{"utf-16", []byte("\xfe\xff\x00<\x00p\x00l\x00i\x00s\x00t\x00>")},
		{"utf-16 no bom", []byte("<\x00p\x00l\x00i\x00s\x00t\x00>\x00")},
		{"entity bomb", []byte(`<!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><plist><string>&b;</string></plist>`)},
		{"external entity", []byte(`<!DOCTYPE plist [<!ENTITY a SYSTEM "file:///etc/passwd">]><plist><string>&a;</string></plist>`)},
		{"internal subset", []byte(`<!DOCTYPE plist []><plist><true/></plist>`)},
		{"parameter entity", []byte(`<!DOCTYPE plist %x;><plist><true/></plist>`)},
		{"two doctypes", []byte(`<!DOCTYPE plist><!DOCTYPE plist><plist><true/></plist>`)},
		{"doctype unfinished", []byte(`<!DOCTYPE plist "`)},
		{"entity declaration", []byte(`<!ENTITY a "b"><plist><true/></plist>`)},
		{"undefined entity", xmlDoc("<string>&nbsp;</string>")},
		{"bare &", xmlDoc("<string>a & b</string>")},
		{"reference to NUL", xmlDoc("<string>&#0;</string>")},
		{"reference to surrogate", xmlDoc("<string>&#xD800;</string>")},
		{"reference beyond unicode", xmlDoc("<string>&#x110000;</string>")},
		{"reference overflow", xmlDoc("<string>&#x10000000000000041;</string>")},
		{"reference in integer", xmlDoc("<integer>&#49;</integer>")},
		{"invalid utf-8", xmlDoc("<string>\xff</string>")},
		{"overlong utf-8", xmlDoc("<string>\xc0\xaf</string>")},
		{"NUL inside", xmlDoc("<string>a\x00b</string>")},
		{"control character", xmlDoc("<string>a\x01b</string>")},
		{"U+FFFE", xmlDoc("<string>\ufffe</string>")},

		// XML values
		{"integer empty", xmlDoc("<integer/>")},
		{"integer sign only", xmlDoc("<integer>-</integer>")},
		{"integer text", xmlDoc("<integer>abc</integer>")},
		{"integer two signs", xmlDoc("<integer>--5</integer>")},
		{"integer hex empty", xmlDoc("<integer>0x</integer>")},
		{"integer hex sign", xmlDoc("<integer>0x-5</integer>")},
		{"integer underscore", xmlDoc("<integer>1_0</integer>")},
		{"integer 2^64", xmlDoc("<integer>18446744073709551616</integer>")},
		{"integer -2^63-1", xmlDoc("<integer>-9223372036854775809</integer>")},
		{"integer hex 2^64", xmlDoc("<integer>0x10000000000000000</integer>")},
		{"integer huge", xmlDoc("<integer>" + at("9", 500_000) + "</integer>")},
		{"real empty", xmlDoc("<real></real>")},
		{"real huge", xmlDoc("<real>" + at("9", 500_000) + "</real>")},
		{"real 1e999", xmlDoc("<real>1e999</real>")},
		{"real text", xmlDoc("<real>abc</real>")},
		{"date empty", xmlDoc("<date/>")},
		{"date 31 february", xmlDoc("<date>2024-02-31T00:00:00Z</date>")},
		{"date year 0", xmlDoc("<date>0000-01-01T00:00:00Z</date>")},
		{"date beyond 9999", xmlDoc("<date>9999-12-31T23:59:59-01:00</date>")},
		{"date huge", xmlDoc("<date>" + at("9", 500_000) + "</date>")},
		{"data not base64", xmlDoc("<data>a!b</data>")},
		{"data bad padding", xmlDoc("<data>abc</data>")},

		// binary
		{"magic only", []byte("bplist00")},
		{"version 15", append([]byte("bplist15"), bplist("\x09")[8:]...)},
		{"version 01", append([]byte("bplist01"), bplist("\x09")[8:]...)},
		{"39 bytes", bplist("\x09")[:39]},
		{"no objects", append([]byte("bplist00\x09\x08"), bplistTrailer(1, 1, 0, 0, 9)...)},
		{"2^61+1 objects", append([]byte("bplist00\x09\x00\x00\x00\x00\x00\x00\x00\x08"), bplistTrailer(8, 1, 1<<61+1, 0, 9)...)},
		{"2^64-1 objects", append([]byte("bplist00\x09\x08"), bplistTrailer(1, 8, math.MaxUint64, 0, 9)...)},
		{"offset size 0", append([]byte("bplist00\x09\x08"), bplistTrailer(0, 1, 1, 0, 9)...)},
		{"offset size 9", append([]byte("bplist00\x09\x08"), bplistTrailer(9, 1, 1, 0, 9)...)},
		{"offset size 255", append([]byte("bplist00\x09\x08"), bplistTrailer(255, 1, 1, 0, 9)...)},
		{"ref size 0", append([]byte("bplist00\xa1\x08"), bplistTrailer(1, 0, 1, 0, 9)...)},
		{"ref size 200", append([]byte("bplist00\xa1\x08"), bplistTrailer(1, 200, 1, 0, 9)...)},
		{"top out of bounds", append([]byte("bplist00\x09\x08"), bplistTrailer(1, 1, 1, 1, 9)...)},
		{"table in header", append([]byte("bplist00\x09\x08"), bplistTrailer(1, 1, 1, 0, 3)...)},
		{"table in trailer", append([]byte("bplist00\x09\x08"), bplistTrailer(1, 1, 1, 0, 20)...)},
		{"table at 2^64-1", append([]byte("bplist00\x09\x08"), bplistTrailer(1, 1, 1, 0, math.MaxUint64)...)},
		{"gap before trailer", append([]byte("bplist00\x09\x08\x00"), bplistTrailer(1, 1, 1, 0, 9)...)},
		{"object in header", append([]byte("bplist00\x09\x00"), bplistTrailer(1, 1, 1, 0, 9)...)},
		{"object in table", append([]byte("bplist00\x09\x09"), bplistTrailer(1, 1, 1, 0, 9)...)},
		{"object in trailer", append([]byte("bplist00\x09\x20"), bplistTrailer(1, 1, 1, 0, 9)...)},
		{"object beyond the end", append([]byte("bplist00\x09\xff"), bplistTrailer(1, 1, 1, 0, 9)...)},
		{"null", bplist("\x00")},
		{"fill", bplist("\x0f")},
		{"unknown tag", bplist("\x70")},
		{"array in itself", bplist("\xa1\x00")},
		{"arrays in each other", bplist("\xa1\x01", "\xa1\x00")},
		{"dict in itself", bplist("\xd1\x01\x00", "\x51a")},
		{"dict as its own key", bplist("\xd1\x00\x00")},
		{"key is a number", bplist("\xd1\x01\x01", "\x10\x01")},
		{"reference out of bounds", bplist("\xa1\x07")},
		{"references into table", bplist("\xa9\x01")},
		{"length is no integer", bplist("\x5f\x51x")},
		{"length is cut off", bplist("\x5f")},
		{"length integer is cut off", bplist("\x5f\x13\x00")},
		{"length of 16 bytes", bplist("\x5f\x14" + at("\x00", 16))},
		{"ascii into table", bplist("\x53ab")},
		{"ascii not utf-8", bplist("\x51\xff")},
		{"integer cut off", bplist("\x13\x00")},
		{"integer of 32 bytes", bplist("\x15" + at("\x00", 32))},
		{"integer of 2^15 bytes", bplist("\x1f")},
		{"integer 2^64", bplist("\x14" + at("\x00", 7) + "\x01" + at("\x00", 8))},
		{"integer -2^64", bplist("\x14" + at("\xff", 8) + at("\x00", 8))},
		{"real of 2 bytes", bplist("\x21\x00\x00")},
		{"real cut off", bplist("\x23\x00")},
		{"date cut off", bplist("\x33\x00")},
		{"date of 4 bytes", bplist("\x32\x00\x00\x00\x00")},
		{"date NaN", bplist(secs(math.NaN()))},
		{"date infinite", bplist(secs(math.Inf(1)))},
		{"date 1e300", bplist(secs(1e300))},
		{"date year 10000", bplist(secs(maxDate + 1))},
		{"date year 0", bplist(secs(minDate - 1))},
		{"one key, deep dicts", deepDicts(40)},
		{"shared text unfolds to 8 MB", sharedText()},
	}
	return list
}

type attack struct {
	name string
	data []byte
}

// deepDicts is n dictionaries, each in the one before.
func deepDicts(n int) []byte {
	objects := make([]string, n+2)
	for i := range n {
		objects[i] = "\xd1" + string([]byte{byte(n + 1), byte(i + 1)})
	}
	objects[n] = "\x09"
	objects[n+1] = "\x51k"
	return bplist(objects...)
}

// sharedText refers 255 times to one text of 32 KB.
func sharedText() []byte {
	return bplist("\xaf\x10\xff"+strings.Repeat("\x01", 255), "\x5f\x11\x7f\xff"+strings.Repeat("a", 0x7fff))
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestAttacks(t *testing.T) {
	for _, tt := range attacks() {
		t.Run(tt.name, func(t *testing.T) {
			var v any
			err := Unmarshal(tt.data, &v)
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("Unmarshal = %v, %v; want ErrMalformed", v, err)
			}
			if len(err.Error()) > 200 {
				t.Errorf("error has %d bytes: it quotes input", len(err.Error()))
			}
			const most = 64 << 10
			if got := allocated(func() { err = Unmarshal(tt.data, &v) }); got > most {
				t.Errorf("refusal allocates %d bytes, want at most %d", got, most)
			}
		})
	}
}

// TestWorstAccepted takes what the guard lets through at its limits.
func TestWorstAccepted(t *testing.T) {
	at := strings.Repeat
	for _, tt := range []attack{
		{"dicts", xmlDoc("<array>" + at("<dict/>", MaxValues-2) + "</array>")},
		{"arrays", xmlDoc("<array>" + at("<array/>", MaxValues-2) + "</array>")},
		{"integers", xmlDoc("<array>" + at("<integer>1</integer>", MaxValues-2) + "</array>")},
		{"comments", xmlDoc(at("<!---->", MaxValues-2) + "<true/>")},
		{"keys", xmlDoc("<dict>" + at("<key/><true/>", MaxValues/2-2) + "</dict>")},
		{"32 levels", xmlDoc(at("<array>", 32) + at("</array>", 32))},
		{"long text", xmlDoc("<string>" + at("a", MaxSize-100) + "</string>")},
		{"long data", xmlDoc("<data>" + at("AAAA", MaxSize/4-100) + "</data>")},
		{"long space", append(bytes.Repeat([]byte(" "), MaxSize-100), xmlDoc("<true/>")...)},
		{"long tail", append(xmlDoc("<true/>"), make([]byte, MaxSize-100)...)},
		{"long comment", xmlDoc("<!--" + at("a", MaxSize-100) + "--><true/>")},
		{"doubling to the limit", doublings(12)},
		{"binary 31 dicts", deepDicts(31)},
		{"32 arrays of 255", wide()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var v any
			var err error
			got := allocated(func() { err = Unmarshal(tt.data, &v) })
			if err != nil {
				t.Fatalf("Unmarshal = %v, want it accepted", err)
			}
			if want := memoryBound(len(tt.data)); got > want {
				t.Errorf("%d bytes of input cost %d, want at most %d", len(tt.data), got, want)
			}
		})
	}
}

// wide is an array of 60 references to one array of 255 to one dictionary.
func wide() []byte {
	return bplist("\xaf\x10\x3c"+strings.Repeat("\x01", 60), "\xaf\x10\xff"+strings.Repeat("\x02", 255), "\xd0")
}

// memoryBound is the memory, in bytes, that n bytes of input may cost: 1.3 KiB
// for each 7-byte dictionary of XML, and MaxValues small maps by references.
func memoryBound(n int) uint64 { return 256*uint64(n) + 128*MaxValues }

func TestGuardDoesNotAllocate(t *testing.T) {
	for name, data := range map[string][]byte{
		"xml":    readFile(t, "testdata/devicelist.plist"),
		"binary": doublings(12),
	} {
		if got := testing.AllocsPerRun(100, func() {
			if _, _, err := guard(data); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("guard of %s allocates %v times, want 0", name, got)
		}
	}
}

func TestErrorsNameOffset(t *testing.T) {
	err := Unmarshal(xmlDoc("<array><string>ok</string><foo/></array>"), new(any))
	if want := fmt.Sprintf("%v: unknown element at offset 47", ErrMalformed); err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}
