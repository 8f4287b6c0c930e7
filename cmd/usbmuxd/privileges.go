package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// account is the user that the daemon is to become.
type account struct {
	name     string
	uid, gid int
	groups   []int
}

// lookupAccount finds the user that the daemon is to become: nil if it is to
// stay what it is, because nobody was named, because it is not root, or because
// root was named.
func lookupAccount(name string) (*account, error) {
	if name == "" || os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("there is no user %q: make it (useradd --system --no-create-home %s), or name another with --user", name, name)
	}
	a := &account{name: name}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %q: %w", name, err)
	}
	for _, id := range append([]string{u.Uid, u.Gid}, groups...) {
		n, err := strconv.Atoi(id)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
		a.groups = append(a.groups, n)
	}
	a.uid, a.gid, a.groups = a.groups[0], a.groups[1], a.groups[2:]
	if a.uid == 0 {
		return nil, nil
	}
	return a, nil
}

// become makes every thread of this process the account's, for good. The USB
// device nodes are made the account's by a rule of udev's.
func (a *account) become() error {
	if a == nil {
		return nil
	}
	err := syscall.Setgroups(a.groups)
	if err == nil {
		err = syscall.Setgid(a.gid)
	}
	if err == nil {
		err = syscall.Setuid(a.uid)
	}
	if err == nil && syscall.Setuid(0) == nil {
		err = errors.New("root could be regained")
	}
	if err != nil {
		return fmt.Errorf("become user %q: %w", a.name, err)
	}
	return nil
}

// own makes the record directory, if it is missing, and gives it and its records
// to the account, if nobody but root could have put anything there.
func (a *account) own(dir string) error {
	if a == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil // the record store says it better
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil // likewise
	}
	defer root.Close()
	if err := a.ownTree(root, "."); err != nil {
		return fmt.Errorf("give %s to user %q: %w; name another directory with --config-dir", dir, a.name, err)
	}
	return nil
}

// ownTree gives away name, and what is in it if it is a directory. What is not
// root's alone stays as it is: an entry could be a link to a file of root's.
func (a *account) ownTree(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	shared := info.Mode().Perm()&0o022 != 0 && st.Gid != 0 || info.Mode().Perm()&0o002 != 0
	if st.Uid != 0 || shared || !info.IsDir() && (!info.Mode().IsRegular() || st.Nlink != 1) {
		return nil
	}
	if info.IsDir() {
		entries, err := fs.ReadDir(root.FS(), name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			path := e.Name()
			if name != "." {
				path = name + "/" + path
			}
			if err := a.ownTree(root, path); err != nil {
				return err
			}
		}
	}
	return root.Lchown(name, a.uid, a.gid)
}

// wantedFiles is how many descriptors the daemon asks for: each connection of a
// client takes one.
const wantedFiles = 1 << 16

// raiseLimit raises both limits of open files as far as that is allowed.
func raiseLimit() error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if l.Cur >= wantedFiles {
		return nil // by the service manager, whose sandbox may allow no change
	}
	raised := unix.Rlimit{Cur: max(l.Max, wantedFiles), Max: max(l.Max, wantedFiles)}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised)
	if errors.Is(err, unix.EPERM) {
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: l.Max, Max: l.Max})
	}
	return err
}
