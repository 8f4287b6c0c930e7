package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// pidFile is the held lock of a running daemon, nil for none.
//
// The lock is a classic record lock, so that other implementations see it and
// can ask for the holder's process id. It is dropped when any descriptor of the
// file is closed in this process, and a child does not inherit it: nothing else
// may open it, and it is taken by the process that stays.
type pidFile struct{ f *os.File }

// heldError says that another process holds the lock.
type heldError struct {
	path string
	pid  int // 0 or less if the kernel does not say
}

func (e *heldError) Error() string {
	if e.pid <= 0 {
		return fmt.Sprintf("pid file %s: locked by a process that cannot be seen from here, in another container perhaps; "+
			"stop it first, or choose another file with --pidfile", e.path)
	}
	name := "another program"
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", e.pid)); err == nil {
		name = strings.TrimSpace(string(comm))
	}
	return fmt.Sprintf("pid file %s: locked by process %d (%s): another usbmuxd is running; "+
		"stop it first (systemctl stop usbmuxd, or usbmuxd -X), or choose another file with --pidfile", e.path, e.pid, name)
}

// openPidFile opens the pid file. Not O_TRUNC: it may be another's. Not
// blocking: it may be a pipe.
func openPidFile(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err == nil {
		if st, serr := f.Stat(); serr != nil || !st.Mode().IsRegular() {
			f.Close()
			err = &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("pid file: %w; run as root, or choose another with --pidfile PATH or --pidfile %s", err, none)
	}
	return f, nil
}

// lockPidFile makes the pid file at path if it is missing, locks it and writes
// the process id. It fails if another process holds the lock, with a *heldError,
// and then changes nothing. The file is never removed: whoever else starts meets
// the same lock.
func lockPidFile(path string) (*pidFile, error) {
	if path == none {
		return nil, nil
	}
	for {
		f, err := openPidFile(path, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return nil, err
		}
		if err := lock(f, path); err != nil {
			f.Close()
			return nil, err
		}
		if same(f, path) {
			if err := writePid(f); err != nil {
				f.Close()
				return nil, fmt.Errorf("pid file %s: %w", path, err)
			}
			return &pidFile{f: f}, nil
		}
		f.Close() // somebody has taken it for stale and removed it in between
	}
}

func lock(f *os.File, path string) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return &heldError{path, holderOf(f)} // 0 if it has just let go
	}
	if err != nil {
		return fmt.Errorf("pid file %s: %w", path, err)
	}
	return nil
}

// holderOf asks for the process that holds the lock: 0 for none, or for one of
// another process namespace; -1 for a lock of another kind.
func holderOf(f *os.File) int {
	held := unix.Flock_t{Type: unix.F_WRLCK}
	if unix.FcntlFlock(f.Fd(), unix.F_GETLK, &held) != nil || held.Type == unix.F_UNLCK {
		return 0
	}
	return int(held.Pid)
}

// same reports whether f is still the file at path.
func same(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(ours, there)
}

func writePid(f *os.File) error {
	if err := plainPid(f); err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return err
}

// plainPid refuses a file that no daemon has written: a path may be mistyped.
func plainPid(f *os.File) error {
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err == nil && strings.Trim(strings.TrimSpace(string(text)), "0123456789") != "" {
		err = errors.New("holds something else than a process id; move it away, or choose another with --pidfile")
	}
	return err
}

// release drops the lock. The file stays, as others expect.
func (p *pidFile) release() {
	if p != nil {
		p.f.Close()
	}
}

// checkPidFile fails with a *heldError if another process holds the lock on the
// pid file at path. It changes nothing; a missing file is locked by nobody.
func checkPidFile(path string) error {
	if path == none {
		return nil
	}
	f, err := openPidFile(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	held := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &held); err != nil {
		return fmt.Errorf("pid file %s: %w", path, err)
	}
	if held.Type != unix.F_UNLCK {
		return &heldError{path, int(held.Pid)}
	}
	return nil
}

// signalHolder sends sig to the daemon that holds the pid file. Without one it
// removes the file that a daemon has left behind.
func signalHolder(path string, sig syscall.Signal) error {
	if path == none {
		return errors.New("without a pid file the running usbmuxd cannot be found; name its file with --pidfile")
	}
	err := checkPidFile(path)
	var held *heldError
	switch {
	case errors.As(err, &held):
		return held.signal(sig)
	case err != nil:
		return err
	}
	return removePidFile(path)
}

// signal sends sig to the holder of the lock.
func (e *heldError) signal(sig syscall.Signal) error {
	if e.pid <= 0 { // kill would take it for many processes
		return e
	}
	err := syscall.Kill(e.pid, sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) { // it has just ended
		return fmt.Errorf("process %d, which holds %s: %w; run as root or as its user", e.pid, e.path, err)
	}
	return nil
}

// removePidFile removes a pid file that nobody holds, while holding it: whoever
// is about to lock it notices.
func removePidFile(path string) error {
	f, err := openPidFile(path, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var held *heldError
	if err := lock(f, path); err != nil {
		if errors.As(err, &held) {
			return nil // one has just started; it is not the one that was meant
		}
		return err
	}
	if !same(f, path) {
		return nil
	}
	err = plainPid(f)
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("pid file %s: %w", path, err)
	}
	return nil
}
