package plist

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
)

// place is the way from the root to a value, innermost step first.
type place struct {
	up  *place
	key string
}

func (p *place) String() string {
	if p == nil {
		return ""
	}
	const most = 64 // bytes shown of a key, which may be foreign text
	key := p.key
	if len(key) > most {
		key = strings.ToValidUTF8(key[:most], "") + "..."
	}
	if p.up == nil {
		return key
	}
	return p.up.String() + "." + key
}

// assigner stores decoded values in Go variables.
type assigner struct {
	err     *TypeError // the first
	misfits int
}

func (a *assigner) misfit(dst reflect.Value, src any, at *place) {
	a.misfits++
	if a.err == nil {
		a.err = &TypeError{Path: at.String(), Have: kindName(src), Want: dst.Type().String()}
	}
}

// kindName is what a property list calls the kind of a decoded value.
func kindName(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case int64, uint64:
		return "integer"
	case float64:
		return "real"
	case bool:
		return "boolean"
	case []byte:
		return "data"
	case time.Time:
		return "date"
	case UID:
		return "UID"
	case []any:
		return "array"
	case map[string]any:
		return "dict"
	}
	return "value"
}

// assign stores src in dst, or notes that it does not fit and leaves dst.
func (a *assigner) assign(dst reflect.Value, src any, at *place) {
	if dst.Kind() == reflect.Pointer {
		if dst.IsNil() {
			fresh := reflect.New(dst.Type().Elem())
			if a.fits(fresh.Elem(), src, at) {
				dst.Set(fresh)
			}
			return
		}
		a.assign(dst.Elem(), src, at)
		return
	}
	val := reflect.ValueOf(src)
	if dst.Kind() == reflect.Interface {
		if val.Type().AssignableTo(dst.Type()) {
			dst.Set(val)
		} else {
			a.misfit(dst, src, at)
		}
		return
	}
	ok := false
	switch src := src.(type) {
	case string:
		if ok = dst.Kind() == reflect.String; ok {
			dst.SetString(src)
		}
	case bool:
		if ok = dst.Kind() == reflect.Bool; ok {
			dst.SetBool(src)
		}
	case float64:
		if ok = dst.CanFloat() && !dst.OverflowFloat(src); ok {
			dst.SetFloat(src)
		}
	case int64:
		ok = setInt(dst, src)
	case uint64:
		ok = setUint(dst, src)
	case UID:
		ok = setUint(dst, uint64(src))
	case time.Time:
		if ok = dst.Type() == timeType; ok {
			dst.Set(val)
		}
	case []byte:
		ok = setData(dst, src)
	case []any:
		a.array(dst, src, at)
		return
	case map[string]any:
		a.dict(dst, src, at)
		return
	}
	if !ok {
		a.misfit(dst, src, at)
	}
}

// fits is assign to a fresh dst; it reports whether anything came of it.
func (a *assigner) fits(dst reflect.Value, src any, at *place) bool {
	before := a.misfits
	a.assign(dst, src, at)
	return a.misfits == before || !dst.IsZero()
}

// setInt stores a negative integer.
func setInt(dst reflect.Value, n int64) bool {
	if !dst.CanInt() || dst.OverflowInt(n) {
		return n >= 0 && setUint(dst, uint64(n))
	}
	dst.SetInt(n)
	return true
}

func setUint(dst reflect.Value, n uint64) bool {
	switch {
	case dst.CanUint() && !dst.OverflowUint(n):
		dst.SetUint(n)
	case dst.CanInt() && n <= math.MaxInt64 && !dst.OverflowInt(int64(n)):
		dst.SetInt(int64(n))
	default:
		return false
	}
	return true
}

func setData(dst reflect.Value, b []byte) bool {
	switch dst.Kind() {
	case reflect.Slice:
		if dst.Type().Elem().Kind() != reflect.Uint8 {
			return false
		}
		dst.SetBytes(b)
	case reflect.Array:
		if dst.Type().Elem().Kind() != reflect.Uint8 || dst.Len() != len(b) {
			return false
		}
		reflect.Copy(dst, reflect.ValueOf(b))
	default:
		return false
	}
	return true
}

// array stores src in a slice, replacing what it held, or in an array of the
// same length. Elements that do not fit stay zero.
func (a *assigner) array(dst reflect.Value, src []any, at *place) {
	switch {
	case dst.Kind() == reflect.Slice && dst.Type().Elem().Kind() != reflect.Uint8:
		dst.Set(reflect.MakeSlice(dst.Type(), len(src), len(src)))
	case dst.Kind() == reflect.Array && dst.Len() == len(src):
	default:
		a.misfit(dst, src, at)
		return
	}
	for i, v := range src {
		a.assign(dst.Index(i), v, &place{at, fmt.Sprint(i)})
	}
}

// dict stores src in a struct or in a map with string keys.
func (a *assigner) dict(dst reflect.Value, src map[string]any, at *place) {
	switch {
	case dst.Kind() == reflect.Struct && dst.Type() != timeType:
		for _, f := range fieldsOf(dst.Type()) {
			if v, ok := src[f.name]; ok {
				a.assign(f.in(dst), v, &place{at, f.name})
			}
		}
	case dst.Kind() == reflect.Map && dst.Type().Key().Kind() == reflect.String:
		if dst.IsNil() {
			dst.Set(reflect.MakeMapWithSize(dst.Type(), len(src)))
		}
		for key, v := range src {
			elem := reflect.New(dst.Type().Elem()).Elem()
			if a.fits(elem, v, &place{at, key}) {
				dst.SetMapIndex(reflect.ValueOf(key).Convert(dst.Type().Key()), elem)
			}
		}
	default:
		a.misfit(dst, src, at)
	}
}
