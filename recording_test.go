package gomuxd_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestRecording asserts that README.md opens with a recording of the demo that a
// page can show: small, well-formed, with nothing to load or to run, and of the
// demo as it is told now.
func TestRecording(t *testing.T) {
	const name, most = "docs/demo.svg", 400 << 10
	svg, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(svg) > most {
		t.Errorf("%s has %d bytes, want at most %d", name, len(svg), most)
	}
	var words strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if n := token.Name.Local; n == "script" || n == "image" || n == "foreignObject" {
				t.Errorf("%s has an element %s", name, n)
			}
			for _, a := range token.Attr {
				if n := a.Name.Local; n == "href" || n == "src" {
					t.Errorf("%s refers to %s", name, a.Value)
				}
			}
		case xml.CharData:
			words.Write(token)
			words.WriteByte('\n')
		}
	}
	if loads := regexp.MustCompile(`url\(|@import|@font-face`).FindString(words.String()); loads != "" {
		t.Errorf("%s loads something by %s", name, loads)
	}

	story, err := os.ReadFile("e2e/demo/story.go")
	if err != nil {
		t.Fatal(err)
	}
	titles := regexp.MustCompile(`(?m)^\d+\. (.+)$`).FindAllStringSubmatch(words.String(), -1)
	if len(titles) < 5 {
		t.Errorf("%s has %d steps", name, len(titles))
	}
	for _, m := range titles {
		if !bytes.Contains(story, []byte(`"`+m[1]+`"`)) {
			t.Errorf("the demo has no step %q any more: make recording", m[1])
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(readme, []byte("("+name+")")) {
		t.Errorf("README.md does not show %s", name)
	}
}
