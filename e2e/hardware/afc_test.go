package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gomuxd/virtualphone/service"
)

// serveAFC gives a client of a virtual phone's service.
func serveAFC(t *testing.T, files *service.FS) *afc {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		service.AFC(files)(context.Background(), theirs)
	}()
	t.Cleanup(func() { ours.Close(); <-done })
	return newAFC(ours)
}

func TestAFC(t *testing.T) {
	a := serveAFC(t, service.NewFS())
	if n, err := a.free(); err != nil || n <= 0 {
		t.Fatalf("free = %d, %v", n, err)
	}
	if _, err := a.list("PublicStaging"); !errors.Is(err, afcNotFound) {
		t.Errorf("list of what is not there = %v, want afcNotFound", err)
	}
	if err := a.mkdir("PublicStaging"); err != nil {
		t.Fatal(err)
	}
	h, err := a.open("PublicStaging/x", afcForBoth)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("over there and back "), 20_000)
	if err := a.write(h, want); err != nil {
		t.Fatal(err)
	}
	if err := a.rewind(h); err != nil {
		t.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 100_000)
	for {
		n, err := a.read(h, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back of %d, or others", len(got), len(want))
	}
	if err := a.closeFile(h); err != nil {
		t.Fatal(err)
	}
	if err := a.write(h, want); err == nil {
		t.Error("a write to a closed handle went well")
	}
	if all, err := a.list("PublicStaging"); err != nil || !slices.Equal(all, []string{"x"}) {
		t.Errorf("list = %q, %v", all, err)
	}
	if err := a.remove("PublicStaging/x"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.open("PublicStaging/x", afcForRead); !errors.Is(err, afcNotFound) {
		t.Errorf("open of what was removed = %v, want afcNotFound", err)
	}
}

// TestRemoveAll asserts that files of this program alone are removed.
func TestRemoveAll(t *testing.T) {
	a := serveAFC(t, service.NewFS())
	for _, name := range []string{filePrefix + "a", filePrefix + "b", "other"} {
		h, err := a.open("Downloads/"+name, afcForBoth)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.closeFile(h); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := removeAll(a, "Downloads"); err != nil || n != 2 { // one is the phone's own
		t.Errorf("removeAll = %d others, %v; want 2", n, err)
	}
	if all, err := a.list("Downloads"); err != nil || len(all) != 2 || !slices.Contains(all, "other") {
		t.Errorf("left: %q, %v", all, err)
	}
}

// answer gives a client of a service that answers a read with these bytes, and hangs
// up. It is a socket: a net.Pipe takes no deadline after that.
func answer(t *testing.T, b []byte) *afc {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "afc"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the connection
		defer theirs.Close()
		if _, err := io.ReadFull(theirs, make([]byte, afcHeader+16)); err != nil {
			return
		}
		_, _ = theirs.Write(b)
	}()
	t.Cleanup(func() { ours.Close() })
	return newAFC(ours)
}

func header(entire, op uint64) []byte {
	b := []byte(afcMagic)
	for _, n := range []uint64{entire, afcHeader, 0, op} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

func TestAFCNonsense(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"hangs up", nil, io.ErrUnexpectedEOF},
		{"cut", header(afcHeader+8, afcData), io.ErrUnexpectedEOF},
		{"magic", bytes.Repeat([]byte("x"), afcHeader), errAFC},
		{"too short", header(afcHeader-1, afcData), errAFC},
		{"more than was asked for", header(afcHeader+17, afcData), errAFC},
		{"other operation", header(afcHeader, afcOpened), errAFC},
		{"huge status", header(1<<60, afcStatus), errAFC},
		{"status", append(header(afcHeader+8, afcStatus), 8, 0, 0, 0, 0, 0, 0, 0), afcNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n, err := answer(t, tt.b).read(1, make([]byte, 16)); !errors.Is(err, tt.want) {
				t.Errorf("read = %d, %v; want %v", n, err, tt.want)
			}
		})
	}
}

// TestAFCHangs asserts that a phone that answers nothing ends the wait.
func TestAFCHangs(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go io.Copy(io.Discard, theirs) // ends with the pipe
	a := newAFC(ours)
	a.idle = time.Millisecond
	if _, err := a.free(); err == nil {
		t.Error("an answer that never came was taken")
	}
	a = newAFC(ours)
	ctx, cancel := context.WithCancel(t.Context())
	defer a.during(ctx)()
	cancel()
	if _, err := a.free(); err == nil {
		t.Error("an answer that never came was taken after the end")
	}
}
