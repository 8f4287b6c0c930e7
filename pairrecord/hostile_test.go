package pairrecord

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPlanted puts other things than files in the place of a record.
func TestPlanted(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside.plist")
	secret := testRecord(t, "outside")
	if err := os.WriteFile(outside, secret, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		plant func(path string) error
		want  error
	}{
		{"link to outside", func(p string) error { return os.Symlink(outside, p) }, ErrNotRegular},
		{"link to a record", func(p string) error { return os.Symlink(udid2+suffix, p) }, ErrNotRegular},
		{"link to itself", func(p string) error { return os.Symlink(filepath.Base(p), p) }, ErrNotRegular},
		{"link to nothing", func(p string) error { return os.Symlink("nothing", p) }, ErrNotRegular},
		{"pipe", func(p string) error { return unix.Mkfifo(p, 0o600) }, ErrNotRegular},
		{"directory", func(p string) error { return os.Mkdir(p, 0o700) }, ErrNotRegular},
		{"device", func(p string) error { return os.Symlink("/dev/zero", p) }, ErrNotRegular},
		{"too large", func(p string) error { return os.WriteFile(p, make([]byte, MaxSize+1), 0o600) }, ErrTooLarge},
		{"empty", func(p string) error { return os.WriteFile(p, nil, 0o600) }, fs.ErrNotExist},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir)
			if err := s.Save(udid2, testRecord(t, "2")); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, udid1+suffix)
			if err := tt.plant(path); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Read(udid1); !errors.Is(err, tt.want) {
				t.Errorf("Read = %d bytes, %v; want %v", len(got), err, tt.want)
			}
			if _, err := s.Record(udid1); !errors.Is(err, tt.want) {
				t.Errorf("Record = %v, want %v", err, tt.want)
			}
			if tt.want == ErrNotRegular {
				if ids, err := s.List(); err != nil || !slices.Equal(ids, []string{udid2}) {
					t.Errorf("List = %q, %v; want the record alone", ids, err)
				}
				if err := s.Save(udid1, testRecord(t, "1")); !errors.Is(err, ErrNotRegular) {
					t.Errorf("Save = %v, want ErrNotRegular", err)
				}
				if err := s.Delete(udid1); !errors.Is(err, ErrNotRegular) {
					t.Errorf("Delete = %v, want ErrNotRegular", err)
				}
			} else if err := s.Save(udid1, testRecord(t, "1")); err != nil {
				t.Errorf("Save over it = %v", err)
			}
			openStore(t, dir) // does not wait either
			if got, err := os.ReadFile(outside); err != nil || !bytes.Equal(secret, got) {
				t.Errorf("the file outside changed: %q, %v", got, err)
			}
		})
	}
}

func TestPlantedBUID(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	outside := filepath.Join(t.TempDir(), "x")
	if err := os.Symlink(outside, filepath.Join(dir, configName)); err != nil {
		t.Fatal(err)
	}
	if buid, err := s.BUID(); !errors.Is(err, ErrNotRegular) {
		t.Errorf("BUID = %q, %v; want ErrNotRegular", buid, err)
	}
	if _, err := os.Lstat(outside); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("file outside: %v, want none", err)
	}
}

// TestPlantedCopies leads .replaced elsewhere.
func TestPlantedCopies(t *testing.T) {
	for _, tt := range []struct {
		name  string
		plant func(path, outside string) error
	}{
		{"link to outside", func(p, o string) error { return os.Symlink(o, p) }},
		{"link to here", func(p, _ string) error { return os.Symlink(".", p) }},
		{"file", func(p, _ string) error { return os.WriteFile(p, nil, 0o600) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, outside := t.TempDir(), t.TempDir()
			s := openStore(t, dir)
			want := testRecord(t, "1")
			if err := s.Save(udid1, want); err != nil {
				t.Fatal(err)
			}
			if err := tt.plant(filepath.Join(dir, copyDir), outside); err != nil {
				t.Fatal(err)
			}
			if err := s.Save(udid1, testRecord(t, "2")); err == nil {
				t.Error("Save = nil, want an error")
			}
			if err := s.Delete(udid1); err == nil {
				t.Error("Delete = nil, want an error")
			}
			if got, err := s.Read(udid1); err != nil || !bytes.Equal(want, got) {
				t.Errorf("Read = %q, %v; want the old record", got, err)
			}
			if ents, err := os.ReadDir(outside); err != nil || len(ents) != 0 {
				t.Errorf("outside: %v, %v; want nothing", ents, err)
			}
		})
	}
}

// TestInvalidIDTouchesNothing gives every call ids that lead elsewhere.
func TestInvalidIDTouchesNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "lockdown")
	s := openStore(t, dir)
	buid, err := s.BUID()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parent, "x.plist"), testRecord(t, "x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"../x", "SystemConfiguration", "", ".", "x\x00", dir + "/../x", strings.Repeat("a", 5000)} {
		_, rerr := s.Read(id)
		_, derr := s.Record(id)
		for call, err := range map[string]error{
			"Read": rerr, "Record": derr, "Save": s.Save(id, testRecord(t, "1")), "Delete": s.Delete(id), "SetAside": s.SetAside(id, "r"),
		} {
			if !errors.Is(err, ErrInvalidID) || Errno(err) != 22 {
				t.Errorf("%s(%.20q) = %v (%d), want ErrInvalidID (22)", call, id, err, Errno(err))
			}
		}
	}
	if got, err := s.BUID(); err != nil || got != buid {
		t.Errorf("BUID = %q, %v; want %q", got, err, buid)
	}
	ents, err := os.ReadDir(dir)
	if err != nil || len(ents) != 1 {
		t.Errorf("directory: %v, %v; want SystemConfiguration.plist alone", ents, err)
	}
}

func TestTooManyRecords(t *testing.T) {
	dir := memoryDir(t)
	s := openStore(t, dir)
	for i := range MaxRecords {
		name := strings.Repeat("0", 32) + string([]byte{hexDigit(i >> 12), hexDigit(i >> 8), hexDigit(i >> 4), hexDigit(i)}) + "0000"
		if err := os.WriteFile(filepath.Join(dir, name+suffix), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(udid1, testRecord(t, "1")); !errors.Is(err, ErrFull) || Errno(err) != 28 {
		t.Errorf("Save of a new phone = %v (%d), want ErrFull (28)", err, Errno(err))
	}
	if err := s.Save(strings.Repeat("0", 40), testRecord(t, "1")); err != nil {
		t.Errorf("Save of a known phone = %v", err)
	}
}

func hexDigit(n int) byte { return "0123456789abcdef"[n&15] }
