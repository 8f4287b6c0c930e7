package main

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// remedy is what to do about something: behind a pause, a verb that asks for it.
var remedy = regexp.MustCompile(`[:;,(] .*\b(answer|ask|asks|choose|correct|end|export|give|give it|leave|log|name|plug|pull|repeat|restart|run|say|see|shorten|shows|start|subscribe|takes|try|type|unlock|update|use|write|lists|says why|GET)\b`)

// passedOn are errors whose last argument is the remedy, or is an error that has one.
var passedOn = map[string]string{
	"%v":     "whatever an action fails with",
	"%s: %w": "adds where it was",
	"%s does not trust this computer yet, the time is over (%s): %s": "the device's next step",
	"%s cannot be asked (%s): %s":                                    "likewise",
	"%s refuses (%s): %s":                                            "likewise",
	"%s is not trusted (%s), so there is nothing to renew: %s":       "likewise",
	"%s does not trust this computer any more (%s): %s":              "likewise",
	"%s has no connections to capture (%s): %s":                      "likewise",
	"%s has no ports to connect to (%s): %s":                         "likewise",
	"%s is in state %s and cannot be talked to: %s":                  "likewise",
	"the device at %s could not be reset (%v): %s":                   "one for each cause, see TestOperatorsOrders",
	"%s needs the control socket of this project's daemon: %w":       "why there is none",
	"there is no copy %q of the pair record of %s; %s":               "the copies that there are",
	// What the system or the other end says, which has a remedy of its own, or none.
	"seal: %w": "age's", "unseal: %w": "age's", "read %s: %w": "the system's", "read it back: %w": "the daemon's",
	"the record of %s: %w": "one of those in seal.go", "accept on %s: %w": "the daemon's log",
	"read the capture: %w": "the connection's", "%w any more: it has ended the capture": "how to start it",
	"%w: a record that begins with %x": "as above", "%w: %d bytes of a packet with a header of %d": "as above", "%w: it ends within a packet": "as above",
	"read the daemon's reply: %w": "the connection's", "the daemon's reply: %w": "what JSON says of it", "no daemon answers": "is wrapped with what to do",
	"a message of the stream is longer than %d bytes": "no daemon sends one", "the daemon's events ended: %w": "begins anew",
	"an event of the daemon: %w":              "what JSON says of it",
	"say which copy, as in {\"copy\":\"ID\"}": "is one", "say which USB mode, from 1 to 5, or 0 to keep what there is, as in {\"mode\":1}": "is one",
	"the body: %v": "what JSON says of it",
	"the body: %s": "likewise",
	// Programs' mistakes, or ends that people asked for.
	"done": "no error", "the phone is away": "is waited for", "the phone still says no": "is asked again", "": "told already",
	"the daemon does not answer": "is wrapped with what to do",
}

// TestErrorsNameTheRemedy looks at every error that a person can meet, in the sources
// of muxctl and of what answers it: each says what to do.
func TestErrorsNameTheRemedy(t *testing.T) {
	constructors := map[string]bool{"codef": true, "Errorf": true, "failure": true, "New": true}
	files := gotoken.NewFileSet()
	var sources []string
	for _, pattern := range []string{"*.go", "../../control/*.go", "../usbmuxd/operator.go", "../usbmuxd/surgery.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		sources = append(sources, found...)
	}
	seen := map[string]bool{}
	for _, path := range sources {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, is := n.(*ast.CallExpr)
			if !is {
				return true
			}
			name := ""
			switch f := call.Fun.(type) {
			case *ast.Ident:
				name = f.Name
			case *ast.SelectorExpr:
				name = f.Sel.Name
			}
			if !constructors[name] {
				return true
			}
			for _, arg := range call.Args {
				lit, is := arg.(*ast.BasicLit)
				if !is || lit.Kind != gotoken.STRING {
					continue
				}
				text, _ := strconv.Unquote(lit.Value)
				seen[text] = true
				if _, is := passedOn[text]; !is && !remedy.MatchString(text) {
					t.Errorf("%s: %q does not say what to do", files.Position(lit.Pos()), text)
				}
				break
			}
			return true
		})
	}
	for text := range passedOn {
		if !seen[text] {
			t.Errorf("%q is no error any more", text)
		}
	}
}
