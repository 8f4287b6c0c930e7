package plist

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error that Unmarshal returns for its input.
var ErrMalformed = errors.New("malformed property list")

// ErrUnsupported is wrapped by the error of marshalling a Go value that a
// property list cannot hold.
var ErrUnsupported = errors.New("value cannot be in a property list")

// TypeError says that a value is of another kind than the Go variable for it,
// or a number outside its range. That variable is left as it was; all others
// are set. A caller that takes a value of the wrong kind for absent, as the
// C usbmuxd does, can look for it with errors.As and go on.
type TypeError struct {
	Path string // where, such as "Properties.DeviceID"; empty for the root
	Have string // what the list holds there, such as "string"; never the value
	Want string // the Go type
}

func (e *TypeError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%v: %s does not fit into %s", ErrMalformed, e.Have, e.Want)
	}
	return fmt.Sprintf("%v: %s of key %q does not fit into %s", ErrMalformed, e.Have, e.Path, e.Want)
}

// Unwrap returns ErrMalformed.
func (e *TypeError) Unwrap() error { return ErrMalformed }

// malformed is an error about the bytes at an offset from the start of input.
func malformed(offset int, what string) error {
	return fmt.Errorf("%w: %s at offset %d", ErrMalformed, what, offset)
}
