package main

import (
	"image/color"
	"io"
	"strings"
	"sync"
	"time"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
)

// movie is what was seen on a terminal.
type movie struct {
	cols, rows int
	length     time.Duration // after which it begins anew
	takes      []take        // by the time at which they begin
}

// take is a row of the terminal for as long as it stays the same. Empty ones are
// left out.
type take struct {
	row        int
	pieces     []piece
	begin, end time.Duration
}

// piece is some text of one style, without blanks at its ends.
type piece struct {
	col   int
	text  string
	cells int // how many columns it has
	class string
}

// Times.
const (
	flicker = 60 * time.Millisecond // what is gone after this is not seen
	last    = 4 * time.Second       // for the last screen
)

// film plays prints on a terminal.
func film(prints []print, cols, rows int, idle time.Duration) movie {
	m := movie{cols: cols, rows: rows}
	screen := vt.NewEmulator(cols, rows)
	// What programs ask a terminal is answered to nobody: they have gone. The reader
	// must have ended before the emulator is closed.
	var answers sync.WaitGroup
	answers.Go(func() { _, _ = io.Copy(io.Discard, screen) })
	defer func() {
		if pipe, ok := screen.InputPipe().(io.Closer); ok {
			pipe.Close()
			answers.Wait()
		}
		screen.Close()
	}()
	shown := make([]*take, rows)
	cut := func(at time.Duration) {
		for y := range rows {
			pieces := row(screen, cols, y)
			if old := shown[y]; old != nil {
				if same(old.pieces, pieces) {
					continue
				}
				old.end = at
				m.takes = append(m.takes, *old)
			}
			shown[y] = nil
			if len(pieces) > 0 {
				shown[y] = &take{row: y, pieces: pieces, begin: at}
			}
		}
	}
	for i, p := range prints {
		if i > 0 {
			m.length += min(p.at-prints[i-1].at, idle)
		}
		_, _ = screen.Write(p.text) // never fails
		if i+1 == len(prints) || prints[i+1].at-p.at > flicker {
			cut(m.length)
		}
	}
	m.length += last
	for _, t := range shown {
		if t != nil {
			t.end = m.length
			m.takes = append(m.takes, *t)
		}
	}
	return m
}

func same(a, b []piece) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// row reads a row of the terminal. Two blanks in a row part pieces, too: an SVG
// folds them.
func row(screen *vt.Emulator, cols, y int) (pieces []piece) {
	var r piece
	blanks := 0
	flush := func() {
		if r.text = strings.TrimRight(r.text, " "); r.text != "" {
			r.cells -= blanks
			pieces = append(pieces, r)
		}
		r, blanks = piece{}, 0
	}
	for x := 0; x < cols; {
		c := screen.CellAt(x, y)
		text, width, class := " ", 1, ""
		if c != nil && c.Width > 0 {
			text, width, class = c.Content, c.Width, classOf(c.Style)
		}
		blank := strings.TrimSpace(text) == ""
		switch {
		case r.text == "":
			if !blank {
				r = piece{col: x, class: class}
			}
		case blank && blanks > 0, !blank && class != r.class:
			flush()
			if !blank {
				r = piece{col: x, class: class}
			}
		}
		if r.cells > 0 || !blank {
			r.text += text
			r.cells += width
			if blanks = 0; blank {
				blanks = 1
			}
		}
		x += width
	}
	flush()
	return pieces
}

// classOf names the styles that muxctl and the demo use.
func classOf(s uv.Style) string {
	var names []string
	if s.Attrs&uv.AttrBold != 0 {
		names = append(names, "b")
	}
	if s.Attrs&uv.AttrFaint != 0 {
		names = append(names, "d")
	}
	if n := paletteOf(s.Fg); n != "" {
		names = append(names, n)
	}
	return strings.Join(names, " ")
}

// paletteOf names a colour of the terminal's own palette.
func paletteOf(c color.Color) string {
	switch c {
	case ansi.Red:
		return "r"
	case ansi.Green:
		return "g"
	case ansi.Yellow:
		return "y"
	case ansi.Cyan:
		return "c"
	}
	return ""
}
