package service

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// Messages as plistlib writes them, with their length. The first is as long as the one
// in published traces of phones.
const (
	wireVersion = "00000050 62706c6973743030a30102035f1018444c4d65737361676556657273696f6e45786368616e67651101901000080c272a000000000000010100000000000000040000000000000000000000000000002c"
	wireReady   = "00000043 62706c6973743030a1015f1014444c4d6573736167654465766963655265616479080a0000000000000101000000000000000200000000000000000000000000000021"
	wireOK      = "0000005b 62706c6973743030a30102035f1018444c4d65737361676556657273696f6e45786368616e67655c444c56657273696f6e734f6b110190080c27340000000000000101000000000000000400000000000000000000000000000037"
	wireDone    = "0000006c 62706c6973743030a4010203045f1017444c4d657373616765537461747573526573706f6e736510005f101a5f5f5f456d707479506172616d65746572537472696e675f5f5fd0080d2729460000000000000101000000000000000500000000000000000000000000000047"
	wireMissing = "000000bf 62706c6973743030a4010203045f1017444c4d657373616765537461747573526573706f6e736513fffffffffffffff35c4d756c746920737461747573d1050653612f62d20708090a5f1011444c46696c654572726f72537472696e675f100f444c46696c654572726f72436f64655f10194e6f20737563682066696c65206f72206469726563746f727913fffffffffffffffa080d27303d4044495d6f8b0000000000000101000000000000000b00000000000000000000000000000094"
	wireBye     = "00000061 62706c6973743030a201025f1013444c4d657373616765446973636f6e6e6563745f101a5f5f5f456d707479506172616d65746572537472696e675f5f5f080b21000000000000010100000000000000030000000000000000000000000000003e"
)

func TestDeviceLinkHandshake(t *testing.T) {
	var out bytes.Buffer
	l := newDeviceLink(strings.NewReader(unhex(t, wireOK)), &out)
	if err := l.handshake(400); err != nil {
		t.Fatal(err)
	}
	if want := unhex(t, wireVersion+wireReady); out.String() != want {
		t.Errorf("want %x\n got %x", want, out.String())
	}
	for _, in := range []string{wireDone, wireVersion} {
		if err := newDeviceLink(strings.NewReader(unhex(t, in)), io.Discard).handshake(400); !errors.Is(err, ErrProtocol) {
			t.Errorf("want a protocol violation for %q, got %v", in[:20], err)
		}
	}
}

func TestDeviceLinkStatus(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		want linkStatus
		err  error
	}{
		{name: "done", in: unhex(t, wireDone), want: linkStatus{value: map[string]any{}}},
		{name: "error", in: unhex(t, wireMissing), want: linkStatus{code: -13, text: "Multi status", value: map[string]any{
			"a/b": map[string]any{"DLFileErrorString": "No such file or directory", "DLFileErrorCode": int64(-6)},
		}}},
		{name: "goodbye", in: unhex(t, wireBye), err: errDisconnected},
		{name: "another message", in: unhex(t, wireOK), err: ErrProtocol},
		{name: "no name", in: framed("<plist><array><integer>1</integer></array></plist>"), err: ErrProtocol},
		{name: "empty", in: framed("<plist><array/></plist>"), err: ErrProtocol},
		{name: "no code", in: framed("<plist><array><string>DLMessageStatusResponse</string></array></plist>"), err: ErrProtocol},
		{name: "too long", in: framed("<plist><array>" + strings.Repeat("<string>x</string>", maxLinkArgs+1) + "</array></plist>"), err: ErrProtocol},
		{name: "end", in: "", err: io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := newDeviceLink(strings.NewReader(tt.in), io.Discard).status()
			if !errors.Is(err, tt.err) || err != nil && tt.err == nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("want %+v, %v; got %+v, %v", tt.want, tt.err, got, err)
			}
		})
	}
}

func TestFileWriterWire(t *testing.T) {
	var out bytes.Buffer
	f := newFileWriter(&out)
	f.file("/p", "d/h", 3, func(off uint64, b []byte) { copy(b, "xyz"[off:]) })
	f.file("/e", "d/e", 0, nil)
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "00000002 2f70 00000003 642f68 00000004 0c 78797a 00000001 00"+
		"00000002 2f65 00000003 642f65 00000001 00"+"00000000")
	if out.String() != want {
		t.Errorf("want %x\n got %x", want, out.String())
	}
}

// files is a receiver that keeps all it gets, within limits.
type files struct {
	got    []gotFile
	pieces int // largest piece of data
	bytes  int
}

type gotFile struct{ path, content, failed string }

func (f *files) begin(path string) error {
	f.got = append(f.got, gotFile{path: path})
	return nil
}

func (f *files) data(b []byte) error {
	f.pieces = max(f.pieces, len(b))
	f.bytes += len(b)
	f.got[len(f.got)-1].content += string(b)
	return nil
}

