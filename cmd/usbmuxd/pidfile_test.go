package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPidFileHolder is not a test: it is the other process of TestPidFile.
func TestPidFileHolder(t *testing.T) {
	path := os.Getenv("PIDFILE_HOLDER")
	if path == "" {
		t.Skip("the other process of TestPidFile")
	}
	p, err := lockPidFile(path)
	if err != nil {
		fmt.Println("refused:", err)
		return
	}
	fmt.Println("locked")
	fmt.Scanln() // until the parent closes standard input
	p.release()
}

func TestPidFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, []byte("999999\n"), 0o600); err != nil { // stale
		t.Fatal(err)
	}
	holder := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestPidFileHolder$")
		cmd.Env = append(os.Environ(), "PIDFILE_HOLDER="+path)
		return cmd
	}
	first := holder()
	stdin, _ := first.StdinPipe()
	stdout, _ := first.StdoutPipe()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 7)
	if _, err := stdout.Read(line); err != nil || string(line) != "locked\n" {
		t.Fatalf("want the lock, got %q, %v", line, err)
	}
	pid := strconv.Itoa(first.Process.Pid)
	if got, err := os.ReadFile(path); err != nil || string(got) != pid {
		t.Fatalf("want %s in the file, got %q, %v", pid, got, err)
	}
	if out, _ := holder().CombinedOutput(); !strings.Contains(string(out), "refused: pid file "+path+": locked by process "+pid) {
		t.Fatalf("want a refusal that names file and process, got %q", out)
	}
	if got, _ := os.ReadFile(path); string(got) != pid {
		t.Fatalf("the refused process changed the file to %q", got)
	}
	stdin.Close()
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	p, err := lockPidFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p.release()
}

func TestPidFileErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"missing/pid", ".", "link"} {
		path := filepath.Join(dir, name)
		_, err := lockPidFile(path)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--pidfile") {
			t.Errorf("%s: want an error with path and remedy, got %v", name, err)
		}
	}
	if p, err := lockPidFile(none); p != nil || err != nil {
		t.Errorf("want nothing for NONE, got %v, %v", p, err)
	}
}

// TestPidFileDisk puts the pid file on a disk that is full, then read-only: there is a
// reason, and the next start works when the disk does.
func TestPidFileDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path, filler := filepath.Join(dir, "pid"), filepath.Join(dir, "filler")
	for _, tt := range []struct {
		name        string
		spoil, mend func() error
		want        error
		leftBehind  string
	}{
		{
			"full",
			func() error { return ignoreErr(os.WriteFile(filler, make([]byte, 128<<10), 0o600), unix.ENOSPC) },
			func() error { return os.Remove(filler) },
			unix.ENOSPC, "",
		},
		{
			"read-only",
			func() error { return unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, "") },
			func() error { return unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "") },
			unix.EROFS, strconv.Itoa(os.Getpid()),
		},
	} {
		if err := tt.spoil(); err != nil {
			t.Fatal(err)
		}
		p, err := lockPidFile(path)
		if !errors.Is(err, tt.want) || p != nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: lockPidFile = %v, want %v and the path", tt.name, err, tt.want)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != tt.leftBehind {
			t.Errorf("%s: the file holds %q, %v; want %q", tt.name, got, err, tt.leftBehind)
		}
		if err := tt.mend(); err != nil {
			t.Fatal(err)
		}
		if p, err = lockPidFile(path); err != nil {
			t.Fatalf("%s: then lockPidFile = %v", tt.name, err)
		}
		p.release()
	}
}

// ignoreErr is err, unless it is the one that was meant to come.
func ignoreErr(err, known error) error {
	if errors.Is(err, known) {
		return nil
	}
	return err
}
