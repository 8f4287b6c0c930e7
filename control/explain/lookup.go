package explain

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	maxQuery  = 4096 // bytes of a pasted text that are read
	maxWords  = 6    // of a name that is written apart: "pairing dialog response pending"
	maxResult = 999  // no Result is larger, and no lockdown error is below its negative
)

// byName finds entries by folded names and aliases.
var byName = index()

func index() map[string][]int {
	m := make(map[string][]int)
	put := func(name string, i int) {
		if f := fold(name); !slices.Contains(m[f], i) {
			m[f] = append(m[f], i)
		}
	}
	for i, e := range catalogue {
		for _, name := range append([]string{e.Name}, e.aliases...) {
			put(name, i)
			switch e.Family {
			case FamilyLockdown:
				put(name+"Error", i) // as Python's exceptions are called
			case FamilyMobileDevice:
				put(strings.TrimPrefix(name, "k"), i)
			}
		}
	}
	return m
}

// cPrefix is what lockdown's names have before them in C.
const cPrefix = "LOCKDOWN_E_"

// fold makes names comparable that differ in case and in how words are joined.
func fold(s string) string {
	if len(s) > len(cPrefix) && strings.EqualFold(s[:len(cPrefix)], cPrefix) {
		s = s[len(cPrefix):]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// phrases are what idevicepair prints in place of some names.
var phrases = []struct{ text, name string }{
	{"because a passcode is set", "PasswordProtected"},
	{"denied the trust dialog", "UserDeniedPairing"},
	{"accept the trust dialog", "PairingDialogResponsePending"},
	{"is not paired with this host", "InvalidHostID"},
	{"pairing is not possible over this connection", "PairingProhibitedOverThisConnection"},
}

// Lookup finds what a query may mean. A query is a name in any case, a number
// with or without its sign, a code of Apple's in hexadecimal or decimal, "Result
// 3", or a whole line of a log. What several families know comes several times,
// what nobody knows gives none.
func Lookup(query string) []Entry {
	query = clip(query)
	var f finder
	words := split(query)
	switch ids := byName[fold(query)]; {
	case len(ids) > 0 && fold(query) != "":
		f.add(ids...)
	case len(words) == 1 && f.number(words[0], hintAny):
	default:
		f.line(words)
		for _, p := range phrases {
			if strings.Contains(strings.ToLower(query), p.text) {
				f.add(byName[fold(p.name)]...)
			}
		}
	}
	all := make([]Entry, 0, len(f.found))
	for _, i := range f.found {
		all = append(all, catalogue[i].public())
	}
	return all
}

// clip cuts a query, and puts right the dashes that typography makes of minus.
func clip(query string) string {
	if len(query) > maxQuery {
		query = query[:maxQuery]
	}
	return strings.NewReplacer("\u2212", "-", "\u2013", "-").Replace(strings.ToValidUTF8(query, " "))
}

// split gives the words of a line, which keep their signs and hyphens.
func split(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' && r != '+'
	})
}

// finder collects entries, each once, in the order of their finding.
type finder struct{ found []int }

func (f *finder) add(ids ...int) {
	for _, i := range ids {
		if !slices.Contains(f.found, i) {
			f.found = append(f.found, i)
		}
	}
}

// hint says what the words before a number make of it.
type hint int

const (
	hintNone   hint = iota // a number without a sign means nothing
	hintAny                // "error 17"
	hintResult             // "Result 3"
)

// line looks through the words of a longer text, where a number must look like an
// error and a name must be more than a common word.
func (f *finder) line(words []string) {
	h := hintNone
	for i := 0; i < len(words); i++ {
		w := words[i]
		if n := f.name(words[i:]); n > 0 {
			i, h = i+n-1, hintNone
			continue
		}
		if f.number(w, h) {
			h = hintNone
			continue
		}
		switch strings.ToLower(w) {
		case "result", "number":
			h = hintResult
		case "error", "err", "errno", "code":
			if h == hintNone {
				h = hintAny
			}
		case "is", "was", "of", "key", "integer", "with": // <key>Number</key><integer>3
		default:
			h = hintNone
		}
	}
}

// name takes the longest name at the beginning of words and returns how many they
// are, 0 if there is none.
func (f *finder) name(words []string) int {
	for n := min(maxWords, len(words)); n > 0; n-- {
		var ids []int
		for _, i := range byName[fold(strings.Join(words[:n], ""))] {
			if catalogue[i].distinct(words[:n]) {
				ids = append(ids, i)
			}
		}
		if len(ids) > 0 {
			f.add(ids...)
			return n
		}
	}
	return 0
}

// distinct reports whether the words can mean nothing but the entry. Names such
// as "locked" and "Failure", and "not asked" or "unknown error" as two words, are
// common English.
func (e entry) distinct(words []string) bool {
	switch e.Family {
	case FamilyTrust:
		return len(words) == 1 && strings.Contains(words[0], "-")
	case FamilyLockdown:
		return e.Name != "Failure" && (len(words) == 1 || e.Name != "UnknownError")
	}
	return true
}

// number takes a word that is a number or code, and reports whether it was one
// that means something.
func (f *finder) number(word string, h hint) bool {
	before := len(f.found)
	if code, ok := parseCode(word); ok {
		for i, e := range catalogue {
			if e.code == code {
				f.add(i)
			}
		}
		return len(f.found) > before
	}
	n, err := strconv.Atoi(word)
	if err != nil || n > maxResult || n < -maxResult {
		return false
	}
	signed := n < 0
	for i, e := range catalogue {
		switch {
		case signed && e.lockdown == n,
			!signed && h != hintNone && e.result == n,
			!signed && h == hintAny && n > 0 && e.lockdown == -n:
			f.add(i)
		}
	}
	return len(f.found) > before
}

// parseCode reads a code of MobileDevice: hexadecimal with or without 0x, or
// decimal, signed or not, as a 32-bit number.
func parseCode(word string) (code uint32, ok bool) {
	lower := strings.ToLower(word)
	hex, prefixed := strings.CutPrefix(lower, "0x")
	if prefixed || len(hex) == 8 && strings.HasPrefix(hex, "e8") {
		n, err := strconv.ParseUint(hex, 16, 64)
		// A debugger shows the code with its sign carried to 64 bits.
		if n>>32 == 0xFFFFFFFF {
			n &= 0xFFFFFFFF
		}
		return uint32(n & 0xFFFFFFFF), err == nil && n>>24 == codeBase>>24
	}
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || n < -1<<31 || n > 1<<32-1 {
		return 0, false
	}
	code = uint32(n & 0xFFFFFFFF)
	return code, code>>24 == codeBase>>24
}
