package doctor

import (
	"bytes"
	"cmp"
	"io"
	"strings"
	"unicode"
)

// Style is how Render writes.
type Style struct {
	Width int  // columns; 80 if 0, at least 40
	Color bool // ANSI colours
}

const (
	defaultWidth = 80
	minWidth     = 40
	maxWidth     = 120 // longer lines are hard to read
)

// marks and colours of results. Marks are words, so that nothing hangs on
// colour or on a font.
var marks = map[Result]struct{ word, color string }{
	OK:      {"ok", "\x1b[32m"},
	Note:    {"note", "\x1b[33m"},
	Problem: {"PROBLEM", "\x1b[1;31m"},
	Unknown: {"unknown", "\x1b[36m"},
}

// evidences as they are shown; what was seen needs no word.
var evidences = map[Evidence]string{
	Inferred:   " (inferred)",
	CannotTell: " (cannot tell)",
}

const (
	reset  = "\x1b[0m"
	bold   = "\x1b[1m"
	margin = len("PROBLEM") + 2
)

// Render writes a report for a person.
func Render(w io.Writer, r Report, s Style) error {
	s.Width = min(max(cmp.Or(s.Width, defaultWidth), minWidth), maxWidth)
	p := &printer{Style: s}
	first, several := "", false
	for _, c := range r.Checks {
		first = cmp.Or(first, c.Device)
		several = several || c.Device != "" && c.Device != first
	}
	for _, c := range r.Checks {
		p.check(c, several)
	}
	p.b.WriteByte('\n')
	p.heading("Verdict")
	p.wrap("", clean(r.Verdict, 3*maxText), 2)
	if len(r.Remedies) > 0 {
		p.b.WriteByte('\n')
		p.heading("What helps, cheapest first")
		for i, m := range r.Remedies {
			p.remedy(i+1, m)
		}
	}
	_, err := w.Write(p.b.Bytes())
	return err
}

// printer lays out text.
type printer struct {
	Style
	b bytes.Buffer
}

func (p *printer) check(c Check, several bool) {
	mark, known := marks[c.Result]
	if !known {
		mark = marks[Unknown]
	}
	p.b.WriteString(p.paint(mark.color, mark.word))
	p.b.WriteString(strings.Repeat(" ", margin-len(mark.word)))
	title := clean(c.Title, maxName)
	if several && c.Device != "" {
		title += ", " + clean(c.Device, 2*maxName)
	}
	p.wrapFrom(margin, "", title+": "+clean(c.Found, maxText)+evidences[c.Evidence], margin)
	if means := clean(c.Means, maxText); means != "" {
		p.wrap("", means, margin)
	}
	if do := clean(c.Do, maxText); do != "" {
		p.wrap("→ ", do, margin)
	}
}

func (p *printer) heading(s string) {
	p.b.WriteString(p.paint(bold, s))
	p.b.WriteByte('\n')
}

func (p *printer) paint(color, s string) string {
	if !p.Color {
		return s
	}
	return color + s + reset
}

// wrap writes a paragraph, each line of it indented. lead comes first.
func (p *printer) wrap(lead, text string, indent int) {
	p.b.WriteString(strings.Repeat(" ", indent))
	p.wrapFrom(indent, lead, text, indent+columns(lead))
}

// wrapFrom writes a paragraph that begins at a column with lead; the lines after
// the first are indented.
func (p *printer) wrapFrom(at int, lead, text string, indent int) {
	at += columns(lead)
	p.b.WriteString(strings.TrimSuffix(lead, " "))
	space := strings.HasSuffix(lead, " ")
	for word := range strings.FieldsSeq(text) {
		n := columns(word)
		switch {
		case at+n > p.Width && at > indent:
			p.b.WriteByte('\n')
			p.b.WriteString(strings.Repeat(" ", indent))
			at, space = indent, false
		case space:
			p.b.WriteByte(' ')
		}
		at, space = p.word(word, at, indent), true
		at++
	}
	p.b.WriteByte('\n')
}

// word writes one word, cut where a line is full, and returns the column after it.
func (p *printer) word(word string, at, indent int) int {
	for _, r := range word {
		n := runeColumns(r)
		if at+n > p.Width {
			p.b.WriteByte('\n')
			p.b.WriteString(strings.Repeat(" ", indent))
			at = indent
		}
		p.b.WriteRune(r)
		at += n
	}
	return at
}

// columns is how wide a text is on a terminal.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// runeColumns is how wide a character is: those of East Asia and most pictures
// are two columns, marks none. Roughly Unicode Standard Annex 11.
func runeColumns(r rune) int {
	switch {
	case unicode.Is(unicode.M, r):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60,
		r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
