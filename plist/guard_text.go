package plist

import (
	"bytes"
	"unicode/utf8"
)

// text checks that all input is UTF-8 of characters that XML has.
func (g *xmlGuard) text() error {
	for i := g.pos; i < len(g.data); {
		c := g.data[i]
		if c < utf8.RuneSelf {
			if c < ' ' && !isSpace(c) {
				return malformed(i, "control character")
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(g.data[i:])
		if r == utf8.RuneError && n == 1 {
			return malformed(i, "invalid UTF-8")
		}
		if !isXMLChar(r) {
			return malformed(i, "character that XML does not have")
		}
		i += n
	}
	return nil
}

// isXMLChar reports whether XML 1.0 has the character.
func isXMLChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' ||
		r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= utf8.MaxRune
}

// content takes the text of an element without children, up to the end tag.
// Only strings and keys may have references and CDATA sections.
func (g *xmlGuard) content(el element) error {
	rich := el == elString || el == elKey
	for g.pos < len(g.data) {
		switch c := g.data[g.pos]; {
		case c == '<' && g.at("</"):
			return nil
		case c == '<' && rich && g.at("<![CDATA["):
			if err := g.cdata(); err != nil {
				return err
			}
		case c == '<':
			return malformed(g.pos, "element or comment inside a value")
		case c == '&' && rich:
			if err := g.reference(); err != nil {
				return err
			}
		case c == '&':
			return malformed(g.pos, "reference in a value that is no text")
		case c == ']' && g.at("]]>"):
			return malformed(g.pos, "bare ]]>")
		default:
			g.pos++
		}
	}
	return malformed(g.pos, "unexpected end")
}

func (g *xmlGuard) cdata() error {
	start := g.pos
	if g.count++; g.count > MaxValues {
		return malformed(start, "too many elements")
	}
	n := bytes.Index(g.data[g.pos:], []byte("]]>"))
	if n < 0 {
		return malformed(start, "unfinished CDATA section")
	}
	g.pos += n + len("]]>")
	return nil
}

// reference takes one of XML's five named references or a number.
func (g *xmlGuard) reference() error {
	start := g.pos
	for _, s := range [...]string{"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"} {
		if g.skip(s) {
			return nil
		}
	}
	base := rune(10)
	if !g.skip("&#") {
		return malformed(start, "undefined entity")
	}
	if g.skip("x") {
		base = 16
	}
	r, digits := rune(0), 0
	for ; g.pos < len(g.data) && digits <= 8; g.pos++ {
		d := digit(g.data[g.pos])
		if d >= base {
			break
		}
		if r = r*base + d; r > utf8.MaxRune {
			break
		}
		digits++
	}
	if digits == 0 || !g.skip(";") || !isXMLChar(r) {
		return malformed(start, "bad character reference")
	}
	return nil
}

// digit returns the value of a hexadecimal digit, or 99.
func digit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return 99
}

// at reports whether s comes next.
func (g *xmlGuard) at(s string) bool {
	return len(g.data)-g.pos >= len(s) && string(g.data[g.pos:g.pos+len(s)]) == s
}

// skip takes s if it comes next.
func (g *xmlGuard) skip(s string) bool {
	if !g.at(s) {
		return false
	}
	g.pos += len(s)
	return true
}

func (g *xmlGuard) skipSpace() {
	for g.pos < len(g.data) && isSpace(g.data[g.pos]) {
		g.pos++
	}
}

// name takes a run of lower-case letters, all that element names have, unless
// something follows that could be part of a longer name, such as a prefix's colon.
func (g *xmlGuard) name() []byte {
	start := g.pos
	for g.pos < len(g.data) && g.data[g.pos] >= 'a' && g.data[g.pos] <= 'z' {
		g.pos++
	}
	if g.pos < len(g.data) {
		if c := g.data[g.pos]; c != '>' && c != '/' && !isSpace(c) {
			return nil
		}
	}
	return g.data[start:g.pos]
}
