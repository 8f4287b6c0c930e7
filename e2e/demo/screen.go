package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Layout, in columns.
const (
	maxWidth     = 100
	defaultWidth = maxWidth
	indent       = 2 // of what is said and typed
	outputIndent = 4 // of what programs print
)

// screen is where the story is told.
type screen struct {
	w     io.Writer
	width int
	live  bool // a terminal: lines can be drawn anew
	color bool
	slow  bool // for people who read along
}

func newScreen(slow bool) *screen {
	s := &screen{w: os.Stdout, width: defaultWidth, slow: slow}
	fd := int(os.Stdout.Fd())
	s.live = term.IsTerminal(fd) && os.Getenv("TERM") != "dumb"
	if w, _, err := term.GetSize(fd); err == nil && w > 0 {
		s.width = min(w, maxWidth)
	}
	s.color = s.live && os.Getenv("NO_COLOR") == ""
	return s
}

// Colours, of the terminal's own palette.
const (
	bold  = "1"
	dim   = "2"
	green = "32"
	cyan  = "36"
)

func (s *screen) paint(code, text string) string {
	if !s.color || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) line(text string) { fmt.Fprintln(s.w, text) }

// paragraph prints words, wrapped.
func (s *screen) paragraph(code, words string) {
	for _, l := range wrap(words, s.width-indent) {
		s.line(strings.Repeat(" ", indent) + s.paint(code, l))
	}
}

// wrap breaks words into lines of at most n columns.
func wrap(words string, n int) (lines []string) {
	line := ""
	for _, w := range strings.Fields(words) {
		if line != "" && len([]rune(line))+1+len([]rune(w)) > n {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + w)
	}
	return append(lines, line)
}

// chapter begins a step: in slow motion on a clean screen.
func (s *screen) chapter(n int, title string) {
	if s.slow && s.live {
		fmt.Fprint(s.w, "\x1b[H\x1b[2J")
	} else {
		s.line("")
	}
	s.line(s.paint(bold, fmt.Sprintf("%d. %s", n, title)))
}

// typed shows a command as a person types it.
func (s *screen) typed(command string) {
	s.line(strings.Repeat(" ", indent) + s.paint(green, "$") + " " + s.paint(bold, command))
}

// printed shows a line that a program prints. Those that know no width are
// wrapped.
func (s *screen) printed(line string) {
	lines := []string{line}
	if n := s.width - outputIndent; !strings.Contains(line, "\x1b") && len([]rune(line)) > n {
		lines = wrap(line, n)
	}
	for _, l := range lines {
		s.line(strings.TrimRight(strings.Repeat(" ", outputIndent)+l, " "))
	}
}

// plain is a text without colours and line breaks, for comparison.
func plain(text string) string {
	var b strings.Builder
	for text != "" {
		before, after, found := strings.Cut(text, "\x1b[")
		b.WriteString(before)
		if text = after; found {
			_, text, _ = strings.Cut(after, "m") // there are only colours
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// bar draws the progress of a transfer on one line.
type bar struct {
	*screen
	title string
	total int64
	start time.Time
	done  int64
	drawn int64
}

func (s *screen) bar(title string, total int64) *bar {
	return &bar{screen: s, title: title, total: total, start: time.Now()}
}

// Write implements io.Writer, to count what goes by.
func (b *bar) Write(p []byte) (int, error) {
	b.done += int64(len(p))
	if b.done == b.total || b.live && b.done-b.drawn >= b.total/20 {
		b.drawn = b.done
		const width = 32
		full := int(b.done * width / b.total)
		rate := float64(b.done) / (1 << 20) / time.Since(b.start).Seconds()
		again := ""
		if b.live {
			again = "\r"
		}
		fmt.Fprintf(b.w, "%s    %-15s %s%s %3d %% %6.0f MiB/s", again, b.title,
			b.paint(green, strings.Repeat("#", full)), b.paint(dim, strings.Repeat(".", width-full)), b.done*100/b.total, rate)
		if b.done == b.total {
			b.line("")
		}
	}
	return len(p), nil
}
