package plist

import "bytes"

// space takes white space and comments.
func (g *xmlGuard) space() error {
	for {
		g.skipSpace()
		if !g.at("<!--") {
			return nil
		}
		start := g.pos
		if g.count++; g.count > MaxValues {
			return malformed(start, "too many elements")
		}
		g.pos += len("<!--")
		n := bytes.Index(g.data[g.pos:], []byte("--"))
		if n < 0 {
			return malformed(start, "unfinished comment")
		}
		g.pos += n
		if !g.skip("-->") {
			return malformed(g.pos, "-- inside a comment")
		}
	}
}

// declaration takes <?xml version="1.0" encoding="UTF-8"?>. No other processing
// instruction is known.
func (g *xmlGuard) declaration() error {
	start := g.pos
	g.pos += len("<?xml")
	n := bytes.Index(g.data[g.pos:], []byte("?>"))
	if n < 0 {
		return malformed(start, "unfinished XML declaration")
	}
	end := g.pos + n
	last := 0 // attributes come in this order, each once
	for {
		had := g.pos
		g.skipSpace()
		if g.pos == end {
			break
		}
		if g.pos == had {
			return malformed(g.pos, "bad XML declaration")
		}
		which := 0
		switch {
		case g.skip("version"):
			which = 1
		case g.skip("encoding"):
			which = 2
		case g.skip("standalone"):
			which = 3
		}
		value, ok := g.attribute()
		switch {
		case !ok || which <= last || g.pos > end:
			return malformed(g.pos, "bad XML declaration")
		case which == 1 && string(value) != "1.0":
			return malformed(g.pos, "XML version is not 1.0")
		case which == 2 && !bytes.EqualFold(value, []byte("utf-8")):
			return malformed(g.pos, "encoding is not UTF-8")
		}
		last = which
	}
	g.pos = end + len("?>")
	if last == 0 {
		return malformed(start, "bad XML declaration")
	}
	return nil
}

// doctype takes a document type without internal subset, so without entities.
func (g *xmlGuard) doctype() error {
	start := g.pos
	g.pos += len("<!DOCTYPE")
	var quote byte
	for ; g.pos < len(g.data); g.pos++ {
		switch c := g.data[g.pos]; {
		case c == '<' || c == '[' || c == '&' || c == '%':
			return malformed(g.pos, "declaration in the document type")
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			g.pos++
			return nil
		}
	}
	return malformed(start, "unfinished document type")
}

// version takes the plist element's only attribute, if it is there.
func (g *xmlGuard) version() error {
	g.skipSpace()
	if !g.skip("version") {
		return nil
	}
	if _, ok := g.attribute(); !ok {
		return malformed(g.pos, "bad attribute")
	}
	return nil
}

// attribute takes ="value" and returns the value.
func (g *xmlGuard) attribute() (value []byte, ok bool) {
	g.skipSpace()
	if !g.skip("=") {
		return nil, false
	}
	g.skipSpace()
	if g.pos == len(g.data) {
		return nil, false
	}
	quote := g.data[g.pos]
	if quote != '"' && quote != '\'' {
		return nil, false
	}
	g.pos++
	start := g.pos
	for ; g.pos < len(g.data); g.pos++ {
		switch g.data[g.pos] {
		case quote:
			value = g.data[start:g.pos]
			g.pos++
			return value, true
		case '<', '>', '&', '?':
			return nil, false
		}
	}
	return nil, false
}
