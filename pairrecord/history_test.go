package pairrecord

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const historyUDID = "00008110-000A111122223333"

func TestUsed(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	if _, err := s.Used(historyUDID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Used before any use: %v", err)
	}
	before := time.Now().Add(-time.Second)
	for range 2 {
		if err := s.Touch(historyUDID); err != nil {
			t.Fatal(err)
		}
	}
	if at, err := s.Used(historyUDID); err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("Used = %v, %v", at, err)
	}
	if err := os.WriteFile(filepath.Join(dir, usedDir, historyUDID), []byte("yesterday"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Used(historyUDID); err == nil {
		t.Error("Used takes yesterday for a time")
	}
	for _, bad := range []string{"", "../x", "SystemConfiguration"} {
		if err := s.Touch(bad); !errors.Is(err, ErrInvalidID) {
			t.Errorf("Touch(%q) = %v", bad, err)
		}
		if _, err := s.Used(bad); !errors.Is(err, ErrInvalidID) {
			t.Errorf("Used(%q) = %v", bad, err)
		}
	}
	if ids, err := s.List(); err != nil || len(ids) != 0 {
		t.Errorf("List = %v, %v", ids, err)
	}
}

func TestUntrust(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	if err := s.Untrust(historyUDID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Untrust without a record: %v", err)
	}
	if err := s.Save(historyUDID, testRecord(t, "a")); err != nil {
		t.Fatal(err)
	}
	want, err := s.Record(historyUDID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Untrust(historyUDID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(historyUDID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the record is still in use: %v", err)
	}
	// It outlives the process, and what the phone is told it with.
	s = openStore(t, dir)
	got, err := s.Untrusted(historyUDID)
	if err != nil || got.HostID != want.HostID || !bytes.Equal(got.RootPrivateKey, want.RootPrivateKey) {
		t.Errorf("Untrusted = %v, %v, want %v", got, err, want)
	}
	for range 2 {
		if err := s.Forgotten(historyUDID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Untrusted(historyUDID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Untrusted after Forgotten: %v", err)
	}
	if all, err := s.Copies(historyUDID); err != nil || len(all) != 1 || all[0].Reason != "untrusted" {
		t.Errorf("Copies = %v, %v", all, err)
	}
}

func TestCopiesAndRestore(t *testing.T) {
	s := openStore(t, t.TempDir())
	if all, err := s.Copies(historyUDID); err != nil || len(all) != 0 {
		t.Fatalf("Copies = %v, %v", all, err)
	}
	if kept, err := s.Kept(); err != nil || len(kept) != 0 {
		t.Errorf("Kept = %v, %v", kept, err)
	}
	for _, mark := range []string{"a", "b", "c"} {
		if err := s.Save(historyUDID, testRecord(t, mark)); err != nil {
			t.Fatal(err)
		}
	}
	first, err := s.Copies(historyUDID)
	if err != nil || len(first) != 2 || first[0].Reason != "replaced" || !first[0].Replaced.After(first[1].Replaced) {
		t.Fatalf("Copies = %v, %v", first, err)
	}
	if err := s.SetAside(historyUDID, "InvalidHostID"); err != nil {
		t.Fatal(err)
	}
	if kept, err := s.Kept(); err != nil || !slices.Equal(kept, []string{historyUDID}) {
		t.Errorf("Kept = %v, %v", kept, err)
	}
	oldest := first[1].ID
	if err := s.Restore(historyUDID, oldest); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(historyUDID); err != nil || !bytes.Equal(got, readNormal(t, "a")) {
		t.Errorf("restored %q, %v", got, err)
	}
	if all, _ := s.Copies(historyUDID); len(all) != 3 || all[0].Reason != "invalidhostid" {
		t.Errorf("Copies = %v", all)
	}
	for _, bad := range []string{"", "x", "../" + oldest, oldest + "/../..", "20060102T150405.000000000Z.replaced"} {
		if err := s.Restore(historyUDID, bad); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Restore(%q) = %v", bad, err)
		}
	}
}

// readNormal is the record of a mark as it is stored.
func readNormal(t *testing.T, mark string) []byte {
	t.Helper()
	_, xml, err := normalize(testRecord(t, mark))
	if err != nil {
		t.Fatal(err)
	}
	return xml
}
