// Package redact takes out of texts for bug reports what tells who somebody is:
// UDIDs, serial numbers, network addresses, host ids, names of phones and
// persons, home directories. Each becomes a token such as <udid-1>, the same
// thing always the same one, so that a report still shows what belongs together.
//
// What shows by its form is found by it; the rest has to be learnt first.
package redact

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Redactor replaces secrets by tokens. All that is secret is to be learnt before
// the first text. It belongs to one goroutine.
type Redactor struct {
	spell  func(string) []string
	tokens map[string]string // by kind and what is alike of a secret
	count  map[string]int    // tokens of a kind
	known  []secret          // without a form of their own, longest first
	asked  []secret          // what was asked for, which may be part of others
}

// secret is a text that is known to be one.
type secret struct{ text, token string }

// New returns a Redactor that knows no secret yet. spell lists how else a text
// may be written in what is to be redacted, such as cut to a length; it may be
// nil.
func New(spell func(string) []string) *Redactor {
	if spell == nil {
		spell = func(string) []string { return nil }
	}
	return &Redactor{spell: spell, tokens: make(map[string]string), count: make(map[string]int)}
}

// patterns are secrets that show by their form. Order matters: what is longer
// comes first.
var patterns = []struct {
	kind string
	form *regexp.Regexp
}{
	{"id", regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)},
	{"udid", regexp.MustCompile(`(?i)\b(?:[0-9a-f]{40}|[0-9a-f]{8}-?[0-9a-f]{16})\b`)},
	{"mac", regexp.MustCompile(`(?i)\b[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\b`)},
	{"serial", regexp.MustCompile(`(?i)\b(?:ECID|SRNM|IMEI|SRTG|NONC|SNON|MEID):\[?[^\s\]\x{FFFD}]+\]?`)},
	{"ip", regexp.MustCompile(`(?i)\bfe80::[0-9a-f:%a-z0-9]+`)},
	{"home", regexp.MustCompile(`/(?:home|Users)/[^/\s"',:;)\x{FFFD}]+`)},
	{"home", regexp.MustCompile(`/run/user/[0-9]+`)},
}

// HasForm reports whether a text as a whole shows by its form that it is a
// secret.
func HasForm(s string) bool {
	for _, p := range patterns {
		if found := p.form.FindString(s); found != "" && found == s {
			return true
		}
	}
	return false
}

// plainNames are what phones are called that nobody has named, and users that
// are nobody's names.
var plainNames = []string{"iphone", "ipad", "ipod", "ipod touch", "apple watch", "apple tv", "apple vision pro", "homepod"}

var systemUsers = []string{"root", "usbmux", "usbmuxd", "gomuxd", "plugdev", "daemon", "nobody", "nogroup", "wheel", "users", "systemd-network", "input", "dialout"}

// Name learns what a phone is called, and the person whom that gives away.
func (r *Redactor) Name(name string) {
	if slices.Contains(plainNames, strings.ToLower(strings.TrimSpace(name))) {
		return
	}
	r.Learn("name", name)
	for _, mark := range []string{"'s ", "’s ", "' ", "’ "} {
		if person, _, ok := strings.Cut(name, mark); ok {
			r.Learn("name", person)
		}
	}
	for _, mark := range []string{" von ", " de ", " di ", " van ", " från ", " fra "} {
		if _, person, ok := strings.Cut(name, mark); ok {
			r.Learn("name", person)
		}
	}
}

// Asked learns a name that somebody has typed and that may be a part of other
// secrets: those are looked for first.
func (r *Redactor) Asked(name string) {
	known := r.known
	r.known = r.asked
	r.Name(name)
	r.known, r.asked = known, r.known
}

// Owner learns the user and the group of a file's owner, "anna:users".
func (r *Redactor) Owner(owner string) {
	for p := range strings.SplitSeq(owner, ":") {
		if p != "" && !slices.Contains(systemUsers, p) && !isNumber(p) {
			r.Learn("user", p)
		}
	}
}

func isNumber(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// Learn notes a secret of a kind, which becomes part of the token. White space
// is none.
func (r *Redactor) Learn(kind, text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	token := r.token(kind, text)
	if HasForm(text) {
		return // found by it
	}
	forms := []string{strings.ToValidUTF8(text, "\uFFFD"), strings.ReplaceAll(text, "-", "")}
	for _, form := range append(forms, r.spell(text)...) {
		form = strings.ToValidUTF8(strings.TrimSuffix(form, "…"), "\uFFFD")
		if strings.Trim(form, " ?") != "" && !slices.Contains(r.known, secret{form, token}) {
			r.known = append(r.known, secret{form, token})
		}
	}
	slices.SortStableFunc(r.known, func(a, b secret) int { return cmp.Compare(len(b.text), len(a.text)) })
}

// token gives the token of a secret. Spellings of one thing have one token.
func (r *Redactor) token(kind, text string) string {
	key := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(text), "-", ""))
	if t, ok := r.tokens[key]; ok {
		return t
	}
	r.count[kind]++
	t := fmt.Sprintf("<%s-%d>", kind, r.count[kind])
	r.tokens[key] = t
	return t
}

// Text replaces every secret in a text. What is no UTF-8 in it becomes U+FFFD.
func (r *Redactor) Text(in string) string {
	// Tokens are put in last, so that a secret that is part of one, as of a phone
	// called "name", breaks none. Until then a number in bytes that are no UTF-8,
	// so that no secret can be part of it, stands in a token's place.
	var put []string
	mark := func(token string) string {
		put = append(put, token)
		return standIn(len(put) - 1)
	}
	out := strings.ToValidUTF8(in, "\uFFFD")
	for _, k := range r.known {
		out = replaceWords(out, k.text, func() string { return mark(k.token) })
	}
	for _, p := range patterns {
		out = p.form.ReplaceAllStringFunc(out, func(found string) string { return mark(r.token(p.kind, found)) })
	}
	for _, k := range r.asked {
		out = replaceWords(out, k.text, func() string { return mark(k.token) })
	}
	for i, token := range put {
		out = strings.ReplaceAll(out, standIn(i), token)
	}
	return out
}

// standIn is the number of a token in bytes that are no UTF-8.
func standIn(n int) string {
	b := []byte{0xff}
	for _, digit := range []byte(strconv.Itoa(n)) {
		b = append(b, digit-'0'|0x80)
	}
	return string(append(b, 0xfe))
}

// replaceWords replaces what is no part of a longer word, in either case.
func replaceWords(s, word string, with func() string) string {
	if len(word) > len(s) {
		return s
	}
	var b strings.Builder
	for at := 0; at < len(s); {
		if at+len(word) <= len(s) && strings.EqualFold(s[at:at+len(word)], word) && edge(s[:at], word, true) && edge(s[at+len(word):], word, false) {
			b.WriteString(with())
			at += len(word)
			continue
		}
		_, n := utf8.DecodeRuneInString(s[at:])
		b.WriteString(s[at : at+n])
		at += n
	}
	return b.String()
}

// edge reports whether a word ends where rest begins, or begins where it ends.
func edge(rest, word string, before bool) bool {
	next := utf8.DecodeRuneInString
	last := utf8.DecodeLastRuneInString
	if before {
		next, last = last, next
	}
	r, n := next(rest)
	own, _ := last(word)
	letter := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	return n == 0 || !letter(own) || !letter(r)
}
