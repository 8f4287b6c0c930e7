// Package plist reads and writes Apple property lists. It is the only package
// that imports howett.net/plist.
package plist

import (
	"errors"
	"fmt"

	"howett.net/plist"
)

// ErrMalformed is wrapped by every error that Unmarshal returns for its input.
var ErrMalformed = errors.New("malformed property list")

// Unmarshal decodes an XML or binary property list into v, a pointer to a
// struct with `plist:"Key,omitempty"` tags, to a map[string]any or to an any.
func Unmarshal(data []byte, v any) error {
	if _, err := plist.Unmarshal(data, v); err != nil {
		// Not the decoder's text: it quotes the value, which may be a key.
		return fmt.Errorf("%w: a value does not decode", ErrMalformed)
	}
	return nil
}

// MarshalXML encodes v as an XML property list.
func MarshalXML(v any) ([]byte, error) {
	return plist.MarshalIndent(v, plist.XMLFormat, "\t")
}

// MarshalBinary encodes v as a binary property list.
func MarshalBinary(v any) ([]byte, error) {
	return plist.Marshal(v, plist.BinaryFormat)
}
