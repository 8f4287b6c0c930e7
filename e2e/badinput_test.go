package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// refused runs a daemon that must not start: exit code 1, and one line that
// says all of want.
func refused(t *testing.T, args []string, want ...string) {
	t.Helper()
	refusedWith(t, 1, args, want...)
}

func refusedWith(t *testing.T, status int, args []string, want ...string) {
	t.Helper()
	cmd := exec.CommandContext(limit(t), bin.Daemon, append([]string{"-f"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != status {
		t.Fatalf("want exit code %d, got %d, %v\n%s", status, code, err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	last := lines[len(lines)-1]
	for _, w := range append(want, "usbmuxd: ") {
		if !strings.Contains(last, w) {
			t.Errorf("want %q in the last line, got %q", w, last)
		}
	}
}

func TestRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) string {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path(name)
	}
	records := path("records")

	t.Run("busy socket", func(t *testing.T) {
		r := start(t, e2e.Config{})
		refused(t, []string{"-S", r.Socket, "-C", records, "-P", "NONE"}, r.Socket, "in use", "stop it")
		run(t, r, "00008110", "idevice_id", "-l") // the first one is not disturbed
	})
	t.Run("file at the socket's path", func(t *testing.T) {
		name := write("notes.txt", "precious")
		refused(t, []string{"-S", name, "-C", records, "-P", "NONE"}, name, "not a socket")
		if text, err := os.ReadFile(name); err != nil || string(text) != "precious" {
			t.Fatalf("the file became %q, %v", text, err)
		}
	})
	t.Run("socket in a missing directory", func(t *testing.T) {
		refused(t, []string{"-S", path("no/such/usbmuxd"), "-C", records, "-P", "NONE"}, path("no/such/usbmuxd"), "create the directory")
	})
	t.Run("address of the whole network", func(t *testing.T) {
		refusedWith(t, 2, []string{"-S", "0.0.0.0:27015", "-C", records, "-P", "NONE"}, "0.0.0.0:27015", "loopback", "127.0.0.1", "allow_remote = true")
	})
	t.Run("record directory that is a file", func(t *testing.T) {
		name := write("lockdown", "x")
		refused(t, []string{"-S", path("s"), "-C", name, "-P", "NONE"}, name, "another directory")
	})
	t.Run("record directory that cannot be made", func(t *testing.T) {
		refused(t, []string{"-S", path("s"), "-C", "/proc/nope", "-P", "NONE"}, "/proc/nope", "another directory")
	})
	t.Run("pid file in a missing directory", func(t *testing.T) {
		refused(t, []string{"-S", path("s"), "-C", records, "-P", path("no/pid")}, path("no/pid"), "--pidfile")
	})
	t.Run("second daemon with the same pid file", func(t *testing.T) {
		r := start(t, e2e.Config{})
		pid := filepath.Join(r.Dir, "pid")
		refused(t, []string{"-S", path("s"), "-C", records, "-P", pid}, pid, "another usbmuxd")
	})
}

// TestMalformedRecord asserts that a record that cannot be read is put away as
// it is, with a reason, and disturbs nothing else: the phone is asked anew.
func TestMalformedRecord(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, firstPhone+".plist")
	if err := os.WriteFile(name, []byte("<plist><dict><key>HostID"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := start(t, e2e.Config{Args: []string{"-C", dir}})
	fails(t, r, "", "idevicepair", "validate")
	awaitTrust(t, r, trust.DialogShown)
	kept, err := filepath.Glob(filepath.Join(dir, ".replaced", firstPhone+".plist.*.record-unreadable"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("want the record put away, got %v, %v", kept, err)
	}
	if text, err := os.ReadFile(kept[0]); err != nil || string(text) != "<plist><dict><key>HostID" {
		t.Fatalf("the record became %q, %v", text, err)
	}
	if st, err := os.Stat(kept[0]); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("want the old file made private, got %v, %v", st.Mode(), err)
	}
	run(t, r, firstPhone, "idevice_id", "-l")
}

// TestStaleSocket asserts that the socket of a daemon that was killed does not
// keep the next one from starting.
func TestStaleSocket(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-f", "-S", filepath.Join(dir, "s"), "-C", filepath.Join(dir, "records"), "-P", filepath.Join(dir, "pid")}
	for range 2 {
		cmd := exec.CommandContext(limit(t), bin.Daemon, args...)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		await(t, follow(stderr), " ready ")
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}
}
