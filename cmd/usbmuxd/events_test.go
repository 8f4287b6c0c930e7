package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gomuxd/control"
)

// logged lists the messages at info and above in the sources of the daemon, with a
// place of each: the texts that are given to a logger, or to what passes them on.
func logged(t *testing.T) map[string]string {
	t.Helper()
	// The place of the message among the arguments.
	calls := map[string]int{"Info": 0, "Warn": 0, "Error": 0, "skip": 0, "Log": 1, "Check": 1, "acted": 1, "mend": 1}
	found := map[string]string{}
	files := token.NewFileSet()
	for _, dir := range []string{"cmd/usbmuxd", "control", "hotplug", "lockdown", "mux", "pairrecord", "socket", "usb", "access"} {
		err := filepath.WalkDir("../../"+dir, func(path string, e fs.DirEntry, err error) error {
			name := e.Name()
			switch {
			case err != nil:
				return err
			case e.IsDir() && slices.Contains([]string{"testdata", "doctor", "dashboard", "exporter", "observer"}, name):
				return filepath.SkipDir // muxctl's
			case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
				return nil
			}
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, is := n.(*ast.CallExpr)
				if !is {
					return true
				}
				method, is := call.Fun.(*ast.SelectorExpr)
				if !is {
					return true
				}
				at, is := calls[method.Sel.Name]
				if !is || len(call.Args) <= at {
					return true
				}
				if level, is := call.Args[0].(*ast.SelectorExpr); is && at == 1 && level.Sel.Name == "DebugLevel" {
					return true
				}
				if text, is := call.Args[at].(*ast.BasicLit); is && text.Kind == token.STRING {
					message, _ := strconv.Unquote(text.Value)
					found[message] = files.Position(text.Pos()).String()
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// What is chosen among several, in socket/guard.go.
	for _, m := range []string{"pair record read", "pair record saved", "pair record deleted"} {
		found[m] = "socket/guard.go"
	}
	return found
}

// TestEventsAreKnown asserts that every line has an id of its own, and that no id is
// left of a line that is gone.
func TestEventsAreKnown(t *testing.T) {
	found := logged(t)
	if len(found) < 50 {
		t.Fatalf("only %d messages found", len(found))
	}
	for message, where := range found {
		if events[message].id == "" {
			t.Errorf("%s: %q has no event", where, message)
		}
	}
	ids := map[string]string{}
	for message, e := range events {
		if found[message] == "" {
			t.Errorf("%q is logged nowhere", message)
		}
		if other, twice := ids[e.id]; twice {
			t.Errorf("%q and %q are both %s", message, other, e.id)
		}
		ids[e.id] = message
		if e.id != strings.Trim(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r == '-' {
				return r
			}
			return -1
		}, e.id), "-") {
			t.Errorf("%q is no id: small letters and hyphens", e.id)
		}
	}
}

// TestEventsAreDocumented asserts that docs/events.md has the table of the code, and
// nothing else.
func TestEventsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "| `") && strings.Count(line, "|") == 4 && !strings.Contains(line, "USBMUXD_") {
			rows[strings.TrimSpace(line)] = true
		}
	}
	for message, e := range events {
		next := e.next
		if next == "" {
			next = "–"
		}
		row := fmt.Sprintf("| `%s` | %s | %s |", e.id, message, next)
		if !rows[row] {
			t.Errorf("docs/events.md lacks %s", row)
		}
		delete(rows, row)
	}
	for row := range rows {
		t.Errorf("docs/events.md has %s, which is no event", row)
	}
}

// TestLinesTell asserts that a line says which phone it is about, as far as that is
// known, what is next, and its id, and that a line that says so itself is left alone.
func TestLinesTell(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	log := zap.New(newTelling(core, func(udid string) string {
		return map[string]string{"00008110-001C20223E29401E": "Anna\x1b[31m’s \"iPhone\""}[udid]
	}))
	anna := log.With(zap.String("port_path", "1-2")).With(zap.String("udid", "00008110-001C20223E29401E"))
	other := zap.String("udid", "2b6f0cc904d137be2e1730235f5664094b831186")
	for _, tt := range []struct {
		log                *zap.Logger
		message            string
		fields             []zap.Field
		phone, next, event string
	}{
		{anna, "attached", nil, `Anna\x1b[31m’s \"iPhone\" (00008110..401E)`, "", "phone-attached"},
		{anna, "refused", []zap.Field{other}, "2b6f0cc9..1186", events["refused"].next, "refused"},
		{anna, "cannot reset the phone", []zap.Field{zap.String("next", "mine")}, `Anna\x1b[31m’s \"iPhone\" (00008110..401E)`, "mine", "phone-reset-failed"},
		{log.With(zap.String("port_path", "1-3")), "attached", nil, "port 1-3", "", "phone-attached"},
		{log, "stopping", nil, "", "", "stopping"},
		{log, "trust", []zap.Field{zap.String("state", "locked")}, "", nextOf("locked"), "trust-changed"},
		{log, "of another program", nil, "", "", ""},
	} {
		tt.log.Info(tt.message, tt.fields...)
		got := logs.TakeAll()[0].ContextMap()
		for key, want := range map[string]string{"phone": tt.phone, "next": tt.next, "event": tt.event} {
			if have, _ := got[key].(string); have != want {
				t.Errorf("%s: %s is %q, want %q", tt.message, key, have, want)
			}
		}
	}
	anna.Debug("attached")
	if got := logs.TakeAll()[0].ContextMap(); got["event"] != nil {
		t.Errorf("a line for developers: %v", got)
	}
}

func nextOf(state string) string {
	_, next := words(control.Device{Trust: state})
	return next
}

// TestFailuresAreCounted asserts that a phone that fails in the same way again and again
// is told of once, and how often it was when it works again.
func TestFailuresAreCounted(t *testing.T) {
	failed := fmt.Errorf("no permission")
	rig(t, []error{failed, failed, failed, failed}, func(ctx context.Context, d *muxd, s *script) {
		time.Sleep(time.Minute)
		if n := s.logs.FilterMessage("phone lost or not usable, trying again").FilterLevelExact(zap.WarnLevel).Len(); n != 1 {
			t.Errorf("told %d times", n)
		}
		if n := s.logs.FilterMessage("phone works again").FilterField(zap.Int("times", 4)).Len(); n != 1 {
			t.Errorf("not counted: %v", s.logs.All())
		}
	})
}
