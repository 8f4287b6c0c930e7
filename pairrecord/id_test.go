package pairrecord

import (
	"errors"
	"strings"
	"testing"
)

func TestValidID(t *testing.T) {
	for _, tt := range []struct {
		name, id string
		ok       bool
	}{
		{"40 hex", udid2, true},
		{"40 hex upper", strings.ToUpper(udid2), true},
		{"8-16", udid1, true},
		{"24 hex", strings.ReplaceAll(udid1, "-", ""), true},
		{"ecid", "000A1B2C3D4E001E", true},
		{"uuid", "01234567-89AB-CDEF-0123-456789ABCDEF", true},
		{"64 hex", strings.Repeat("a", 64), true},

		{"empty", "", false},
		{"BUID file", "SystemConfiguration", false},
		{"dot", ".", false},
		{"dots", "..", false},
		{"up", "../" + udid2, false},
		{"slash", udid2 + "/x", false},
		{"absolute", "/etc/passwd", false},
		{"dot inside", "a1b2c3d4e5f60718293a4b5c6d7e8f900112.334", false},
		{"hidden", "." + udid2, false},
		{"NUL", udid2 + "\x00", false},
		{"newline", udid2 + "\n", false},
		{"space", " " + udid2, false},
		{"backslash", `..\` + udid2, false},
		{"letter", "g" + udid2[1:], false},
		{"short", "000A1B2C3D4E001", false},
		{"long", strings.Repeat("a", 65), false},
		{"very long", strings.Repeat("a", 1<<20), false},
		{"hyphens only", strings.Repeat("-", 25), false},
		{"leading hyphen", "-" + udid2, false},
		{"trailing hyphen", udid2 + "-", false},
		{"16-8", "000A1B2C3D4E001E-00008101", false},
		{"8-15", udid1[:24], false},
		{"six groups", "01234567-89AB-CDEF-0123-456789ABCDEF-", false},
		{"full-width digits", strings.Repeat("１", 40), false},
		{"cyrillic a", "а1b2c3d4e5f60718293a4b5c6d7e8f9001122334", false},
		{"figure hyphen", "00008101‒000A1B2C3D4E001E", false},
		{"invalid utf-8", "\xff" + udid2[1:], false},
	} {
		err := ValidID(tt.id)
		if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, ErrInvalidID) {
			t.Errorf("%s: ValidID = %v, want ok %v", tt.name, err, tt.ok)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%s: error of %d bytes", tt.name, len(err.Error()))
		}
	}
}
