package plist

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// tabs is one for each level, and one for a UID's own keys.
var tabs = strings.Repeat("\t", MaxDepth+1)

func appendTabs(dst []byte, n int) []byte { return append(dst, tabs[:n]...) }

// appendText appends s with &, < and > as references, as libplist does. A
// carriage return is one too: as such, XML parsers would read a line feed.
func appendText(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		n, with := 1, ""
		switch {
		case c == '&':
			with = "&amp;"
		case c == '<':
			with = "&lt;"
		case c == '>':
			with = "&gt;"
		case c == '\r':
			with = "&#13;"
		case c < utf8.RuneSelf:
			if !isXMLChar(rune(c)) {
				with = "\ufffd"
			}
		default:
			var r rune
			if r, n = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && n == 1 || !isXMLChar(r) {
				with = "\ufffd"
			}
		}
		if with != "" {
			dst = append(append(dst, s[start:i]...), with...)
			start = i + n
		}
		i += n
	}
	return append(dst, s[start:]...)
}

// appendReal writes 17 digits, as libplist does, which hold every float64.
func appendReal(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "+infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-infinity"...)
	}
	return strconv.AppendFloat(dst, f, 'g', 17, 64)
}

func appendDate(dst []byte, t time.Time, depth int) ([]byte, error) {
	t = t.UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return nil, fmt.Errorf("%w: date in the year %d", ErrUnsupported, y)
	}
	dst = append(appendTabs(dst, depth), "<date>"...)
	return append(t.AppendFormat(dst, "2006-01-02T15:04:05Z"), "</date>\n"...), nil
}

func appendUID(dst []byte, n uint64, depth int) []byte {
	dst = append(appendTabs(dst, depth), "<dict>\n"...)
	dst = append(appendTabs(dst, depth+1), "<key>CF$UID</key>\n"...)
	dst = append(appendTabs(dst, depth+1), "<integer>"...)
	dst = append(strconv.AppendUint(dst, n, 10), "</integer>\n"...)
	return append(appendTabs(dst, depth), "</dict>\n"...)
}

// appendData writes base64 in lines of at most 76 columns, a tab being eight of
// them, and never more than eight tabs.
func appendData(dst, data []byte, depth int) []byte {
	const (
		columns = 76
		tab     = 8
		most    = 8
	)
	indent := min(depth, most)
	line := (columns - tab*indent) / 4 * 3 // bytes of data
	dst = append(appendTabs(dst, depth), "<data>\n"...)
	for len(data) > 0 {
		n := min(line, len(data))
		dst = base64.StdEncoding.AppendEncode(appendTabs(dst, indent), data[:n])
		dst = append(dst, '\n')
		data = data[n:]
	}
	return append(appendTabs(dst, depth), "</data>\n"...)
}
