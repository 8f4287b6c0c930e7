package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// defaultConfig is read if it is there; any other file must be.
const defaultConfig = "/etc/usbmuxd.conf"

// maxConfig is the size, in bytes, of the largest configuration file.
const maxConfig = 1 << 20

// readConfig puts the configuration file at path over s. An error is one line
// with path, and line where there is one.
func (s *settings) readConfig(path string) error {
	info, err := os.Stat(path) // before it is opened: a pipe would block
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil && info.Size() > maxConfig {
		err = fmt.Errorf("larger than %d bytes", maxConfig)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		var perr *fs.PathError
		if errors.As(err, &perr) {
			err = perr.Err // it names the path
		}
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	return s.parseConfig(path, text)
}

func (s *settings) parseConfig(path string, text []byte) error {
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	err := d.Decode(s)
	if err == nil {
		err = s.validate()
	}
	var (
		unknown *toml.StrictMissingError
		decode  *toml.DecodeError
		setting *settingError
	)
	switch {
	case errors.As(err, &unknown):
		line, _ := unknown.Errors[0].Position()
		key := unknown.Errors[0].Key()
		return fmt.Errorf("%s:%d: unknown key %s; the nearest is %s", path, line, strings.Join(key, "."), nearest(key))
	case errors.As(err, &decode):
		line, _ := decode.Position()
		if kind := kindOf(reflect.TypeFor[settings](), decode.Key()); kind != "" && strings.Contains(err.Error(), "cannot") {
			return fmt.Errorf("%s:%d: %s wants %s", path, line, strings.Join(decode.Key(), "."), kind)
		}
		return fmt.Errorf("%s:%d: %s", path, line, strings.TrimPrefix(err.Error(), "toml: "))
	case errors.As(err, &setting):
		return fmt.Errorf("%s:%d: %w", path, lineOf(text, setting.key), setting)
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// lineOf finds the line of a key, or of the table that it is in.
func lineOf(text []byte, key []string) (line int) {
	var p unstable.Parser
	p.Reset(text)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		var name []string
		at := 0
		for it := e.Key(); it.Next(); {
			name = append(name, string(it.Node().Data))
			at = p.Shape(it.Node().Raw).Start.Line
		}
		if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
			table = name
		} else {
			name = append(slices.Clone(table), name...)
		}
		if len(name) <= len(key) && slices.Equal(name, key[:len(name)]) {
			line = at
		}
	}
	return line
}

// configKeys lists the keys of the configuration file, in its order; UDID stands
// for that of a device.
func configKeys() []string { return keysOf(reflect.TypeFor[settings](), "") }

func keysOf(t reflect.Type, prefix string) (keys []string) {
	for f := range fields(t) {
		switch name := prefix + f.Tag.Get("toml"); {
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, keysOf(f.Type, name+".")...)
		case f.Type.Kind() == reflect.Map:
			keys = append(keys, keysOf(f.Type.Elem(), name+".UDID.")...)
		case isTables(f.Type):
			keys = append(keys, keysOf(f.Type.Elem(), name+".")...)
		default:
			keys = append(keys, name)
		}
	}
	return keys
}

// isTables reports whether a key stands for any number of tables: [[key]].
func isTables(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// kindOf says in words what a key's value is; empty for an unknown key.
func kindOf(t reflect.Type, key []string) string {
	for _, name := range key {
		if t.Kind() == reflect.Map {
			t = t.Elem()
			continue
		}
		if isTables(t) {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return ""
		}
		found := false
		for f := range fields(t) {
			if f.Tag.Get("toml") == name {
				t, found = f.Type, true
				break
			}
		}
		if !found {
			return ""
		}
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a number"
	case t.Kind() == reflect.String:
		return "a text in quotes"
	case isTables(t):
		return "tables of its own: [[" + strings.Join(key, ".") + "]]"
	case t.Kind() == reflect.Slice:
		return `a list of texts in quotes, as in ["a", "b"]`
	}
	return "a table of its own: [" + strings.Join(key, ".") + "]"
}

// nearest is the known key that takes the fewest changes to come to.
func nearest(key []string) string {
	got := strings.Join(key, ".")
	if len(key) > 2 && key[0] == "device" {
		got = "device.UDID." + strings.Join(key[2:], ".")
	}
	// A key in the wrong table is near, too.
	distance := func(known string) int {
		last := known[strings.LastIndexByte(known, '.')+1:]
		return min(edits(got, known), edits(key[len(key)-1], last)+1)
	}
	return slices.MinFunc(configKeys(), func(a, b string) int { return cmp.Compare(distance(a), distance(b)) })
}

// edits counts the letters to insert, drop or replace on the way from a to b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// differences lists the keys whose values differ, those of devices as one key.
func differences(a, b settings) []string { return differ(reflect.ValueOf(a), reflect.ValueOf(b), "") }

func differ(a, b reflect.Value, prefix string) (keys []string) {
	for f := range fields(a.Type()) {
		x, y := a.FieldByIndex(f.Index), b.FieldByIndex(f.Index)
		name := prefix + f.Tag.Get("toml")
		switch {
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, differ(x, y, name+".")...)
		case reflect.DeepEqual(x.Interface(), y.Interface()):
		default:
			keys = append(keys, name)
		}
	}
	return keys
}
