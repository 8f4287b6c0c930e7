package e2e_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomuxd/e2e"
)

var bin e2e.Binaries

// beside is how many tests run beside each other, where they may: most of the time
// they wait, for a poll or for silence to be long enough.
const beside = "6"

func TestMain(m *testing.M) {
	if questions := os.Getenv(asking); questions != "" {
		inquire(questions)
		return
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set(beside)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gomuxd-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		// A program with the race detector sleeps for a second at its end, in case
		// that others of its threads report something: the tools have none.
		os.Setenv("GORACE", "atexit_sleep_ms=0")
		if bin, err = e2e.Build(context.Background(), dir, true); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// start runs a daemon with virtual phones for one test. At its end the daemon
// must stop in good order, without a violation or a race.
func start(t *testing.T, cfg e2e.Config) *e2e.Rig {
	t.Helper()
	for tool, pkg := range e2e.Tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing, from Debian's package %s: make setup-test installs it", tool, pkg)
		}
	}
	cfg.Dir = t.TempDir()
	r, err := e2e.Start(bin, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// run runs a client program that must succeed and print want.
func run(t *testing.T, r *e2e.Rig, want, name string, args ...string) string {
	t.Helper()
	out, err := r.Run(limit(t), name, args...)
	if err != nil || !strings.Contains(out, want) {
		t.Fatalf("%s %v: want %q, got %q, %v\n%s", name, args, want, out, err, r.Log())
	}
	return out
}

// fails runs a client program that must fail and print want.
func fails(t *testing.T, r *e2e.Rig, want, name string, args ...string) {
	t.Helper()
	if out, err := r.Run(limit(t), name, args...); err == nil || !strings.Contains(out, want) {
		t.Fatalf("%s %v: want a failure with %q, got %q, %v", name, args, want, out, err)
	}
}

// phone gives an order to the virtual phone.
func phone(t *testing.T, r *e2e.Rig, args ...string) {
	t.Helper()
	if out, err := r.Phone(limit(t), args...); err != nil {
		t.Fatalf("virtualphone %v: %v, %s", args, err, out)
	}
}

// limit ends what hangs, long before the test's own limit.
func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// pair pairs the phone as its owner and a person at the computer do.
func pair(t *testing.T, r *e2e.Rig) {
	t.Helper()
	fails(t, r, "accept the trust dialog", "idevicepair", "pair")
	phone(t, r, "tap", "trust")
	run(t, r, "SUCCESS: Paired", "idevicepair", "pair")
}

// record is the pair record that a test has made.
func record(t *testing.T, r *e2e.Rig) (path string, data []byte) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(r.Records, "0000*.plist"))
	if err != nil || len(all) != 1 {
		t.Fatalf("want one record, got %v, %v", all, err)
	}
	data, err = os.ReadFile(all[0])
	if err != nil {
		t.Fatal(err)
	}
	return all[0], bytes.TrimSpace(data)
}
