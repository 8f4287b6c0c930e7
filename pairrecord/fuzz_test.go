package pairrecord

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"gomuxd/plist"
)

// FuzzRecord saves foreign bytes: either that is an error and changes nothing,
// or what is read afterwards holds the same.
func FuzzRecord(f *testing.F) {
	f.Add(testRecord(f, "1"))
	f.Add(foreignRecord(f))
	f.Add([]byte("<plist><dict><key>HostID</key><string>h</string><key>&#13;</key><real>nan</real></dict></plist>"))
	f.Add([]byte("<plist><dict><key>HostID</key><string>h</string><key>u</key><dict><key>CF$UID</key><integer>-1</integer></dict></dict></plist>"))
	f.Add([]byte("<plist><array/></plist>"))
	for _, v := range []any{
		Record{HostID: "H", HostPrivateKey: []byte("k")},
		map[string]any{"HostID": "H\x00\x01", "k": "v"},
		map[string]any{"HostID": "H", "a\x01": "1", "a\x02": "2", "f": 1.5, "n": []any{int64(-5), true, "é"}},
	} {
		data, err := plist.MarshalBinary(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	s := openStore(f, f.TempDir())
	if err := s.Save(udid1, testRecord(f, "first")); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before, err := s.Read(udid1)
		if err != nil {
			t.Fatal(err)
		}
		serr := s.Save(udid1, data)
		after, err := s.Read(udid1)
		if err != nil {
			t.Fatal(err)
		}
		if serr != nil {
			if !errors.Is(serr, ErrInvalidData) || !bytes.Equal(before, after) {
				t.Fatalf("Save = %v, and the record is %q; want ErrInvalidData and no change", serr, after)
			}
			return
		}
		var want, got any
		if err := plist.Unmarshal(data, &want); err != nil {
			t.Fatalf("saved, and does not decode: %v", err)
		}
		if err := plist.Unmarshal(after, &got); err != nil || !reflect.DeepEqual(want, got) {
			t.Fatalf("Read = %#v, %v; want %#v", got, err, want)
		}
		if r, err := s.Record(udid1); err == nil && r.HostID == "" {
			t.Fatalf("a record without HostID was saved: %q", data)
		}
	})
}
