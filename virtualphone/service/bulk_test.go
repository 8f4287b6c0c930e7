package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestFillVector compares with the published first outputs of SplitMix64 for seed 0.
func TestFillVector(t *testing.T) {
	want := "afcd1d7b39a820e2" + "f465b9a16a9e786e" + "4f45098018 5dc406"
	got := make([]byte, 24)
	Fill(0, 0, got)
	if w := unhex(t, want); string(got) != w {
		t.Errorf("want %x, got %x", w, got)
	}
}

func TestFillAnyPiece(t *testing.T) {
	const seed = 42
	whole := make([]byte, 200)
	Fill(seed, 0, whole)
	for off := range 40 {
		for n := range 40 {
			got := make([]byte, n)
			Fill(seed, uint64(off), got)
			if want := whole[off : off+n]; !bytes.Equal(got, want) {
				t.Fatalf("bytes %d to %d: want %x, got %x", off, off+n, want, got)
			}
		}
	}
	other := make([]byte, 200)
	Fill(seed+1, 0, other)
	if bytes.Equal(whole, other) {
		t.Error("two seeds have the same stream")
	}
	if n := testing.AllocsPerRun(10, func() { Fill(seed, 3, whole); Verify(seed, 3, whole) }); n != 0 {
		t.Errorf("want no allocation, got %v", n)
	}
}

func TestVerify(t *testing.T) {
	b := make([]byte, 3*verifyPiece+5)
	Fill(7, 1001, b)
	if err := Verify(7, 1001, b); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, verifyPiece - 1, verifyPiece, len(b) - 1} {
		b[i] ^= 1
		err := Verify(7, 1001, b)
		b[i] ^= 1
		if want := fmt.Sprintf("byte %d ", 1001+i); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func TestEcho(t *testing.T) {
	host := start(t, Echo())
	for _, n := range []int{1, 100, echoBuffer, 3 * bulkBuffer} {
		sent := make([]byte, n)
		Fill(uint64(n), 0, sent)
		go host.Write(sent)
		got := make([]byte, n)
		if _, err := io.ReadFull(host, got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("echo of %d bytes: %v, equal %v", n, err, bytes.Equal(got, sent))
		}
	}
}

func TestSource(t *testing.T) {
	for _, n := range []uint64{0, 1, 9, bulkBuffer, 3*bulkBuffer + 7} {
		host := start(t, Source())
		var head [16]byte
		binary.BigEndian.PutUint64(head[:], n)
		binary.BigEndian.PutUint64(head[8:], 99)
		if _, err := host.Write(head[:]); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(host)
		if err != nil || uint64(len(got)) != n {
			t.Fatalf("want %d bytes, got %d, %v", n, len(got), err)
		}
		if err := Verify(99, 0, got); err != nil {
			t.Error(err)
		}
	}
}

func TestSink(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
	}{
		// The sums are those of FIPS 180-4's examples.
		{name: "nothing", in: "0000000000000000", want: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{name: "abc", in: "0000000000000003 616263", want: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := start(t, Sink())
			if _, err := host.Write([]byte(unhex(t, tt.in))); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(host)
			if err != nil || hex.EncodeToString(got) != tt.want {
				t.Errorf("want %s, got %x, %v", tt.want, got, err)
			}
		})
	}
	t.Run("large", func(t *testing.T) {
		host := start(t, Sink())
		b := make([]byte, 8+2*bulkBuffer+3)
		binary.BigEndian.PutUint64(b, uint64(len(b)-8))
		Fill(5, 0, b[8:])
		if _, err := host.Write(b); err != nil {
			t.Fatal(err)
		}
		want := sha256.Sum256(b[8:])
		if got, err := io.ReadAll(host); err != nil || !bytes.Equal(got, want[:]) {
			t.Errorf("want %x, got %x, %v", want, got, err)
		}
	})
	t.Run("short", func(t *testing.T) {
		host := start(t, Sink())
		host.Write([]byte{0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3})
		host.Close()
	})
}

func BenchmarkFill(b *testing.B) {
	buf := make([]byte, bulkBuffer)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		Fill(1, 0, buf)
	}
}

func BenchmarkVerify(b *testing.B) {
	buf := make([]byte, bulkBuffer)
	Fill(1, 0, buf)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Verify(1, 0, buf); err != nil {
			b.Fatal(err)
		}
	}
}
