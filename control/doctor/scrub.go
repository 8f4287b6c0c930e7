package doctor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// WriteReport writes facts and report for a bug report. UDIDs, serial numbers,
// network addresses, host ids, names of phones and persons and home directories
// are replaced by tokens, the same thing always by the same token.
func WriteReport(w io.Writer, f Facts, r Report) error {
	s := newScrubber(&f)
	cleanFacts, err := scrub(s, f)
	if err != nil {
		return fmt.Errorf("bug report: %w", err)
	}
	cleanReport, err := scrub(s, r)
	if err != nil {
		return fmt.Errorf("bug report: %w", err)
	}
	if _, err := io.WriteString(w, "Report of muxctl doctor. UDIDs, serial numbers, addresses, host ids and names are replaced by tokens such as <udid-1>.\n\n"); err != nil {
		return err
	}
	if err := Render(w, cleanReport, Style{Width: 100}); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "\nFacts:\n"); err != nil {
		return err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // tokens have angle brackets
	enc.SetIndent("", "  ")
	if err := enc.Encode(cleanFacts); err != nil {
		return fmt.Errorf("bug report: %w", err)
	}
	_, err = io.WriteString(w, visible(b.String()))
	return err
}

// visible escapes in JSON what JSON allows and terminals should not get.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || unicode.IsGraphic(r):
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// scrub returns a copy of v in which every text is scrubbed.
func scrub[T any](s *scrubber, v T) (T, error) {
	var clean T
	b, err := json.Marshal(v)
	if err != nil {
		return clean, err
	}
	var tree any
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		return clean, err
	}
	if b, err = json.Marshal(s.walk(tree)); err != nil {
		return clean, err
	}
	err = json.Unmarshal(b, &clean)
	return clean, err
}

func (s *scrubber) walk(v any) any {
	switch v := v.(type) {
	case string:
		return s.text(v)
	case []any:
		for i := range v {
			v[i] = s.walk(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = s.walk(v[k])
		}
	}
	return v
}

// scrubber replaces secrets by tokens.
type scrubber struct {
	tokens map[string]string // by kind and what is alike of a secret
	count  map[string]int    // tokens of a kind
	known  []secret          // without a form of their own, longest first
	asked  []secret          // what was asked for, which may be part of others
}

// secret is a text that is known to be one.
type secret struct{ text, token string }

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

// portForm is how a port path looks, which is no secret.
var portForm = regexp.MustCompile(`^[0-9]{1,3}-[0-9]{1,3}(\.[0-9]{1,3})*$`)

// newScrubber learns the secrets that have no form of their own.
func newScrubber(f *Facts) *scrubber {
	s := &scrubber{tokens: make(map[string]string), count: make(map[string]int)}
	for _, d := range f.USB {
		kind := "serial"
		if hasForm(d.Serial) {
			kind = "udid"
		}
		s.learn(kind, d.Serial)
	}
	for _, udid := range slices.Concat(f.Socket.Devices, f.Records.Files, f.Records.Wide) {
		s.learn("udid", udid)
	}
	s.learn("id", f.Socket.BUID)
	for _, n := range []Node{f.Socket.Node, f.Control.Node, f.Records.Node} {
		s.person(n.Owner)
	}
	for _, d := range f.USB {
		s.person(d.Node.Owner)
	}
	if d := f.Daemon; d != nil {
		s.learn("id", d.BUID)
		s.person(d.RecordDirOwner)
		for _, v := range d.Devices {
			if v.UDID != nil {
				s.learn("udid", *v.UDID)
			}
			s.name(v.Name)
		}
		for _, r := range d.Records {
			s.learn("udid", r.UDID)
			s.learn("id", r.HostID)
			s.learn("id", r.SystemBUID)
			s.learn("mac", r.WiFiAddress)
		}
	}
	known := s.known
	if s.known = nil; !portForm.MatchString(f.Device) {
		s.name(f.Device)
	}
	s.known, s.asked = known, s.known
	for _, list := range [][]secret{s.known, s.asked} {
		slices.SortStableFunc(list, func(a, b secret) int { return cmp.Compare(len(b.text), len(a.text)) })
	}
	return s
}

// hasForm reports whether a text shows by its form that it is a secret.
func hasForm(s string) bool {
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

func (s *scrubber) name(name string) {
	if slices.Contains(plainNames, strings.ToLower(strings.TrimSpace(name))) {
		return
	}
	s.learn("name", name)
	// A name that belongs to somebody gives the person away, too.
	for _, mark := range []string{"'s ", "’s ", "' ", "’ "} {
		if person, _, ok := strings.Cut(name, mark); ok {
			s.learn("name", person)
		}
	}
	for _, mark := range []string{" von ", " de ", " di ", " van ", " från ", " fra "} {
		if _, person, ok := strings.Cut(name, mark); ok {
			s.learn("name", person)
		}
	}
}

// person learns the user and the group of a file's owner, "anna:users".
func (s *scrubber) person(owner string) {
	for p := range strings.SplitSeq(owner, ":") {
		if p != "" && !slices.Contains(systemUsers, p) && !isNumber(p) {
			s.learn("user", p)
		}
	}
}

func isNumber(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// learn notes a secret, as it is and as a report shows it.
func (s *scrubber) learn(kind, text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	token := s.token(kind, text)
	if hasForm(text) {
		return // found by it
	}
	for _, form := range []string{strings.ToValidUTF8(text, "\uFFFD"), name(text), path(text), strings.ReplaceAll(text, "-", "")} {
		form = strings.ToValidUTF8(strings.TrimSuffix(form, "…"), "\uFFFD")
		if strings.Trim(form, " ?") != "" && !slices.Contains(s.known, secret{form, token}) {
			s.known = append(s.known, secret{form, token})
		}
	}
}

// token gives the token of a secret. Spellings of one thing have one token.
func (s *scrubber) token(kind, text string) string {
	key := plain(strings.TrimSpace(text))
	if t, ok := s.tokens[key]; ok {
		return t
	}
	s.count[kind]++
	t := fmt.Sprintf("<%s-%d>", kind, s.count[kind])
	s.tokens[key] = t
	return t
}

// text replaces every secret in a text.
func (s *scrubber) text(in string) string {
	// Tokens are put in last, so that a secret that is part of one, as of a phone
	// called "name", breaks none. Until then a number in bytes that are no UTF-8,
	// so that no secret can be part of it, stands in a token's place.
	var put []string
	mark := func(token string) string {
		put = append(put, token)
		return standIn(len(put) - 1)
	}
	out := strings.ToValidUTF8(in, "\uFFFD")
	for _, k := range s.known {
		out = replaceWords(out, k.text, func() string { return mark(k.token) })
	}
	for _, p := range patterns {
		out = p.form.ReplaceAllStringFunc(out, func(found string) string { return mark(s.token(p.kind, found)) })
	}
	for _, k := range s.asked {
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
