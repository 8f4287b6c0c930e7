package plist

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"howett.net/plist"
)

const (
	xmlHead = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
`
	xmlTail = "</plist>\n"
)

// MarshalXML encodes v as an XML property list in libplist's layout. v is or
// points to a struct (fields in declared order, tags as for Unmarshal), a map
// with string keys (sorted), a slice or array, bool, number, string, []byte or
// byte array (data), time.Time (date, whole seconds) or UID.
//
// A nil pointer or interface is left out if its field has omitempty; elsewhere
// it is an error that wraps ErrUnsupported, as are other types, dates outside
// the years 1 to 9999 and more than MaxDepth levels. A nil slice or map is
// an empty one. In texts and keys, U+FFFD takes the place of what XML cannot
// carry: invalid UTF-8, U+FFFE, U+FFFF and control characters but tab, line feed
// and carriage return.
func MarshalXML(v any) ([]byte, error) { return AppendXML(nil, v) }

// AppendXML appends MarshalXML's output for v to dst and returns the extended
// slice. If v cannot be encoded it returns dst as it was.
func AppendXML(dst []byte, v any) ([]byte, error) {
	out, err := appendValue(append(dst, xmlHead...), reflect.ValueOf(v), 0)
	if err != nil {
		return dst, err
	}
	return append(out, xmlTail...), nil
}

// MarshalBinary encodes v as a binary property list, with types as for
// MarshalXML. Texts may hold any characters.
func MarshalBinary(v any) (data []byte, err error) {
	// The encoder drops nil values without a word, or with their key kept.
	if _, err := AppendXML(nil, v); err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			data, err = nil, fmt.Errorf("%w: the binary encoder broke on %T", ErrUnsupported, v)
		}
	}()
	data, err = plist.Marshal(v, plist.BinaryFormat)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return data, nil
}

// appendValue appends v's lines, indented by depth tabs.
func appendValue(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	for n := 0; v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface; n++ {
		if n == MaxDepth {
			return nil, errDeep() // a pointer to itself
		}
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil, fmt.Errorf("%w: nil", ErrUnsupported)
	}
	switch v.Type() {
	case timeType:
		return appendDate(dst, v.Interface().(time.Time), depth)
	case uidType:
		if depth == MaxDepth {
			return nil, errDeep()
		}
		return appendUID(dst, v.Uint(), depth), nil
	}
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(appendTabs(dst, depth), "<true/>\n"...), nil
		}
		return append(appendTabs(dst, depth), "<false/>\n"...), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		dst = append(appendTabs(dst, depth), "<integer>"...)
		return append(strconv.AppendInt(dst, v.Int(), 10), "</integer>\n"...), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		dst = append(appendTabs(dst, depth), "<integer>"...)
		return append(strconv.AppendUint(dst, v.Uint(), 10), "</integer>\n"...), nil
	case reflect.Float32, reflect.Float64:
		dst = append(appendTabs(dst, depth), "<real>"...)
		return append(appendReal(dst, v.Float()), "</real>\n"...), nil
	case reflect.String:
		dst = append(appendTabs(dst, depth), "<string>"...)
		return append(appendText(dst, v.String()), "</string>\n"...), nil
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return appendData(dst, bytesOf(v), depth), nil
		}
		return appendArray(dst, v, depth)
	case reflect.Map:
		return appendMap(dst, v, depth)
	case reflect.Struct:
		return appendStruct(dst, v, depth)
	}
	return nil, fmt.Errorf("%w: %s", ErrUnsupported, v.Type())
}

var uidType = reflect.TypeFor[UID]()

// bytesOf returns the bytes of a slice or array, without a copy if it can.
func bytesOf(v reflect.Value) []byte {
	if v.Kind() == reflect.Slice || v.CanAddr() {
		return v.Bytes()
	}
	b := make([]byte, v.Len())
	reflect.Copy(reflect.ValueOf(b), v)
	return b
}

func appendArray(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth == MaxDepth {
		return nil, errDeep()
	}
	if v.Len() == 0 {
		return append(appendTabs(dst, depth), "<array/>\n"...), nil
	}
	dst = append(appendTabs(dst, depth), "<array>\n"...)
	for i := range v.Len() {
		var err error
		if dst, err = appendValue(dst, v.Index(i), depth+1); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return append(appendTabs(dst, depth), "</array>\n"...), nil
}

func appendMap(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("%w: %s", ErrUnsupported, v.Type())
	}
	if depth == MaxDepth {
		return nil, errDeep()
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		switch x, y := a.String(), b.String(); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	d := dictWriter{dst: dst, depth: depth}
	for _, key := range keys {
		if err := d.add(key.String(), v.MapIndex(key)); err != nil {
			return nil, err
		}
	}
	return d.end(), nil
}

func appendStruct(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth == MaxDepth {
		return nil, errDeep()
	}
	d := dictWriter{dst: dst, depth: depth}
	for _, f := range fieldsOf(v.Type()) {
		val, ok := f.of(v)
		if !ok || f.omitEmpty && isEmpty(val) {
			continue
		}
		if err := d.add(f.name, val); err != nil {
			return nil, err
		}
	}
	return d.end(), nil
}

// dictWriter appends one dictionary.
type dictWriter struct {
	dst   []byte
	depth int
	open  bool // the start tag is written
}

func (d *dictWriter) add(key string, v reflect.Value) error {
	if !d.open {
		d.dst = append(appendTabs(d.dst, d.depth), "<dict>\n"...)
		d.open = true
	}
	dst := append(appendTabs(d.dst, d.depth+1), "<key>"...)
	dst = append(appendText(dst, key), "</key>\n"...)
	dst, err := appendValue(dst, v, d.depth+1)
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	d.dst = dst
	return nil
}

func (d *dictWriter) end() []byte {
	if !d.open {
		return append(appendTabs(d.dst, d.depth), "<dict/>\n"...)
	}
	return append(appendTabs(d.dst, d.depth), "</dict>\n"...)
}

func errDeep() error {
	return fmt.Errorf("%w: more than %d levels", ErrUnsupported, MaxDepth)
}
