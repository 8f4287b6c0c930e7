package usb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// busy finds out who holds an interface of an open node.
func busy(n *node, at Address, iface int) error {
	e := &BusyError{Interface: iface, Driver: n.driver(iface)}
	if e.Driver == usbfsDriver {
		e.PID, e.Program = holder("/proc", at.Node, os.Getpid())
	}
	return e
}

// holder finds another process that has a device node open, as far as this one
// may look; pid 0 if none.
func holder(proc, node string, self int) (pid int, program string) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return 0, ""
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == self {
			continue
		}
		dir := filepath.Join(proc, entry.Name(), "fd")
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if target, err := os.Readlink(filepath.Join(dir, fd.Name())); err != nil || target != node {
				continue
			}
			name, _ := os.ReadFile(filepath.Join(proc, entry.Name(), "comm"))
			return pid, strings.TrimSpace(string(name))
		}
	}
	return 0, ""
}

// openError explains why a device node cannot be opened.
func openError(at Address, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w %s%s: give it to the daemon's user by a udev rule, or start the daemon as root", ErrPermission, at.Node, ownerOf(at.Node))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// ownerOf describes owner and mode of a file: " (root:plugdev -rw-rw-r--)".
func ownerOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	owner, group := strconv.Itoa(int(st.Uid)), strconv.Itoa(int(st.Gid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf(" (%s:%s %s)", owner, group, info.Mode().Perm())
}
