package usb

import "strings"

// maxSerial bounds a serial number, in characters: a string descriptor holds
// 126, and clients have room for 255.
const maxSerial = 255

// cleanSerial makes what a phone gave as its serial number fit for use as a
// name: it ends at a NUL, what is not printable ASCII becomes a question mark.
func cleanSerial(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	b := make([]byte, 0, min(len(s), maxSerial))
	for _, r := range s {
		if len(b) == maxSerial {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return strings.TrimSpace(string(b))
}

// udidOf spells a serial number as clients expect it: phones since 2018 have 24
// characters and leave out the hyphen after the eighth.
func udidOf(serial string) string {
	if len(serial) == 24 {
		return serial[:8] + "-" + serial[8:]
	}
	return serial
}