func (f *files) end(failed string) error {
	f.got[len(f.got)-1].failed = failed
	return nil
}

func TestReadFilesWire(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string // hex
		want []gotFile
		err  error
	}{
		{name: "none", in: "00000000"},
		{name: "two", in: "00000001 61 00000003 0c 7879 00000002 0c 7a 00000001 00" + "00000001 62 00000001 00" + "00000000",
			want: []gotFile{{path: "a", content: "xyz"}, {path: "b"}}},
		{name: "missing", in: "00000001 61 00000003 06 6e6f" + "00000001 62 00000001 0b" + "00000000",
			want: []gotFile{{path: "a", failed: "no"}, {path: "b", failed: "no reason given"}}},
		{name: "text behind success", in: "00000001 61 00000003 00 6f6b" + "00000000", want: []gotFile{{path: "a"}}},
		{name: "block without code", in: "00000001 61 00000000", want: []gotFile{{path: "a"}}, err: ErrProtocol},
		{name: "unknown code", in: "00000001 61 00000001 0d", want: []gotFile{{path: "a"}}, err: ErrProtocol},
		{name: "path of 4 KiB and a byte", in: "00001001", err: ErrProtocol},
		{name: "path of 4 GiB", in: "ffffffff", err: ErrProtocol},
		{name: "end in block of 4 GiB", in: "00000001 61 ffffffff 0c 78", want: []gotFile{{path: "a", content: "x"}}, err: io.ErrUnexpectedEOF},
		{name: "end in length", in: "0000", err: io.ErrUnexpectedEOF},
		{name: "end in path", in: "00000002 61", err: io.ErrUnexpectedEOF},
		{name: "end before code", in: "00000001 61 00000002", want: []gotFile{{path: "a"}}, err: io.ErrUnexpectedEOF},
		{name: "end", in: "", err: io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got files
			err := newDeviceLink(strings.NewReader(unhex(t, tt.in)), io.Discard).readFiles(&got)
			if !errors.Is(err, tt.err) || err != nil && tt.err == nil || !reflect.DeepEqual(got.got, tt.want) {
				t.Errorf("want %+v, %v; got %+v, %v", tt.want, tt.err, got.got, err)
			}
		})
	}
}

// FuzzDeviceLink gives a phone foreign bytes, as a host's whole side of a connection
// and as a file stream: no more than there is gets consumed, no piece of a file is
// larger than the buffer, no message larger than its limit, and a stream that was
// understood is the same when written and read again.
func FuzzDeviceLink(f *testing.F) {
	for _, in := range []string{
		wireOK + wireDone + wireDone, wireOK + wireBye, wireMissing,
		"00000001 61 00000003 0c 7879 00000001 00 00000000",
		"00000001 61 00000003 06 6e6f 00000000",
	} {
		f.Add([]byte(unhex(f, in)))
	}
	f.Add([]byte(unhex(f, wireOK) + hello + backupRequest + unhex(f, wireDone+wireDone+wireDone)))
	f.Add([]byte(unhex(f, wireOK) + hello + restoreRequest + unhex(f, "00000001 61 00000003 0c 7879 00000001 00 00000000"+wireDone)))
	f.Fuzz(func(t *testing.T, in []byte) {
		b := NewBackup(BackupConfig{LinkVersion: 400})
		if err := b.SetContent(3, 100); err != nil {
			t.Fatal(err)
		}
		r := bytes.NewReader(in)
		s := &backupSession{b: b, ctx: t.Context(), link: newDeviceLink(r, io.Discard)}
		if err := s.serve(); err == nil {
			t.Fatal("a finished input must end the session with a cause")
		}
		if n := b.Stats(); n.SavedBytes > 100*uint64(len(in)) {
			t.Fatalf("%d bytes saved for an input of %d", n.SavedBytes, len(in))
		}

		var got files
		err := newDeviceLink(bytes.NewReader(in), io.Discard).readFiles(&got)
		if got.bytes > len(in) || got.pieces > linkBuffer {
			t.Fatalf("%d bytes in pieces up to %d from an input of %d", got.bytes, got.pieces, len(in))
		}
		if err != nil {
			return
		}
		var out bytes.Buffer
		for i := range got.got {
			got.got[i].failed = ""
		}
		w := newFileWriter(&out)
		for _, g := range got.got {
			w.file("/", g.path, uint64(len(g.content)), func(off uint64, b []byte) { copy(b, g.content[off:]) })
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		again, err := readUpload(&out)
		if err != nil || len(again) != len(got.got) {
			t.Fatalf("want %d files back, got %d, %v", len(got.got), len(again), err)
		}
		for i := range again {
			if again[i] != got.got[i] {
				t.Fatalf("want %+v, got %+v", got.got[i], again[i])
			}
		}
	})
}
