package pairrecord

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gomuxd/plist"
)

// fault is what a faultDisk does at its operation number at.
type fault struct {
	at    int
	err   error // fail with it, once; nil: do the operation, then crash
	short bool  // of a write, do half before failing or crashing
}

var errCrashed = errors.New("crashed")

// faultDisk is a rootDisk that fails or stops at one operation. After a crash no
// operation has any effect. It does not wait for the hardware: a sync does nothing.
type faultDisk struct {
	rootDisk
	fault
	noLinks bool // as on a file system without hard links
	crashed bool
	ops     []string
}

// do counts an operation and runs it, or not.
func (d *faultDisk) do(op string, run func() error) error {
	if d.crashed {
		return errCrashed
	}
	d.ops = append(d.ops, op)
	if len(d.ops) != d.at {
		return run()
	}
	if d.err != nil {
		return d.err
	}
	err := run()
	d.crashed = true
	return err
}

// failed is the operation that failed, or after which it crashed, or "".
func (d *faultDisk) failed() string {
	if d.at == 0 || d.at > len(d.ops) {
		return ""
	}
	return d.ops[d.at-1]
}

func (d *faultDisk) read(name string) (data []byte, err error) {
	err = d.do("read "+name, func() (err error) { data, err = d.rootDisk.read(name); return err })
	return data, err
}

func (d *faultDisk) check(name string) error {
	return d.do("check "+name, func() error { return d.rootDisk.check(name) })
}

func (d *faultDisk) rename(from, to string) error {
	return d.do("rename "+to, func() error { return d.rootDisk.rename(from, to) })
}

func (d *faultDisk) renameNew(from, to string) error {
	return d.do("renameNew "+to, func() error { return d.rootDisk.renameNew(from, to) })
}

func (d *faultDisk) link(from, to string) error {
	return d.do("link "+to, func() error {
		if d.noLinks {
			return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM}
		}
		return d.rootDisk.link(from, to)
	})
}

func (d *faultDisk) remove(name string) error {
	return d.do("remove "+name, func() error { return d.rootDisk.remove(name) })
}

func (d *faultDisk) mkdir(name string) error {
	return d.do("mkdir "+name, func() error { return d.rootDisk.mkdir(name) })
}

func (d *faultDisk) sync(dir string) error {
	return d.do("sync "+dir, func() error { return nil })
}

func (d *faultDisk) names(dir string) (names []string, err error) {
	err = d.do("names "+dir, func() (err error) { names, err = d.rootDisk.names(dir); return err })
	return names, err
}

func (d *faultDisk) create(name string) (f diskFile, err error) {
	err = d.do("create "+name, func() (err error) { f, err = d.rootDisk.create(name); return err })
	if f == nil || err != nil {
		return nil, err
	}
	return &faultFile{f, d}, nil
}

type faultFile struct {
	diskFile
	d *faultDisk
}

func (f *faultFile) Write(p []byte) (n int, err error) {
	half := func() { _, _ = f.diskFile.Write(p[:len(p)/2]) }
	if f.d.short && f.d.err != nil && len(f.d.ops)+1 == f.d.at {
		half()
	}
	err = f.d.do("write", func() error {
		if f.d.short && len(f.d.ops) == f.d.at {
			half()
			return errCrashed
		}
		n, err = f.diskFile.Write(p)
		return err
	})
	return n, err
}

func (f *faultFile) Sync() error { return f.d.do("fsync", func() error { return nil }) }

// Close closes in any case, as the end of a process does.
func (f *faultFile) Close() error {
	err := f.diskFile.Close()
	if derr := f.d.do("close", func() error { return nil }); derr != nil {
		return derr
	}
	return err
}

// openFaulty is openStore with a faultDisk.
func openFaulty(t *testing.T, dir string, f fault) *Store {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(dir, &faultDisk{rootDisk: rootDisk{root}, fault: f}, nil)
	t.Cleanup(func() { s.Close() })
	if err := s.tidy(); err != nil {
		t.Fatal(err)
	}
	return s
}

// scenario is one change of a store in a known state.
type scenario struct {
	name   string
	before func(t *testing.T, s *Store)
	change func(s *Store) error
	// old and new are the record before and after the change; nil means absent.
	old, new []byte
}

