package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gomuxd/control"
	"gomuxd/control/observer"
)

// maxName is how many characters are shown of a name that a phone gives.
const maxName = 48

// printable is s on a terminal: whatever a phone calls itself, no escape
// sequence and no invisible character comes through. Line feeds stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case unicode.Is(unicode.Cf, r), r == 0xfe0e, r == 0xfe0f: // joiners, directions, emoji variants
			return -1
		case !unicode.IsPrint(r):
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// oneLine is printable without line feeds.
func oneLine(s string) string {
	return strings.Join(strings.Fields(printable(s)), " ")
}

// runeWidth is how many columns a terminal gives a character.
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1f64f, r >= 0x1f680 && r <= 0x1f6ff, r >= 0x1f900 && r <= 0x1f9ff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

func width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// cut is s in at most n columns.
func cut(s string, n int) string {
	if width(s) <= n {
		return s
	}
	if n <= 0 {
		return ""
	}
	used := 0
	for i, r := range s {
		if used += runeWidth(r); used > n-1 {
			return strings.TrimRight(s[:i], " ") + "…"
		}
	}
	return s
}

// pad fills s up to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-width(s)))
}

// wrap breaks a text into lines of at most n columns; what has no space to break
// at is cut in two.
func wrap(s string, n int) []string {
	n = max(n, 8)
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(s) {
		if line != "" && used+1+width(word) > n {
			lines = append(lines, line)
			line, used = "", 0
		}
		for width(word) > n {
			i, w := 0, 0
			for i < len(word) {
				r, size := utf8.DecodeRuneInString(word[i:])
				if w += runeWidth(r); w > n {
					break
				}
				i += size
			}
			lines = append(lines, word[:i])
			word = word[i:]
		}
		if line != "" {
			line += " "
			used++
		}
		line += word
		used += width(word)
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// style is how a command writes to a terminal.
type style struct {
	width int
	color bool
}

const defaultWidth = 100

func (a *app) style() style {
	s := style{width: a.columns(a.stdout)}
	if s.width <= 0 {
		if n, err := strconv.Atoi(a.env("COLUMNS")); err == nil && n > 0 {
			s.width = n
		}
	}
	if s.width <= 0 {
		s.width = defaultWidth
	}
	s.width = min(max(s.width, 20), 400)
	s.color = !a.noColor && a.env("NO_COLOR") == "" &&
		(forced(a.env("CLICOLOR_FORCE")) || a.env("TERM") != "dumb" && a.isTerminal(a.stdout))
	return s
}

// forced reads CLICOLOR_FORCE, by which pagers and watch(1) ask for colour in a
// pipe. Source: bixense.com/clicolors.
func forced(v string) bool { return v != "" && v != "0" }

// Colours, of the terminal's own palette.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	dim    = "2"
)

func (s style) paint(code, text string) string {
	if !s.color || text == "" || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// hue is the colour of a trust state.
func hue(state string) string {
	switch observer.StandingOf(state) {
	case observer.Ready:
		return green
	case observer.Person:
		return yellow
	case observer.Pending:
		return dim
	}
	return red
}

// bytesText is a size as Apple counts: 128 GB is 128e9 bytes.
func bytesText(n uint64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1000, 0
	for v >= 999.5 && i < len(units)-1 {
		v /= 1000
		i++
	}
	if v < 9.95 && i < 2 {
		return fmt.Sprintf("%.1f %cB", v, units[i])
	}
	return fmt.Sprintf("%.0f %cB", v, units[i])
}

func speedText(n uint64) string {
	switch {
	case n >= 1e9:
		return strconv.FormatFloat(float64(n)/1e9, 'g', 3, 64) + " Gb/s"
	case n > 0:
		return strconv.FormatFloat(float64(n)/1e6, 'g', 3, 64) + " Mb/s"
	}
	return ""
}

// ago is a duration in the largest unit that says something.
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < 2*time.Minute:
		return fmt.Sprintf("for %d seconds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("for %d minutes", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("for %d hours", d/time.Hour)
	}
	return fmt.Sprintf("for %d days", d/(24*time.Hour))
}

func days(n int) string {
	switch n {
	case 0:
		return "today"
	case 1:
		return "in about 1 day"
	}
	if n < 0 {
		return "any time now"
	}
	return fmt.Sprintf("in about %d days", n)
}

// forJSON has a time that is not known be null, where the types of package
// control have no way to say so. A daemon without a control socket gives none.
func forJSON(v any) any {
	switch v := v.(type) {
	case []control.Device:
		all := make([]any, len(v))
		for i, d := range v {
			all[i] = forJSON(d)
		}
		return all
	case control.Device:
		if v.Since.IsZero() {
			return struct {
				control.Device
				Since *time.Time `json:"since"`
			}{Device: v}
		}
	case control.Record:
		if v.Saved.IsZero() {
			return struct {
				control.Record
				Saved *time.Time `json:"saved"`
			}{Record: v}
		}
	}
	return v
}

// printJSON prints a value for programs.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(forJSON(v))
}

// printLine prints a value as one line of JSON.
func (a *app) printLine(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
