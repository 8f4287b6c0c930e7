package pairrecord

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomuxd/plist"
)

const (
	udid1 = "00008101-000A1B2C3D4E001E"
	udid2 = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"
)

// testRecord returns a complete record's XML; mark makes it differ from others.
func testRecord(t testing.TB, mark string) []byte {
	t.Helper()
	data, err := Record{
		HostID: "HOST-" + mark, SystemBUID: "BUID", WiFiMACAddress: "aa:bb:cc:dd:ee:ff",
		HostPrivateKey: []byte("host key " + mark), RootPrivateKey: []byte("root key"),
		HostCertificate: []byte("host cert"), RootCertificate: []byte("root cert"),
		DeviceCertificate: []byte("device cert"), EscrowBag: []byte{1, 2, 3},
	}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// copies returns the names in dir's .replaced.
func copies(t testing.TB, dir string) []string {
	t.Helper()
	ents, err := os.ReadDir(filepath.Join(dir, copyDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range ents {
		names = append(names, e.Name())
	}
	return names
}

func TestSaveReadDelete(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "lockdown")
	s := openStore(t, dir)
	if _, err := s.Read(udid1); !errors.Is(err, fs.ErrNotExist) || Errno(err) != 2 {
		t.Fatalf("Read of none = %v (%d), want fs.ErrNotExist (2)", err, Errno(err))
	}
	one, two := testRecord(t, "1"), testRecord(t, "2")
	for _, data := range [][]byte{one, one, two} {
		if err := s.Save(udid1, data); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Read(udid1); err != nil || !bytes.Equal(data, got) {
			t.Fatalf("Read = %q, %v; want %q", got, err, data)
		}
	}
	if got := copies(t, dir); len(got) != 1 {
		t.Fatalf("copies = %q, want one: the same again needs none", got)
	}
	fi, err := os.Stat(filepath.Join(dir, udid1+".plist"))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("record mode = %v, %v; want 0600", fi.Mode(), err)
	}
	if got, err := s.List(); err != nil || !slices.Equal(got, []string{udid1}) {
		t.Fatalf("List = %q, %v", got, err)
	}
	if err := s.Delete(udid1); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(udid1); Errno(err) != 2 {
		t.Fatalf("second Delete = %v, want number 2", err)
	}
	if err := s.Save(udid1, one); err != nil {
		t.Fatal(err)
	}
	if err := s.SetAside(udid1, "Phone says: InvalidHostID/../x"); err != nil {
		t.Fatal(err)
	}
	got := copies(t, dir)
	slices.SortFunc(got, func(a, b string) int { return strings.Compare(a[len(udid1):], b[len(udid1):]) })
	want := []string{"replaced", "deleted", "phone-says--invalidhostid----x"}
	for i, name := range got {
		if !strings.HasSuffix(name, "."+want[i]) {
			t.Errorf("copy %d = %q, want suffix %q", i, name, want[i])
		}
		kept, err := os.ReadFile(filepath.Join(dir, copyDir, name))
		if w := [][]byte{one, two, one}[i]; err != nil || !bytes.Equal(w, kept) {
			t.Errorf("copy %d = %q, %v; want %q", i, kept, err, w)
		}
	}
}

func TestSaveUnknownKeysSurvive(t *testing.T) {
	s := openStore(t, t.TempDir())
	want := map[string]any{
		"HostID": "H", "DevicePublicKey": []byte("k"), "Nested": map[string]any{"n": uint64(5), "a": []any{"x", true}},
		"Date": time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for _, enc := range []struct {
		name string
		f    func(any) ([]byte, error)
	}{{"xml", plist.MarshalXML}, {"binary", plist.MarshalBinary}} {
		t.Run(enc.name, func(t *testing.T) {
			data, err := enc.f(want)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Save(udid2, data); err != nil {
				t.Fatal(err)
			}
			got, err := s.Read(udid2)
			if err != nil || !bytes.HasPrefix(got, []byte("<?xml")) {
				t.Fatalf("Read = %q, %v; want XML", got, err)
			}
			wantXML, err := plist.MarshalXML(want)
			if err != nil || !bytes.Equal(wantXML, got) {
				t.Fatalf("Read = %s, %v; want %s", got, err, wantXML)
			}
		})
	}
}

func TestSaveRefuses(t *testing.T) {
	s := openStore(t, t.TempDir())
	want := testRecord(t, "1")
	if err := s.Save(udid1, want); err != nil {
		t.Fatal(err)
	}
	xml := func(body string) string { return `<plist version="1.0">` + body + `</plist>` }
	for _, tt := range []struct{ name, data string }{
		{"empty", ""},
		{"short", "<plist>"},
		{"no plist", "hello world"},
		{"array", xml("<array></array>")},
		{"string", xml("<string>secret</string>")},
		{"no HostID", xml("<dict><key>HostPrivateKey</key><data>c2VjcmV0</data></dict>")},
		{"HostID number", xml("<dict><key>HostID</key><integer>1</integer></dict>")},
		{"HostID empty", xml("<dict><key>HostID</key><string></string></dict>")},
		{"cut short", string(want[:len(want)-10])},
		{"bad base64", xml("<dict><key>HostID</key><string>h</string><key>K</key><data>secret!</data></dict>")},
		{"secret as integer", xml("<dict><key>HostID</key><string>h</string><key>K</key><integer>secret</integer></dict>")},
		{"secret as date", xml("<dict><key>HostID</key><string>h</string><key>K</key><date>secret</date></dict>")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := s.Save(udid1, []byte(tt.data))
			if !errors.Is(err, ErrInvalidData) || Errno(err) != 22 {
				t.Fatalf("Save = %v (%d), want ErrInvalidData (22)", err, Errno(err))
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("error has content of the record: %v", err)
			}
			if got, err := s.Read(udid1); err != nil || !bytes.Equal(want, got) {
				t.Fatalf("Read after refusal = %q, %v; want the old record", got, err)
			}
		})
	}
}

func TestBUID(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	want, err := s.BUID()
	if err != nil || !regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`).MatchString(want) {
		t.Fatalf("BUID = %q, %v; want an upper-case UUID v4", want, err)
	}
	if got, err := openStore(t, dir).BUID(); err != nil || got != want {
		t.Fatalf("BUID again = %q, %v; want %q", got, err, want)
	}
	if got, err := s.List(); err != nil || len(got) != 0 {
		t.Fatalf("List = %q, %v; want none", got, err)
	}
}

func TestBUIDKeepsOtherKeys(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	path := filepath.Join(dir, "SystemConfiguration.plist")
	old, err := plist.MarshalXML(map[string]any{"Other": []byte("kept")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, old, 0o644); err != nil {
		t.Fatal(err)
	}
	want, err := s.BUID()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		SystemBUID string
		Other      []byte
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = plist.Unmarshal(data, &got)
	}
	if err != nil || got.SystemBUID != want || string(got.Other) != "kept" {
		t.Fatalf("file = %+v, %v; want BUID %q and the other key", got, err, want)
	}
}

func TestBUIDNeverRemade(t *testing.T) {
	for _, tt := range []struct{ name, data string }{
		{"empty", ""},
		{"cut short", "<?xml version=\"1.0\"?><plist><dict><key>SystemBUID</key><str"},
		{"array", "<plist version=\"1.0\"><array></array></plist>"},
		{"number", "<plist version=\"1.0\"><dict><key>SystemBUID</key><integer>1</integer></dict></plist>"},
		{"no text", "<plist version=\"1.0\"><dict><key>SystemBUID</key><string></string></dict></plist>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir)
			path := filepath.Join(dir, "SystemConfiguration.plist")
			if err := os.WriteFile(path, []byte(tt.data), 0o644); err != nil {
				t.Fatal(err)
			}
			buid, err := s.BUID()
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "to repair") {
				t.Fatalf("BUID = %q, %v; want an error with path and remedy", buid, err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != tt.data {
				t.Fatalf("file = %q, %v; want it unchanged", got, err)
			}
		})
	}
}

func TestBUIDOneWinner(t *testing.T) {
	dir := t.TempDir()
	const n = 16
	got := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		s := openStore(t, dir) // each its own, as processes have
		wg.Go(func() {
			var err error
			if got[i], err = s.BUID(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if slices.Sort(got); got[0] != got[n-1] || got[0] == "" {
		t.Fatalf("BUIDs differ: %q", got)
	}
	ents, err := os.ReadDir(dir)
	if err != nil || len(ents) != 1 {
		t.Fatalf("directory = %v, %v; want one file", ents, err)
	}
}

func TestErrno(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, 0},
		{"id", invalidID("x"), 22},
		{"data", ErrInvalidData, 22},
		{"absent", fs.ErrNotExist, 2},
		{"path", &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, 2},
		{"permission", fs.ErrPermission, 13},
		{"access", &os.LinkError{Err: syscall.EACCES}, 13},
		{"space", errors.Join(errors.New("x"), syscall.ENOSPC), 28},
		{"read-only", syscall.EROFS, 30},
		{"full", ErrFull, 28},
		{"other", errors.New("x"), 5},
		{"not regular", ErrNotRegular, 5},
	} {
		if got := Errno(tt.err); got != tt.want {
			t.Errorf("Errno(%s) = %d, want %d", tt.name, got, tt.want)
		}
	}
}
