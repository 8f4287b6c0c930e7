package pairrecord

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk is the file operations a Store uses, all by names below its directory.
// Tests replace it with one that fails or stops at a chosen operation.
type disk interface {
	// read returns a regular file's bytes, at most MaxSize of them.
	read(name string) ([]byte, error)
	// create makes a new 0600 file and locks it, see sweep.
	create(name string) (diskFile, error)
	// rename moves from onto to, replacing it.
	rename(from, to string) error
	// renameNew moves from to to, or fails with fs.ErrExist if to is there.
	renameNew(from, to string) error
	// link gives from the second name to, or fails with fs.ErrExist.
	link(from, to string) error
	// remove deletes a file.
	remove(name string) error
	// sweep deletes a file that no live create holds open.
	sweep(name string) error
	// mkdir makes a 0700 directory; one that is there already will do.
	mkdir(name string) error
	// sync makes the names in a directory survive a power cut.
	sync(dir string) error
	// names lists a directory in no order.
	names(dir string) ([]string, error)
	// tighten removes all access of others from a regular file that this
	// process's user owns, and reports whether there was any.
	tighten(name string) (bool, error)
	// check returns ErrNotRegular unless name is a regular file.
	check(name string) error
	close() error
}

// diskFile is a file being written. Its lock lasts until Close.
type diskFile interface {
	io.WriteCloser
	Sync() error
}

// rootDisk is the real disk.
type rootDisk struct{ root *os.Root }

func (d rootDisk) read(name string) ([]byte, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: %w (more than %d bytes)", name, ErrTooLarge, MaxSize)
	}
	return data, nil
}

// open opens the regular file name for reading. The look before the open keeps
// links out; the one after it finds a file that was exchanged in between. Non-blocking,
// since opening a pipe would wait for its writer.
func (d rootDisk) open(name string) (*os.File, error) {
	before, err := d.lstat(name)
	if err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%s: %w", name, ErrNotRegular)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (d rootDisk) lstat(name string) (fs.FileInfo, error) {
	fi, err := d.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w (%s)", name, ErrNotRegular, fi.Mode().Type())
	}
	return fi, nil
}

func (d rootDisk) check(name string) error {
	_, err := d.lstat(name)
	return err
}

// create makes the file and holds its lock, which says that a save is at work.
// A sweep may come between the two and remove the file; then it is made again.
func (d rootDisk) create(name string) (diskFile, error) {
	for {
		f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		if flock(f, unix.LOCK_EX) != nil {
			return f, nil // a file system without locks: nobody sweeps there
		}
		mine, err := f.Stat()
		if err == nil {
			var there fs.FileInfo
			if there, err = d.root.Lstat(name); err == nil && os.SameFile(mine, there) {
				return f, nil
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// sweep removes a temporary file that no save holds.
func (d rootDisk) sweep(name string) error {
	f, err := d.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil // held, or no way to tell
	}
	if err := d.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (d rootDisk) rename(from, to string) error { return d.root.Rename(from, to) }
func (d rootDisk) link(from, to string) error   { return d.root.Link(from, to) }
func (d rootDisk) remove(name string) error     { return d.root.Remove(name) }
func (d rootDisk) close() error                 { return d.root.Close() }

// renameNew takes plain names only: the kernel resolves them itself, which is
// safe for a name without a slash.
func (d rootDisk) renameNew(from, to string) error {
	dir, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	fd := int(dir.Fd())
	if err := unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "renameat2", Old: from, New: to, Err: err}
	}
	return nil
}

func (d rootDisk) mkdir(name string) error {
	err := d.root.Mkdir(name, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	fi, err := d.root.Lstat(name)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s: %w", name, syscall.ENOTDIR)
	}
	return err
}

func (d rootDisk) sync(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	err = f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // this file system cannot sync a directory
	}
	return err
}

func (d rootDisk) names(dir string) ([]string, error) {
	f, err := d.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (d rootDisk) tighten(name string) (bool, error) {
	f, err := d.open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return false, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || fi.Mode().Perm()&0o077 == 0 {
		return false, nil
	}
	return true, f.Chmod(0o600)
}
