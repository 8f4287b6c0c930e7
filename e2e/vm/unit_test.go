package vm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRecipeParses(t *testing.T) {
	for script, shell := range map[string]string{"image.sh": "bash", "guest-init": "sh", "guest-job": "sh", "initramfs-init": "sh"} {
		b, err := recipe.ReadFile("recipe/" + script)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(shell, "-n")
		cmd.Stdin = strings.NewReader(string(b))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}

func TestJobQuotes(t *testing.T) {
	odd := `it's $HOME "x" \ *`
	c := Config{Command: []string{"printf", "%s %s", odd}, Env: map[string]string{"ODD": odd}}
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh")
	cmd.Stdin = strings.NewReader(c.job())
	out, err := cmd.Output()
	if err != nil || string(out) != odd+" " {
		t.Fatalf("got %q, %v", out, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"no command":      {},
		"unknown flavour": {Command: []string{"x"}, Flavour: "slow"},
		"path as a name":  {Command: []string{"x"}, Files: map[string]string{"../x": "/dev/null"}},
		"the job's name":  {Command: []string{"x"}, Files: map[string]string{"job": "/dev/null"}},
	} {
		if err := c.validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLockWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a second holder: %v", err)
	}
	unlock()
	again, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestRunTiedEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cmd := exec.Command("sleep", "1000")
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if err := runTied(ctx, cmd); !errors.Is(err, why) {
		t.Fatalf("want %v, got %v", why, err)
	}
	if cmd.ProcessState == nil {
		t.Fatal("the process was not waited for")
	}
}

func TestTail(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, []byte("a\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := string(tail(name, 3)); got != "b\nc\n" {
		t.Fatalf("got %q", got)
	}
	if got := string(tail(name, 30)); got != "a\nb\nc\n" {
		t.Fatalf("got %q", got)
	}
}
