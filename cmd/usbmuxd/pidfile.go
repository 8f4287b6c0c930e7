package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pidFile is the held lock of a running daemon, nil for none.
//
// The lock is a classic record lock, so that other implementations see it and
// can ask for the holder's process id. It is dropped when any descriptor of the
// file is closed in this process: nothing else may open it.
type pidFile struct{ f *os.File }

// lockPidFile makes the pid file at path, locks it and writes the process id.
// It fails if another process holds the lock, and then changes nothing.
func lockPidFile(path string) (*pidFile, error) {
	if path == noPidFile {
		return nil, nil
	}
	switch holder, err := lockHolder(path); {
	case err != nil:
		return nil, fmt.Errorf("pid file: %w; run as root, or choose another with --pidfile PATH or --pidfile %s", err, noPidFile)
	case holder > 0:
		return nil, fmt.Errorf("pid file %s is locked by process %d: another usbmuxd is running; stop it first (systemctl stop usbmuxd, or kill %d)", path, holder, holder)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("stale pid file: %w; remove it as its owner", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("pid file: %w; run as root, or choose another with --pidfile PATH or --pidfile %s", err, noPidFile)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock pid file %s: %w; another usbmuxd has just started", path, err)
	}
	if _, err := f.WriteString(strconv.Itoa(os.Getpid())); err != nil {
		f.Close()
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	return &pidFile{f: f}, nil
}

// lockHolder is the process that holds the lock on path, 0 if none does.
func lockHolder(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return 0, fmt.Errorf("%s: not a regular file", path)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}

// release drops the lock. The file stays, as others expect.
func (p *pidFile) release() {
	if p != nil {
		p.f.Close()
	}
}
