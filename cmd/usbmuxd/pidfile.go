package main

import (
	"errors"
	"fmt"
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

// lockPidFile makes the pid file at path if it is missing, locks it and writes
// the process id. It fails if another process holds the lock, and then changes
// nothing. The file is never removed: whoever else starts meets the same lock.
func lockPidFile(path string) (*pidFile, error) {
	if path == noPidFile {
		return nil, nil
	}
	const remedy = "run as root, or choose another with --pidfile PATH or --pidfile " + noPidFile
	// Not O_TRUNC: it may be another's. Not blocking: it may be a pipe.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, fmt.Errorf("pid file: %w; %s", err, remedy)
	}
	if err := holdPidFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("pid file %s: %w", path, err)
	}
	return &pidFile{f: f}, nil
}

func holdPidFile(f *os.File) error {
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return errors.New("not a regular file; choose another with --pidfile")
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		holder := unix.Flock_t{Type: unix.F_WRLCK}
		_ = unix.FcntlFlock(f.Fd(), unix.F_GETLK, &holder) // 0 if it has just let go
		return fmt.Errorf("locked by process %d: another usbmuxd is running; stop it first (systemctl stop usbmuxd, or kill %d)", holder.Pid, holder.Pid)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteString(strconv.Itoa(os.Getpid()))
	}
	return err
}

// release drops the lock. The file stays, as others expect.
func (p *pidFile) release() {
	if p != nil {
		p.f.Close()
	}
}
