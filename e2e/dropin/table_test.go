package dropin_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func init() {
	for _, r := range rows {
		bodies[r.name] = r.body
	}
}

// document lists how the two daemons differ.
const document = "../../docs/compatibility.md"

// listed is a line of the document's table: facts of the C daemon that do not
// hold for ours, and the other way round.
type listed struct{ theirs, ours, reason string }

func readDocument(t *testing.T) map[string]listed {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]listed)
	for _, m := range regexp.MustCompile("(?m)^\\| `(.+?)` \\| (.*?) \\| (.*?) \\| (.*?) \\|$").FindAllStringSubmatch(string(text), -1) {
		if _, twice := all[m[1]]; twice {
			t.Errorf("%s: %s is listed twice", document, m[1])
		}
		all[m[1]] = listed{m[2], m[3], m[4]}
	}
	return all
}

// without gives the facts of a that b lacks.
func without(a, b []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(a), func(f string) bool { return slices.Contains(b, f) }), "; ")
}

// typical runs a row on the C daemon, and again, twice at most, if it does not do
// as the document says: it was seen to fail to start, once, on a busy machine.
func typical(t *testing.T, name, c string, ours []string, line listed) (said string, facts []string) {
	t.Helper()
	for range 3 {
		out := inBox(t, name, c, "")
		said, facts = out.Said, out.Facts
		if without(facts, ours) == line.theirs && without(ours, facts) == line.ours {
			break
		}
		t.Logf("the C daemon came to %q, and said %q", facts, said)
	}
	return said, facts
}

// TestTable runs every row on our daemon, which must do as the row says, and on
// the C daemon; what differs must be in the document, and nothing else.
func TestTable(t *testing.T) {
	documented := readDocument(t)
	c := theirs()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			got := inBox(t, r.name, ours, "")
			if !slices.Equal(got.Facts, r.want) {
				t.Fatalf("want %q\n got %q\nsaid %q", r.want, got.Facts, got.Said)
			}
			for _, text := range r.says {
				if !strings.Contains(got.Said, text) {
					t.Errorf("want %q said, got %q", text, got.Said)
				}
			}
			reference, said := r.reference, ""
			if reference == nil {
				if c == "" {
					t.Skip("there is no C usbmuxd to compare with; make setup unpacks Debian's")
				}
				said, reference = typical(t, r.name, c, got.Facts, documented[r.name])
			}
			line := documented[r.name]
			theirs, ours := without(reference, got.Facts), without(got.Facts, reference)
			switch {
			case theirs != line.theirs || ours != line.ours:
				t.Errorf("%s must say\n| `%s` | %s | %s | why |\nand says %q\nthe C daemon said %q", document, r.name, theirs, ours, line, said)
			case (theirs != "" || ours != "") && line.reason == "":
				t.Errorf("%s gives no reason for %s", document, r.name)
			}
		})
	}
	for name := range documented {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			t.Errorf("%s lists %s, which no row tries", document, name)
		}
	}
}
