package doctor

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName = 64   // runes of a foreign name
	maxText = 1000 // runes of any text in a report
)

// clean makes foreign text fit for a terminal: at most limit runes in one line,
// without control and format characters (which may turn the direction of
// writing), invalid UTF-8, or more than two combining marks on a letter.
func clean(s string, limit int) string {
	var b strings.Builder
	n, marks, space := 0, 0, false
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == '\n' || r == '\t' || r == '\r' || unicode.Is(unicode.Z, r):
			space = b.Len() > 0
			continue
		case r == utf8.RuneError || !unicode.IsGraphic(r):
			r = '?'
		}
		if unicode.Is(unicode.M, r) {
			if marks++; marks > 2 || b.Len() == 0 {
				continue
			}
		} else {
			marks = 0
		}
		if n >= limit {
			return b.String() + "…"
		}
		if space {
			b.WriteByte(' ')
			n++
			space = false
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// name is a foreign name in a sentence.
func name(s string) string { return clean(s, maxName) }

// path is a file's name in a sentence.
func path(s string) string { return clean(s, 200) }

// sentence ends a text with a full stop.
func sentence(s string) string {
	if s = strings.TrimSpace(s); s == "" || strings.ContainsAny(s[len(s)-1:], ".!?") {
		return s
	}
	return s + "."
}

// speedText says a speed as people do.
func speedText(bits uint64) string {
	switch {
	case bits == 0:
		return "unknown speed"
	case bits < 1e9:
		return fmt.Sprintf("%g Mbit/s", float64(bits)/1e6)
	}
	return fmt.Sprintf("%g Gbit/s", float64(bits)/1e9)
}

// sizeText says a number of bytes as people do.
func sizeText(n uint64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	f, u := float64(n), 0
	for f >= 999.5 && u < len(units)-1 { // else %.3g would show an exponent
		f, u = f/1024, u+1
	}
	return fmt.Sprintf("%.3g %s", f, units[u])
}

// list joins at most five words.
func list(words []string) string {
	const most = 5
	cut := words[:min(len(words), most)]
	names := make([]string, len(cut))
	for i, w := range cut {
		names[i] = path(w)
	}
	s := strings.Join(names, ", ")
	if more := len(words) - len(cut); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// String names a process: "usbmuxd (pid 812, /usr/sbin/usbmuxd)".
func (p Process) String() string {
	program := name(p.Program)
	if program == "" {
		program = "a program"
	}
	if p.Path != "" {
		return fmt.Sprintf("%s (pid %d, %s)", program, p.PID, path(p.Path))
	}
	return fmt.Sprintf("%s (pid %d)", program, p.PID)
}

// permissions shows owner and mode of a file: "root:root, crw-rw-r--". kind is
// the letter of its type.
func (n Node) permissions(kind string) string {
	mode := []byte(kind + "rwxrwxrwx")
	for i := range 9 {
		if n.Mode&(1<<(8-i)) == 0 {
			mode[len(kind)+i] = '-'
		}
	}
	return name(n.Owner) + ", " + string(mode)
}
