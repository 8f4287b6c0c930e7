package pairrecord

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFullerRecordStays saves one complete record and then many that have no
// escrow bag, as a locked supervised phone gives them.
func TestFullerRecordStays(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	fuller := testRecord(t, "fuller")
	if err := s.Save(udid1, fuller); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * MaxCopies {
		data, err := Record{HostID: fmt.Sprint("lesser ", i), HostPrivateKey: []byte("k")}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Save(udid1, data); err != nil {
			t.Fatal(err)
		}
	}
	found := false
	names := copies(t, dir)
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, copyDir, name))
		if err != nil {
			t.Fatal(err)
		}
		found = found || bytes.Equal(fuller, data)
	}
	if len(names) != MaxCopies || !found {
		t.Errorf("%d copies, the fuller among them: %v; want %d, true", len(names), found, MaxCopies)
	}
}

func TestCopiesBounded(t *testing.T) {
	dir := memoryDir(t)
	s := openStore(t, dir)
	for i := range 2 * MaxCopies {
		if err := s.Save(udid1, testRecord(t, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(copies(t, dir)); n != MaxCopies {
		t.Errorf("copies of one phone = %d, want %d", n, MaxCopies)
	}
	foreign := filepath.Join(dir, copyDir, "README")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range MaxAllCopies + 10 {
		name := fmt.Sprintf("%040x.plist.%s.deleted", i, time.Unix(int64(i), 0).UTC().Format(copyTime))
		if err := os.WriteFile(filepath.Join(dir, copyDir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(udid1); err != nil {
		t.Fatal(err)
	}
	names := copies(t, dir)
	own := 0
	for _, name := range names {
		if strings.HasPrefix(name, udid1) {
			own++
		}
	}
	if len(names) != MaxAllCopies+1 || own != MaxCopies {
		t.Errorf("copies = %d, of them newest %d; want %d with the foreign file, %d", len(names), own, MaxAllCopies+1, MaxCopies)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("foreign file: %v", err)
	}
}

// TestCopyNames checks that names sort by age though the clock stands still.
func TestCopyNames(t *testing.T) {
	s := newStore("", nil, nil)
	s.last = time.Now().Add(time.Hour).UTC()
	last := ""
	for range 1000 {
		name := s.copyName(udid1+suffix, "../ä\x00/"+strings.Repeat("x", 300))
		c, ok := parseCopy(strings.TrimPrefix(name, copyDir+"/"))
		if !ok || c.udid != udid1 || c.when <= last {
			t.Fatalf("copyName = %q after %q, parsed %+v, %v", name, last, c, ok)
		}
		if strings.Count(name, "/") != 1 || len(name) > 200 || strings.ContainsRune(name, 0) {
			t.Fatalf("copyName = %q", name)
		}
		last = c.when
	}
}
