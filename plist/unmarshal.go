package plist

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"howett.net/plist"
)

// UID is a reference in a keyed archive. In XML it is a dictionary with the one
// key CF$UID.
type UID = plist.UID

// Unmarshal decodes an XML or binary property list of at most MaxSize bytes
// into v, which is a pointer to:
//
//   - a struct whose fields have the tag `plist:"Key,omitempty"` or "-"; keys
//     without a field are ignored, fields without a key stay, fields of embedded
//     structs are the struct's own
//   - a map with string keys, a slice or array
//   - any: then values are map[string]any, []any, string, []byte, bool,
//     time.Time in UTC, UID, float64, and int64 if negative, else uint64
//   - a single value
//
// Nothing decoded shares memory with data. Errors wrap ErrMalformed and never
// quote a value, since it may be a key or password. A *TypeError among them
// means that all but the values it is about were set; of several, the first is
// returned. After any other error v is unchanged.
func Unmarshal(data []byte, v any) error {
	dst := reflect.ValueOf(v)
	if dst.Kind() != reflect.Pointer || dst.IsNil() {
		return fmt.Errorf("%w: Unmarshal into %T", ErrUnsupported, v)
	}
	body, binary, err := guard(data)
	if err != nil {
		return err
	}
	root, err := decode(body)
	if err != nil {
		return err
	}
	if root, err = clean(root, binary); err != nil {
		return err
	}
	a := assigner{}
	a.assign(dst.Elem(), root, nil)
	if a.err != nil {
		return a.err // not a nil *TypeError in an error
	}
	return nil
}

// decode runs the decoder on input that the guard let through. The decoder
// raises its own runtime errors as panics.
func decode(body []byte) (root any, err error) {
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("%w: the decoder broke on it", ErrMalformed)
		}
	}()
	if _, err := plist.Unmarshal(body, &root); err != nil {
		// Not the decoder's own text, which quotes the value.
		return nil, fmt.Errorf("%w: a number, date or data does not decode", ErrMalformed)
	}
	if root == nil {
		return nil, fmt.Errorf("%w: no value", ErrMalformed)
	}
	return root, nil
}

// clean makes of the decoder's values those that Unmarshal promises, in place
// where it can. Of a binary list the decoder's texts and data are parts of one
// buffer, overlapping if the list wants so; they are copied.
func clean(v any, binary bool) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for key, val := range v {
			if v[key], err = clean(val, binary); err != nil {
				return nil, err
			}
		}
		if binary {
			return cloneKeys(v), nil
		}
	case []any:
		for i, val := range v {
			if v[i], err = clean(val, binary); err != nil {
				return nil, err
			}
		}
	case string:
		if binary {
			return strings.Clone(v), nil
		}
	case []byte:
		if binary {
			return append([]byte{}, v...), nil
		}
		return slices.Clip(v), nil
	case float32:
		return float64(v), nil
	case time.Time:
		v = v.UTC()
		if y := v.Year(); y < 1 || y > 9999 {
			return nil, fmt.Errorf("%w: date out of range", ErrMalformed)
		}
		return v, nil
	}
	return v, nil
}

func cloneKeys(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for key, val := range m {
		out[strings.Clone(key)] = val
	}
	return out
}
