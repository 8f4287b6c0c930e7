package plist

// element is an element that a property list may have.
type element uint8

const (
	elNone element = iota
	elPlist
	elDict
	elArray
	elKey
	elString
	elInteger
	elReal
	elDate
	elData
	elTrue
	elFalse
)

// elementOf returns the element called name, or elNone.
func elementOf(name []byte) element {
	switch string(name) { // does not allocate
	case "plist":
		return elPlist
	case "dict":
		return elDict
	case "array":
		return elArray
	case "key":
		return elKey
	case "string":
		return elString
	case "integer":
		return elInteger
	case "real":
		return elReal
	case "date":
		return elDate
	case "data":
		return elData
	case "true":
		return elTrue
	case "false":
		return elFalse
	}
	return elNone
}

// level is an open plist, dict or array.
type level struct {
	el     element
	values int  // complete children, keys aside
	key    bool // a dict's key waits for its value
}

// xmlGuard checks an XML property list against a grammar narrower than XML: what
// it accepts has one reading in every parser. It keeps no text and allocates
// only for an error.
type xmlGuard struct {
	data  []byte
	pos   int
	count int                 // values, keys, comments and CDATA sections so far
	stack [MaxDepth + 1]level // the plist element and MaxDepth containers
	depth int                 // levels in use
}

// document checks [xml declaration] [doctype] plist; comments go anywhere.
func (g *xmlGuard) document() error {
	if err := g.text(); err != nil {
		return err
	}
	if g.at("<?xml") {
		if err := g.declaration(); err != nil {
			return err
		}
	}
	doctype := false
	for {
		if err := g.space(); err != nil {
			return err
		}
		if g.at("<!DOCTYPE") && !doctype {
			doctype = true
			if err := g.doctype(); err != nil {
				return err
			}
			continue
		}
		break
	}
	if err := g.root(); err != nil {
		return err
	}
	if err := g.space(); err != nil {
		return err
	}
	if g.pos < len(g.data) {
		return malformed(g.pos, "content after the end")
	}
	return nil
}

// root checks the plist element with all below it.
func (g *xmlGuard) root() error {
	for {
		if err := g.space(); err != nil {
			return err
		}
		start := g.pos
		var err error
		switch {
		case start == len(g.data):
			return malformed(start, "unexpected end")
		case g.at("</"):
			err = g.endTag()
		case g.at("<"):
			err = g.startTag()
		default:
			return malformed(start, "text between elements")
		}
		if err != nil {
			return err
		}
		if g.depth == 0 {
			return nil
		}
	}
}

// startTag checks a start tag, and of an element without children all of it.
func (g *xmlGuard) startTag() error {
	start := g.pos
	g.pos++
	el := elementOf(g.name())
	if el == elNone {
		return malformed(start, "unknown element")
	}
	if err := g.child(el, start); err != nil {
		return err
	}
	if el == elPlist {
		if err := g.version(); err != nil {
			return err
		}
	}
	g.skipSpace()
	empty := g.skip("/")
	if !g.skip(">") {
		return malformed(g.pos, "attribute or unfinished tag")
	}
	switch el {
	case elPlist, elDict, elArray:
		if g.depth == len(g.stack) {
			return malformed(start, "nesting too deep")
		}
		g.stack[g.depth] = level{el: el}
		g.depth++
		if empty {
			return g.pop(start)
		}
		return nil
	}
	content := g.data[g.pos:g.pos]
	at := g.pos
	if !empty {
		if err := g.content(el); err != nil {
			return err
		}
		content = g.data[at:g.pos]
		if err := g.closing(el); err != nil {
			return err
		}
	}
	return checkScalar(el, content, at)
}

// child checks that el may come next in the open element.
func (g *xmlGuard) child(el element, at int) error {
	if g.depth == 0 {
		if el != elPlist {
			return malformed(at, "root element is not plist")
		}
		return nil
	}
	if g.count++; g.count > MaxValues {
		return malformed(at, "too many elements")
	}
	l := &g.stack[g.depth-1]
	switch {
	case el == elPlist:
		return malformed(at, "plist inside plist")
	case l.el == elPlist && l.values > 0:
		return malformed(at, "second value in plist")
	case l.el == elDict && el == elKey && l.key:
		return malformed(at, "key without a value")
	case l.el == elDict && el == elKey:
		l.key = true
		return nil
	case l.el == elDict && !l.key:
		return malformed(at, "value without a key")
	case el == elKey:
		return malformed(at, "key outside of a dict")
	}
	l.key = false
	l.values++
	return nil
}

// endTag checks the end tag of the open container.
func (g *xmlGuard) endTag() error {
	start := g.pos
	if g.depth == 0 {
		return malformed(start, "end tag without start")
	}
	if err := g.closing(g.stack[g.depth-1].el); err != nil {
		return err
	}
	return g.pop(start)
}

// closing takes the end tag of el.
func (g *xmlGuard) closing(el element) error {
	start := g.pos
	if !g.skip("</") || elementOf(g.name()) != el {
		return malformed(start, "wrong end tag")
	}
	g.skipSpace()
	if !g.skip(">") {
		return malformed(start, "unfinished end tag")
	}
	return nil
}

// pop closes the innermost container.
func (g *xmlGuard) pop(at int) error {
	g.depth--
	switch l := g.stack[g.depth]; {
	case l.key:
		return malformed(at, "key without a value")
	case l.el == elPlist && l.values == 0:
		return malformed(at, "no value in plist")
	}
	return nil
}
