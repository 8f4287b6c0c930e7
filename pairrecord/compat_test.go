package pairrecord

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"gomuxd/plist"
)

// libimobiledevice's record; keys and certificates are made up.
func foreignRecord(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/libimobiledevice.plist")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestForeignRecord takes a record that the C daemon wrote, in its key order.
func TestForeignRecord(t *testing.T) {
	dir := t.TempDir()
	want := foreignRecord(t)
	if err := os.WriteFile(filepath.Join(dir, udid1+suffix), want, 0o644); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir)
	if got, err := s.Read(udid1); err != nil || !bytes.Equal(want, got) {
		t.Fatalf("Read = %q, %v; want the file's bytes", got, err)
	}
	r, err := s.Record(udid1)
	if err != nil || r.HostID != "B3F5C0DE-1A2B-4C3D-9E8F-0123456789AB" || r.SystemBUID != "7E9D1B6A-3C51-4C6B-8F2A-0123456789AB" ||
		r.WiFiMACAddress != "a4:83:e7:00:11:22" || len(r.EscrowBag) != 32 || !r.complete() ||
		!bytes.HasPrefix(r.DeviceCertificate, []byte("-----BEGIN CERTIFICATE-----\n")) ||
		!bytes.HasPrefix(r.HostPrivateKey, []byte("-----BEGIN TEST KEY-----\n")) {
		t.Fatalf("Record = %+v, %v", r, err)
	}
	// A client saves what it read, as XML or binary: nothing to do.
	var v any
	if err := plist.Unmarshal(want, &v); err != nil {
		t.Fatal(err)
	}
	bin, err := plist.MarshalBinary(v)
	if err != nil {
		t.Fatal(err)
	}
	sorted, err := plist.MarshalXML(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{want, bin, sorted} {
		if err := s.Save(udid1, data); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Read(udid1); err != nil || !bytes.Equal(want, got) {
			t.Fatalf("Read after the same Save = %q, %v; want the file's bytes", got, err)
		}
	}
	if got := copies(t, dir); len(got) != 0 {
		t.Errorf("copies = %q, want none", got)
	}
	// Set aside and saved again it is the same to every reader.
	if err := s.Delete(udid1); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(udid1, bin); err != nil {
		t.Fatal(err)
	}
	again, err := s.Record(udid1)
	if err != nil || again.HostID != r.HostID || !bytes.Equal(r.HostPrivateKey, again.HostPrivateKey) {
		t.Fatalf("Record = %v, %v", again, err)
	}
}

func TestBinaryRecordBecomesXML(t *testing.T) {
	dir := t.TempDir()
	bin, err := plist.MarshalBinary(Record{HostID: "H"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, udid1+suffix), bin, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir)
	if got, err := s.Read(udid1); err != nil || !bytes.Equal(bin, got) {
		t.Fatalf("Read = %q, %v; want the file's bytes", got, err)
	}
	if err := s.Save(udid1, bin); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(udid1); err != nil || !bytes.HasPrefix(got, []byte("<?xml")) {
		t.Fatalf("Read after Save = %q, %v; want XML", got, err)
	}
}

// TestNoSecretsShown logs and prints all there is.
func TestNoSecretsShown(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	log := zap.New(core)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, udid1+suffix), testRecord(t, "0"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, data := range []string{string(testRecord(t, "1")), string(testRecord(t, "2")),
		strings.Replace(string(testRecord(t, "3")), "</data>", "host key</data>", 1),
		strings.Replace(string(testRecord(t, "3")), "<data>", "<integer>host key</integer><data>", 1)} {
		if err := s.Save(udid1, []byte(data)); err != nil {
			log.Error("save", zap.Error(err))
		}
	}
	r, err := s.Record(udid1)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("record", zap.Any("a", r), zap.Any("b", &r), zap.Stringer("c", stringer{r}))
	log.Sugar().Infof("%v %+v %#v %s %x %q %d", r, r, r, r, r, r, &r)
	if err := s.SetAside(udid1, "refused"); err != nil {
		t.Fatal(err)
	}
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	if logs.Len() < 5 {
		t.Errorf("%d log lines, want some", logs.Len())
	}
	for _, e := range logs.All() {
		line, err := enc.EncodeEntry(e.Entry, e.Context)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"host key", "root key", "686f7374", "[104 111", "0x68, 0x6f", "aG9zdCBrZXk"} {
			if strings.Contains(line.String(), secret) {
				t.Errorf("log line has key material: %s", line)
			}
		}
	}
}

type stringer struct{ r Record }

func (s stringer) String() string { return fmt.Sprint(s.r) }

// TestConcurrent has readers see whole records while writers change them.
func TestConcurrent(t *testing.T) {
	dir := memoryDir(t)
	stores := []*Store{openStore(t, dir), openStore(t, dir)} // two processes, as it were
	var valid [4][]byte
	for i := range valid {
		valid[i] = testRecord(t, strings.Repeat(fmt.Sprint(i), 1000*(i+1)))
	}
	var wg sync.WaitGroup
	for i := range 8 {
		s := stores[i%2]
		wg.Go(func() {
			for j := range 12 {
				if err := s.Save(udid1, valid[(i+j)%len(valid)]); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Save = %v", err)
				}
				got, err := s.Read(udid1)
				if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrNotRegular) {
					t.Errorf("Read = %v", err)
				}
				if err == nil && !isOneOf(got, valid[:]) {
					t.Errorf("Read = %q, no record that was saved", got)
				}
				if j%10 == i {
					if err := s.Delete(udid1); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("Delete = %v", err)
					}
				}
				if _, err := s.List(); err != nil {
					t.Errorf("List = %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got := temps(t, dir); len(got) > 0 {
		t.Errorf("left behind: %q", got)
	}
}

func isOneOf(got []byte, valid [][]byte) bool {
	for _, v := range valid {
		if bytes.Equal(v, got) {
			return true
		}
	}
	return false
}
