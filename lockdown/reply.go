package lockdown

import (
	"fmt"
	"math"
	"reflect"
	"time"

	"gomuxd/plist"
)

// dict is a decoded message. Its methods return the zero value for a key that is
// not there and ErrProtocol, naming the key, for a value of the wrong kind.
type dict map[string]any

// decodeDict decodes a message of either property list format.
func decodeDict(frame []byte) (dict, error) {
	var d map[string]any
	if err := plist.Unmarshal(frame, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if d == nil {
		return nil, fmt.Errorf("%w: message is no dictionary", ErrProtocol)
	}
	return d, nil
}

// decodeReply decodes the reply to request. A refusal is returned as *Error.
// The Request key must match; only a refusal may go without it.
func decodeReply(request string, frame []byte) (dict, error) {
	d, err := decodeDict(frame)
	if err != nil {
		return nil, err
	}
	answered, err := d.str("Request")
	if err != nil {
		return nil, err
	}
	if _, there := d["Request"]; there && answered != request {
		return nil, fmt.Errorf("%w: reply to %q instead of %s", ErrProtocol, answered, request)
	}
	name, err := d.str("Error")
	if err != nil {
		return nil, err
	}
	result, err := d.str("Result")
	if err != nil {
		return nil, err
	}
	if name == "" && result != "Success" {
		name = result // before iOS 5; "Failure" is ErrFailure
	}
	if name != "" {
		return nil, refusal(request, ErrorName(name), d)
	}
	if answered == "" {
		return nil, fmt.Errorf("%w: reply names no request", ErrProtocol)
	}
	return d, nil
}

func refusal(request string, name ErrorName, d dict) error {
	e := &Error{Name: name, Request: request}
	if name == ErrMCChallengeRequired {
		ext, err := d.dict("ExtendedResponse")
		if err != nil {
			return err
		}
		if e.PairingChallenge, err = ext.data("PairingChallenge"); err != nil {
			return err
		}
	}
	return e
}

// field returns d[key] as a T, the zero value if it is not there.
func field[T any](d dict, key string) (T, error) {
	var zero T
	v, ok := d[key]
	if !ok {
		return zero, nil
	}
	t, ok := v.(T)
	if !ok {
		return zero, kindError(key, v, zero)
	}
	return t, nil
}

func kindError(key string, got, want any) error {
	return fmt.Errorf("%w: %s is %s, want %s", ErrProtocol, key, kind(got), kind(want))
}

// kind names a Go value as property lists do.
func kind(v any) string {
	switch v.(type) {
	case []byte:
		return "data"
	case time.Time:
		return "a date"
	}
	t := reflect.ValueOf(v)
	switch {
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "a boolean"
	case t.CanInt(), t.CanUint():
		return "an integer"
	case t.CanFloat():
		return "a real"
	case t.Kind() == reflect.Map, t.Kind() == reflect.Struct:
		return "a dictionary"
	case t.Kind() == reflect.Slice:
		return "an array"
	}
	return fmt.Sprintf("%T", v)
}

func (d dict) str(key string) (string, error)   { return field[string](d, key) }
func (d dict) data(key string) ([]byte, error)  { return field[[]byte](d, key) }
func (d dict) boolean(key string) (bool, error) { return field[bool](d, key) }
func (d dict) dict(key string) (dict, error)    { return field[map[string]any](d, key) }

// port returns a TCP port, 1 to 65535.
func (d dict) port(key string) (uint16, error) {
	var port uint16
	if err := assign(&port, d[key], key); err != nil {
		return 0, err
	}
	if port == 0 {
		return 0, fmt.Errorf("%w: %s is 0", ErrProtocol, key)
	}
	return port, nil
}

// assign stores a decoded value in *to. Scalars must have the kind of *to and
// fit into it (the property list library would cut a number silently); the rest
// (structs, slices, maps) is left to the library.
func assign(to, v any, key string) error {
	p := reflect.ValueOf(to)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("decode %s: %T is no pointer to decode into", key, to)
	}
	e := p.Elem()
	if have := reflect.ValueOf(v); have.IsValid() && have.Type().AssignableTo(e.Type()) {
		e.Set(have)
		return nil
	}
	if v == nil {
		return fmt.Errorf("%w: %s is missing", ErrProtocol, key)
	}
	wrong := kindError(key, v, e.Interface())
	switch {
	case e.CanInt():
		if !isInteger(v) {
			return wrong
		}
		n, fits := toInt64(v)
		if !fits || e.OverflowInt(n) {
			return fmt.Errorf("%w: %s is %d, which does not fit", ErrProtocol, key, v)
		}
		e.SetInt(n)
		return nil
	case e.CanUint():
		if !isInteger(v) {
			return wrong
		}
		n, fits := toUint64(v)
		if !fits || e.OverflowUint(n) {
			return fmt.Errorf("%w: %s is %d, which does not fit", ErrProtocol, key, v)
		}
		e.SetUint(n)
		return nil
	case e.Kind() == reflect.String, e.Kind() == reflect.Bool, e.CanFloat():
		// A named type, or the wrong kind.
		have := reflect.ValueOf(v)
		if have.Kind() != e.Kind() && (!e.CanFloat() || !have.CanFloat()) {
			return wrong
		}
		e.Set(have.Convert(e.Type()))
		return nil
	case kind(v) != kind(e.Interface()):
		return wrong
	}
	raw, err := plist.MarshalBinary(v)
	if err != nil {
		return fmt.Errorf("decode %s: %w", key, err)
	}
	if err := plist.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrProtocol, key, err)
	}
	return nil
}

// isInteger says whether v is what the decoder makes of an integer: uint64, or
// int64 below zero.
func isInteger(v any) bool {
	switch v.(type) {
	case int64, uint64:
		return true
	}
	return false
}

func toInt64(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case uint64:
		return int64(n), n <= math.MaxInt64
	}
	return 0, false
}

func toUint64(v any) (uint64, bool) {
	switch n := v.(type) {
	case uint64:
		return n, true
	case int64:
		return uint64(n), n >= 0
	}
	return 0, false
}
