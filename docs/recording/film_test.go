package main

import (
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestFilm asserts which rows are seen, from when to when, and in which style.
func TestFilm(t *testing.T) {
	m := film([]print{
		{time.Second, []byte("\x1b[1mtitle\x1b[0m\r\n  a   b & \x1b[32mgreen\x1b[0m\r\n")},
		{2 * time.Second, []byte("gone at once")},
		{2*time.Second + flicker, []byte("\rthe third row")},
		{12 * time.Second, []byte("\x1b[H\x1b[2Jnext")}, // after a pause that is cut
	}, 20, 4, 3*time.Second)
	all := 4*time.Second + flicker // without what is before the first print
	want := movie{cols: 20, rows: 4, length: all + last, takes: []take{
		{0, []piece{{0, "title", 5, "b"}}, 0, all},
		{1, []piece{{2, "a", 1, ""}, {6, "b &", 3, ""}, {10, "green", 5, "g"}}, 0, all},
		{2, []piece{{0, "the third row", 13, ""}}, time.Second + flicker, all},
		{0, []piece{{0, "next", 4, ""}}, all, all + last},
	}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("want\n%+v\ngot\n%+v", want, m)
	}
}

// TestDraw asserts that the picture is well-formed and has all texts.
func TestDraw(t *testing.T) {
	svg := string(draw(movie{cols: 10, rows: 1, length: time.Second, takes: []take{
		{0, []piece{{0, "a<b", 3, "b"}}, 0, time.Second / 2}, {0, []piece{{2, "c", 1, ""}}, time.Second / 2, time.Second},
	}}, "T & U"))
	var texts []string
	for d, inside := xml.NewDecoder(strings.NewReader(svg)), false; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inside = token.Name.Local == "text"
		case xml.CharData:
			if inside {
				texts = append(texts, string(token))
			}
		case xml.EndElement:
			inside = false
		}
	}
	if want := []string{"T & U", "a<b", "c"}; !reflect.DeepEqual(texts, want) {
		t.Errorf("texts %q, want %q", texts, want)
	}
	if !strings.Contains(svg, "@keyframes s0{0%{visibility:visible}50%{visibility:hidden}}") {
		t.Errorf("the first take does not end at half time:\n%s", svg)
	}
}