func scenarios(t *testing.T) []scenario {
	one, two := testRecord(t, "1"), testRecord(t, "2")
	save := func(data []byte) func(*Store) error { return func(s *Store) error { return s.Save(udid1, data) } }
	must := func(f func(*Store) error) func(*testing.T, *Store) {
		return func(t *testing.T, s *Store) {
			if err := f(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	lesser := []byte("<plist><dict><key>HostID</key><string>h</string></dict></plist>")
	full := func(t *testing.T, s *Store) { // with as many copies as are kept
		err := os.Mkdir(filepath.Join(s.path, copyDir), 0o700)
		for range MaxCopies {
			err = errors.Join(err, os.WriteFile(filepath.Join(s.path, s.copyName(udid1+suffix, "old")), lesser, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
		must(save(one))(t, s)
	}
	buid := func(s *Store) error { _, err := s.BUID(); return err }
	return []scenario{
		{"save first", func(*testing.T, *Store) {}, save(one), nil, one},
		{"save over", must(save(one)), save(two), one, two},
		{"save over, copies full", full, save(two), one, two},
		{"save the same", must(save(one)), save(one), one, one},
		{"delete", must(save(one)), func(s *Store) error { return s.Delete(udid1) }, one, nil},
		{"set aside, copies full", full, func(s *Store) error { return s.SetAside(udid1, "refused") }, one, nil},
		{"restore", func(t *testing.T, s *Store) {
			must(save(two))(t, s)
			must(save(one))(t, s)
		}, func(s *Store) error {
			all, err := s.Copies(udid1)
			if err == nil && len(all) != 1 {
				err = fmt.Errorf("%d copies", len(all))
			}
			if err != nil {
				return err
			}
			return s.Restore(udid1, all[0].ID)
		}, one, two},
		{"untrust", must(save(one)), func(s *Store) error { return s.Untrust(udid1) }, one, nil},
		{"note a use", must(save(one)), func(s *Store) error { return s.Touch(udid1) }, one, one},
		{"note another use", func(t *testing.T, s *Store) {
			must(save(one))(t, s)
			must(func(s *Store) error { return s.Touch(udid1) })(t, s)
		}, func(s *Store) error { return s.Touch(udid1) }, one, one},
		{"new BUID", must(save(one)), buid, one, one},
		{"BUID into a file", func(t *testing.T, s *Store) {
			must(save(one))(t, s)
			data, err := plist.MarshalXML(map[string]any{"Other": "x"})
			if err == nil {
				err = os.WriteFile(filepath.Join(s.path, configName), data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, buid, one, one},
	}
}

// TestFaults fails, and crashes after, each operation of each change in turn.
func TestFaults(t *testing.T) {
	for _, noLinks := range []bool{false, true} {
		for _, sc := range scenarios(t) {
			for _, f := range []struct {
				name string
				fault
			}{
				{"full disk", fault{err: syscall.ENOSPC}},
				{"full disk, half written", fault{err: syscall.ENOSPC, short: true}},
				{"read-only", fault{err: syscall.EROFS}},
				{"I/O error", fault{err: syscall.EIO}},
				{"I/O error, half written", fault{err: syscall.EIO, short: true}},
				{"no descriptors", fault{err: syscall.EMFILE}},
				{"no descriptors in the system", fault{err: syscall.ENFILE}},
				{"no memory", fault{err: syscall.ENOMEM}},
				{"crash", fault{}},
				{"crash, half written", fault{short: true}},
			} {
				t.Run(fmt.Sprintf("%s, links %v, %s", sc.name, !noLinks, f.name), func(t *testing.T) {
					_, ops := faultOnce(t, sc, fault{}, noLinks)
					for i, op := range ops {
						if f.at = i + 1; f.short && op != "write" {
							continue
						}
						if met, _ := faultOnce(t, sc, f.fault, noLinks); met == "" {
							t.Errorf("operation %d (%s) was not reached", f.at, op)
						}
					}
				})
			}
		}
	}
}

// faultOnce makes the change and returns the operation that met the fault, "" if
// none did, and all operations.
func faultOnce(t *testing.T, sc scenario, f fault, noLinks bool) (met string, ops []string) {
	t.Helper()
	dir := memoryDir(t)
	prep := openFaulty(t, dir, fault{})
	sc.before(t, prep)
	prep.Close()
	copiesBefore := len(copies(t, dir))

	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := &faultDisk{rootDisk: rootDisk{root}, fault: f, noLinks: noLinks}
	s := newStore(dir, d, nil)
	err = sc.change(s)
	op := d.failed()
	verb, _, _ := strings.Cut(op, " ")
	where := fmt.Sprintf("operation %d (%s)", f.at, op)
	if err == nil && op == "" && !bytes.Equal(sc.new, readRaw(t, dir)) {
		t.Errorf("without a fault the record is not the new one")
	}
	if f.err != nil && op != "" {
		if err != nil && Errno(err) != Errno(f.err) {
			t.Errorf("%s: number = %d (%v), want %d", where, Errno(err), err, Errno(f.err))
		}
		// A failed change has changed nothing, except if it failed to make the
		// change last.
		if got := readRaw(t, dir); err != nil && !bytes.Equal(sc.old, got) && verb != "sync" {
			t.Errorf("%s: the call fails with %v, and the record is not the old one", where, err)
		}
		if temps := temps(t, dir); len(temps) > 0 && verb != "remove" {
			t.Errorf("%s: left behind: %q", where, temps)
		}
	}
	root.Close()

	// The next run.
	s = openFaulty(t, dir, fault{})
	defer s.Close()
	got := readRaw(t, dir)
	if !bytes.Equal(sc.old, got) && !bytes.Equal(sc.new, got) {
		t.Errorf("%s: record = %q, neither the old nor the new one", where, got)
	}
	if read, rerr := s.Read(udid1); !bytes.Equal(read, got) || got == nil && !errors.Is(rerr, fs.ErrNotExist) {
		t.Errorf("%s: Read = %q, %v; file has %q", where, read, rerr, got)
	}
	if err == nil && !d.crashed && !bytes.Equal(sc.new, got) {
		t.Errorf("%s: the call succeeded, and the record is not the new one", where)
	}
	kept := []string{filepath.Join(untrustDir, udid1+suffix)}
	for _, name := range copies(t, dir) {
		kept = append(kept, filepath.Join(copyDir, name))
	}
	if sc.old != nil && !bytes.Equal(sc.old, got) && !slices.ContainsFunc(kept, func(name string) bool {
		data, err := os.ReadFile(filepath.Join(dir, name))
		return err == nil && bytes.Equal(sc.old, data)
	}) {
		t.Errorf("%s: the old record is nowhere", where)
	}
	if n := len(copies(t, dir)); n > max(copiesBefore, MaxCopies)+1 {
		t.Errorf("%s: %d copies", where, n)
	}
	if temps := temps(t, dir); len(temps) > 0 {
		t.Errorf("%s: left behind after the next Open: %q", where, temps)
	}
	if used, err := s.Used(udid1); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: Used = %v, %v; want a whole note or none", where, used, err)
	}
	buid, err := s.BUID()
	if err != nil {
		t.Errorf("%s: BUID = %v", where, err)
	}
	if again, err := s.BUID(); err != nil || again != buid {
		t.Errorf("%s: BUID = %q then %q, %v", where, buid, again, err)
	}
	if err := s.Save(udid1, testRecord(t, "after")); err != nil {
		t.Errorf("%s: Save afterwards: %v", where, err)
	}
	return op, d.ops
}

// TestFaultBUID checks that a BUID once returned is the one returned later.
func TestFaultBUID(t *testing.T) {
	for _, noLinks := range []bool{false, true} {
		for at, errno := 1, syscall.ENOSPC; ; at++ {
			dir := memoryDir(t)
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			d := &faultDisk{rootDisk: rootDisk{root}, fault: fault{at: at, err: errno}, noLinks: noLinks}
			s := newStore(dir, d, nil)
			first, err := s.BUID()
			op := d.failed()
			d.at = 0 // the fault is over
			second, err2 := s.BUID()
			third, err3 := openFaulty(t, dir, fault{}).BUID()
			root.Close()
			if err == nil && first != second || err2 != nil || err3 != nil || second != third {
				t.Errorf("operation %d (%s): BUID = %q, %v; %q, %v; %q, %v", at, op, first, err, second, err2, third, err3)
			}
			if err != nil && Errno(err) != int(errno) {
				t.Errorf("operation %d (%s): number = %d, want %d", at, op, Errno(err), errno)
			}
			if op == "" && errno == syscall.EIO {
				break
			}
			if op == "" {
				at, errno = 0, syscall.EIO
			}
		}
	}
}

// TestSaveOrder checks that data is on the disk before its name is, and the old
// record's second name before the first goes.
func TestSaveOrder(t *testing.T) {
	dir := t.TempDir()
	if err := openStore(t, dir).Save(udid1, testRecord(t, "1")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	d := &faultDisk{rootDisk: rootDisk{root}}
	if err := newStore(dir, d, nil).Save(udid1, testRecord(t, "2")); err != nil {
		t.Fatal(err)
	}
	want := []string{"create", "write", "fsync", "link", "sync .replaced", "rename", "sync .", "close"}
	i := 0
	for _, op := range d.ops {
		if i < len(want) && strings.HasPrefix(op, want[i]) {
			i++
		}
	}
	if i != len(want) {
		t.Errorf("operations = %q, want in this order %q", d.ops, want)
	}
}

// memoryDir returns a new directory, in memory if there is one there: the fault
// tests make a thousand.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "pairrecord")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// readRaw returns udid1's file, or nil if there is none.
func readRaw(t *testing.T, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, udid1+suffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return data
}

// temps returns the temporary files in dir and in its .replaced.
func temps(t *testing.T, dir string) []string {
	t.Helper()
	ents, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range ents {
		if n := e.Name(); n != copyDir && n != untrustDir && n != usedDir && n != configName && recordID(n) == "" {
			names = append(names, n)
		}
	}
	return names
}
