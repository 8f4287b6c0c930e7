package pairrecord

import "fmt"

// Bounds, in characters, of an id without hyphens. 40 is the classic UDID, 24
// the serial that newer phones report on USB, 16 the ECID in restore mode.
const (
	minPlainID = 16
	maxPlainID = 64
)

// ValidID returns an error that wraps ErrInvalidID unless id has a shape that a
// UDID can have. All are hexadecimal in either case:
//
//   - 16 to 64 digits: 40 on phones and iPods up to 2018, on old Apple TVs and
//     watches; 24 as newer phones report it on USB; 16 for an ECID
//   - 8 digits, a hyphen, 16 digits: since 2018, T2 and Apple silicon included
//   - a UUID (8-4-4-4-12): Intel Macs
//
// So no valid id holds a dot, slash, NUL or non-ASCII letter, and none is
// "SystemConfiguration".
func ValidID(id string) error {
	const maxGroups = 5
	var groups [maxGroups]int
	n := 0
	for i := range len(id) {
		switch c := id[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			groups[n]++
		case c == '-' && n < maxGroups-1:
			n++
		default:
			return invalidID(id)
		}
	}
	switch {
	case n == 0 && groups[0] >= minPlainID && groups[0] <= maxPlainID:
	case groups == [maxGroups]int{8, 16} && n == 1:
	case groups == [maxGroups]int{8, 4, 4, 4, 12}:
	default:
		return invalidID(id)
	}
	return nil
}

// invalidID quotes at most the first maxPlainID bytes of id.
func invalidID(id string) error {
	if len(id) > maxPlainID {
		return fmt.Errorf("%w %q... (%d bytes)", ErrInvalidID, id[:maxPlainID], len(id))
	}
	return fmt.Errorf("%w %q", ErrInvalidID, id)
}
