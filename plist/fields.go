package plist

import (
	"reflect"
	"strings"
	"sync"
	"time"
)

var timeType = reflect.TypeFor[time.Time]()

// field is a struct field that is a dictionary's key.
type field struct {
	name      string
	index     []int // as for reflect.Value.FieldByIndex
	omitEmpty bool
}

var fieldCache sync.Map // reflect.Type to []field

// fieldsOf returns the keys of struct type t in declared order. Of fields with
// one name the least deeply embedded counts, of those the first.
func fieldsOf(t reflect.Type) []field {
	if f, ok := fieldCache.Load(t); ok {
		return f.([]field)
	}
	all := appendFields(nil, t, nil, nil)
	best := make(map[string]int, len(all)) // index into all
	for i, f := range all {
		if j, ok := best[f.name]; !ok || len(f.index) < len(all[j].index) {
			best[f.name] = i
		}
	}
	fields := make([]field, 0, len(best))
	for i, f := range all {
		if best[f.name] == i {
			fields = append(fields, f)
		}
	}
	f, _ := fieldCache.LoadOrStore(t, fields)
	return f.([]field)
}

// appendFields adds the fields of t, which is reached by index through types.
func appendFields(fields []field, t reflect.Type, index []int, through []reflect.Type) []field {
	for _, outer := range through {
		if outer == t {
			return fields // a struct that embeds a pointer to itself
		}
	}
	through = append(through[:len(through):len(through)], t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("plist")
		if tag == "-" {
			continue
		}
		at := append(index[:len(index):len(index)], i)
		name, options, _ := strings.Cut(tag, ",")
		if f.Anonymous && name == "" {
			inner, ptr := f.Type, f.Type.Kind() == reflect.Pointer
			if ptr {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && inner != timeType && (f.IsExported() || !ptr) {
				fields = appendFields(fields, inner, at, through)
				continue
			}
		}
		if !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields = append(fields, field{name: name, index: at, omitEmpty: options == "omitempty"})
	}
	return fields
}

// in returns the field in struct v, making embedded structs on the way.
func (f field) in(v reflect.Value) reflect.Value {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

// of returns the field of struct v; ok is false if it is in an embedded struct
// that is not there.
func (f field) of(v reflect.Value) (val reflect.Value, ok bool) {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}

// isEmpty reports what omitempty leaves out: false, zero numbers and times, nil
// and what has no elements.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return v.Type() == timeType && v.IsZero()
	}
	return v.IsZero()
}
