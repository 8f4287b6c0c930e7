package plist

import "math"

// Bounds, in characters, of texts in XML. The longest number is a real with
// 17 digits, the longest date has nanoseconds and an offset.
const (
	maxNumberText = 64
	maxDateText   = 40
)

// checkScalar checks the text of an element without children, which starts at
// offset at. It leaves to the decoder only what the decoder reports itself
// (dates such as 31 February, base64 padding).
func checkScalar(el element, text []byte, at int) error {
	switch el {
	case elInteger:
		return checkInteger(text, at)
	case elReal:
		if len(text) == 0 || len(text) > maxNumberText {
			return malformed(at, "bad real")
		}
		for i, c := range text {
			if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '+' && c != '-' && c != '.' {
				return malformed(at+i, "bad real")
			}
		}
	case elDate:
		if len(text) == 0 || len(text) > maxDateText {
			return malformed(at, "bad date")
		}
		for i, c := range text {
			if (c < '0' || c > '9') && c != '-' && c != ':' && c != '.' && c != '+' && c != 'T' && c != 'Z' {
				return malformed(at+i, "bad date")
			}
		}
	case elData:
		for i, c := range text {
			if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') &&
				c != '+' && c != '/' && c != '=' && !isSpace(c) {
				return malformed(at+i, "bad base64")
			}
		}
	case elTrue, elFalse:
		for i, c := range text {
			if !isSpace(c) {
				return malformed(at+i, "text in a boolean")
			}
		}
	}
	return nil
}

// checkInteger checks a decimal or 0x hexadecimal integer from -2^63 to 2^64-1.
func checkInteger(text []byte, at int) error {
	if len(text) > maxNumberText {
		return malformed(at, "integer too long")
	}
	limit := uint64(math.MaxUint64)
	if len(text) > 0 && text[0] == '-' {
		limit = 1 << 63
		text = text[1:]
	}
	base := uint64(10)
	if len(text) > 1 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') {
		base = 16
		text = text[2:]
	}
	if len(text) == 0 {
		return malformed(at, "bad integer")
	}
	var n uint64
	for _, c := range text {
		d := uint64(digit(c))
		if d >= base {
			return malformed(at, "bad integer")
		}
		if n > (limit-d)/base {
			return malformed(at, "integer out of range")
		}
		n = n*base + d
	}
	return nil
}
