package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOwn asserts that a record directory is given away with its records, and
// that nothing is which somebody else could have put there.
func TestOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files away")
	}
	const uid = 64321
	a := &account{name: "somebody", uid: uid, gid: uid}
	dir := filepath.Join(t.TempDir(), "a", "lockdown")
	owner := func(name string) uint32 {
		t.Helper()
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	if err := a.own(dir); err != nil {
		t.Fatal(err)
	}
	if got := owner("."); got != uid {
		t.Errorf("the new directory belongs to %d", got)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chown(dir, 0, 0))
	precious := filepath.Join(t.TempDir(), "precious")
	must(os.WriteFile(precious, nil, 0o600))
	must(os.Mkdir(filepath.Join(dir, ".replaced"), 0o700))
	for _, name := range []string{"record.plist", ".replaced/old", "other"} {
		must(os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	must(os.Chown(filepath.Join(dir, "other"), 33, 33))
	must(os.Link(precious, filepath.Join(dir, "hard")))
	must(os.Symlink(precious, filepath.Join(dir, "soft")))

	must(os.Chmod(dir, 0o777))
	must(a.own(dir))
	if got := owner("record.plist"); got != 0 {
		t.Errorf("a file of a directory that others write to was given to %d", got)
	}
	must(os.Chmod(dir, os.ModeSetgid|0o775)) // as the C daemon makes it
	must(a.own(dir))
	for name, want := range map[string]uint32{".": uid, "record.plist": uid, ".replaced": uid, ".replaced/old": uid, "other": 33, "hard": 0, "soft": 0} {
		if got := owner(name); got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
	must(os.Chown(filepath.Join(dir, "record.plist"), 0, 0))
	must(a.own(dir))
	if got := owner("record.plist"); got != 0 {
		t.Errorf("a file in a directory of somebody's was given to %d", got)
	}
	if err := (*account)(nil).own(filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("without an account a directory was made")
	}
}
