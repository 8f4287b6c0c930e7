package gomuxd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocsNameTests asserts that the tests which documents call as witnesses exist.
func TestDocsNameTests(t *testing.T) {
	files, err := exec.Command("git", "ls-files", "*_test.go").Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	known := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for name := range strings.FieldsSeq(string(files)) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllSubmatch(b, -1) {
			known[string(m[1])] = true
		}
	}
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)")
	for _, doc := range append(docs, "ARCHITECTURE.md") {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range bytes.Split(b, []byte("\n")) {
			for _, m := range named.FindAllSubmatch(line, -1) {
				if name := string(m[1]); !known[name] && name != "TestNames" {
					t.Errorf("%s:%d names %s, which does not exist", doc, i+1, name)
				}
			}
		}
	}
}

// TestFaultsHaveTests asserts that each row of the fault table has all its columns,
// the last with a witness.
func TestFaultsHaveTests(t *testing.T) {
	b, err := os.ReadFile("docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for i, line := range strings.Split(string(b), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| fault |") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 5 || !regexp.MustCompile("^`(Test|Fuzz)").MatchString(cells[len(cells)-1]) {
			t.Errorf("docs/faults.md:%d: want five columns, the last with a test, got %q", i+1, cells)
		}
	}
	if rows == 0 {
		t.Error("docs/faults.md has no row")
	}
}

// TestDocsLinks asserts that what documents show and link to in the repository is
// there.
func TestDocsLinks(t *testing.T) {
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#]+)`)
	for _, doc := range append(docs, "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md") {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(b, -1) {
			to := string(m[1])
			if strings.Contains(to, ":") {
				continue // elsewhere
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), to)); err != nil {
				t.Errorf("%s links to %s: %v", doc, to, err)
			}
		}
	}
}
