package pairrecord

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Mode() & (fs.ModePerm | fs.ModeSetgid)
}

func TestOpenModes(t *testing.T) {
	old := unix.Umask(0o022)
	defer unix.Umask(old)
	parent := t.TempDir()
	made := filepath.Join(parent, "a", "b", "c")
	openStore(t, made)
	for dir := made; dir != parent; dir = filepath.Dir(dir) {
		if got := mode(t, dir); got != 0o755 {
			t.Errorf("made %s: mode = %v, want 0755", dir, got)
		}
	}
	found := filepath.Join(parent, "found")
	if err := os.Mkdir(found, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(found, 0o775|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, found)
	if got := mode(t, found); got != 0o775|fs.ModeSetgid {
		t.Errorf("found directory: mode = %v, want it unchanged", got)
	}
	for _, data := range [][]byte{testRecord(t, "1"), testRecord(t, "2")} {
		if err := s.Save(udid1, data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.BUID(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{udid1 + suffix: 0o600, configName: 0o600, copyDir: 0o700} {
		if got := mode(t, filepath.Join(found, name)).Perm(); got != want {
			t.Errorf("%s: mode = %v, want %v", name, got, want)
		}
	}
}

func TestOpenTightens(t *testing.T) {
	dir := t.TempDir()
	root := os.Geteuid() == 0
	for _, f := range []struct {
		name string
		uid  int
		want fs.FileMode
	}{
		{udid1 + suffix, os.Geteuid(), 0o600},
		{udid2 + suffix, 65534, 0o644}, // another user's
		{"notes.plist", os.Geteuid(), 0o644},
		{configName, os.Geteuid(), 0o644},
	} {
		if f.uid != os.Geteuid() && !root {
			continue
		}
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if root {
			if err := os.Chown(path, f.uid, -1); err != nil {
				t.Fatal(err)
			}
		}
		openStore(t, dir)
		if got := mode(t, path); got != f.want {
			t.Errorf("%s: mode = %v, want %v", f.name, got, f.want)
		}
	}
}

// TestOpenSweeps leaves a running save's temporary file and removes others.
func TestOpenSweeps(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	live, err := s.disk.create(tempName())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{tempName(), "other.tmp", ".gomuxd-xyz.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openStore(t, dir)
	if got := temps(t, dir); len(got) != 3 || !slices.Contains(got, "other.tmp") || !slices.Contains(got, ".gomuxd-xyz.tmp") {
		t.Errorf("left = %q, want the live one and two that are not ours", got)
	}
	live.Close()
	openStore(t, dir)
	if got := temps(t, dir); len(got) != 2 {
		t.Errorf("left = %q, want two that are not ours", got)
	}
}

func TestOpenNotADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{path, filepath.Join(path, "below")} {
		if _, err := Open(dir, Config{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%s) = %v, want an error that names it", dir, err)
		}
	}
}

// asNobody runs f as a user without rights, on a thread that then ends.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	done := make(chan unix.Errno)
	go func() {
		runtime.LockOSThread() // for good: this thread's user is not the process's
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534)
		if errno == 0 {
			f()
		}
		done <- errno
	}()
	if errno := <-done; errno != 0 {
		t.Skipf("cannot become another user: %v", errno)
	}
}

func TestWithoutRights(t *testing.T) {
	dir, err := os.MkdirTemp("", "pairrecord") // t.TempDir's parent may be closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir)
	want := testRecord(t, "1")
	if err := s.Save(udid1, want); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, udid1+suffix), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, m := range []fs.FileMode{0o755, 0o700} {
		if err := os.Chmod(dir, m); err != nil {
			t.Fatal(err)
		}
		asNobody(t, func() {
			_, err := Open(dir, Config{})
			if !errors.Is(err, fs.ErrPermission) || Errno(err) != 13 {
				t.Errorf("Open of mode %v = %v (%d), want EACCES (13)", m, err, Errno(err))
				return
			}
			for _, part := range []string{dir, "owner 0:0", "user 65534", "to repair"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("Open of mode %v = %v, want it to name %q", m, err, part)
				}
			}
		})
	}
	// A store opened before its rights went.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if got, err := s.Read(udid1); err != nil || !bytes.Equal(want, got) {
			t.Errorf("Read = %q, %v; want the record", got, err)
		}
		_, berr := s.BUID()
		for call, err := range map[string]error{"Save": s.Save(udid1, testRecord(t, "2")), "Delete": s.Delete(udid1), "BUID": berr} {
			if Errno(err) != 13 || !strings.Contains(err.Error(), "to repair") {
				t.Errorf("%s = %v (%d), want EACCES (13) with a remedy", call, err, Errno(err))
			}
		}
	})
	if got, err := s.Read(udid1); err != nil || !bytes.Equal(want, got) {
		t.Errorf("Read = %q, %v; want the record unchanged", got, err)
	}
}

// mountMemory mounts a file system of the size on a new directory.
func mountMemory(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := mountMemory(t, "128k")
	s := openStore(t, dir)
	one, two := testRecord(t, "1"), testRecord(t, strings.Repeat("long ", 2000))
	if err := s.Save(udid1, one); err != nil {
		t.Fatal(err)
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for {
		if _, err := filler.Write(make([]byte, 4096)); errors.Is(err, unix.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(udid1, two); Errno(err) != 28 {
		t.Errorf("Save = %v (%d), want ENOSPC (28)", err, Errno(err))
	}
	if buid, err := s.BUID(); Errno(err) != 28 {
		t.Errorf("BUID = %q, %v (%d); want ENOSPC (28)", buid, err, Errno(err))
	}
	if got, err := s.Read(udid1); err != nil || !bytes.Equal(one, got) {
		t.Errorf("Read = %q, %v; want the old record", got, err)
	}
	if got := temps(t, dir); !slices.Equal(got, []string{"filler"}) {
		t.Errorf("left behind: %q", got)
	}
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	filler.Close()
	if err := s.Save(udid1, two); err != nil {
		t.Errorf("Save with room = %v", err)
	}
	if _, err := s.BUID(); err != nil {
		t.Errorf("BUID with room = %v", err)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := mountMemory(t, "128k")
	s := openStore(t, dir)
	want := testRecord(t, "1")
	if err := s.Save(udid1, want); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("needs to remount a tmpfs: %v", err)
	}
	_, oerr := Open(dir, Config{})
	_, berr := s.BUID()
	for call, err := range map[string]error{
		"Open": oerr, "Save": s.Save(udid1, testRecord(t, "2")), "Delete": s.Delete(udid1), "BUID": berr,
	} {
		if Errno(err) != 30 || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s = %v (%d), want EROFS (30) with the path", call, err, Errno(err))
		}
	}
	if got, err := s.Read(udid1); err != nil || !bytes.Equal(want, got) {
		t.Errorf("Read = %q, %v; want the record", got, err)
	}
}
