package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

func TestCleanFiles(t *testing.T) {
	const keys = "Size:  4 kB\nRss:  4 kB\nAnonymous:  "
	for _, tt := range []struct {
		name, smaps string
		want        []mapping
	}{
		{"text", "1000-3000 r-xp 00000000 fd:00 12 /usr/sbin/usbmuxd\n" + keys + "0 kB\nVmFlags: rd ex mr\n", []mapping{{0x1000, 0x3000}}},
		{"constants", "1000-3000 r--p 00000000 fd:00 12 /a name (deleted)\n" + keys + "       0 kB\n", []mapping{{0x1000, 0x3000}}},
		{"relocated", "1000-3000 r--p 00000000 fd:00 12 /usr/sbin/usbmuxd\n" + keys + "4 kB\n", nil},
		{"data", "1000-3000 rw-p 00000000 fd:00 12 /usr/sbin/usbmuxd\n" + keys + "0 kB\n", nil},
		{"shared", "1000-3000 r--s 00000000 fd:00 12 /usr/lib/locale\n" + keys + "0 kB\n", nil},
		{"no file", "1000-3000 r-xp 00000000 00:00 0 [vdso]\n" + keys + "0 kB\n", nil},
		{"guard", "1000-3000 ---p 00000000 fd:00 12 /usr/lib/libc.so.6\n" + keys + "0 kB\n", nil},
		{"key without a mapping", keys + "0 kB\n", nil},
		{"nonsense before the key", "1000-3000 r-xp 00000000 fd:00 12 /x\nzzzz\n" + keys + "0 kB\n", nil},
		{"backwards", "3000-1000 r-xp 00000000 fd:00 12 /x\n" + keys + "0 kB\n", nil},
		{"two", "1000-3000 r-xp 00000000 fd:00 12 /x\n" + keys + "0 kB\n5000-6000 rw-p 0 00:00 0\n" + keys + "0 kB\n7000-8000 r--p 0 fd:00 12 /x\n" + keys + "0 kB\n",
			[]mapping{{0x1000, 0x3000}, {0x7000, 0x8000}}},
	} {
		if got := cleanFiles(strings.NewReader(tt.smaps)); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %x, want %x", tt.name, got, tt.want)
		}
	}
}

// What is dropped comes back as it was, and what has been changed stays.
func TestDropStartPages(t *testing.T) {
	size := 4 * os.Getpagesize()
	want := bytes.Repeat([]byte("gomuxd"), size)[:size]
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, want, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mapped := func(change bool) []byte {
		b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Munmap(b) })
		if change {
			b[0] = 'x'
		}
		if err := unix.Mprotect(b, unix.PROT_READ); err != nil {
			t.Fatal(err)
		}
		return b
	}
	clean, changed := mapped(false), mapped(true)
	if !bytes.Equal(clean, want) || resident(t, clean) == 0 {
		t.Fatal("the file is not in memory")
	}
	dropStartPages(zap.NewNop())
	if n := resident(t, clean); n != 0 {
		t.Errorf("%d kB are still in memory", n)
	}
	if !bytes.Equal(clean, want) {
		t.Error("a clean mapping came back changed")
	}
	if changed[0] != 'x' || !bytes.Equal(changed[1:], want[1:]) {
		t.Error("a changed mapping has lost what was changed")
	}
}

// resident is how much of a mapping is in this process, in kB.
func resident(t *testing.T, b []byte) (kB int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	_, rest, found := bytes.Cut(text, fmt.Appendf(nil, "%x-%x ", start, start+uintptr(len(b))))
	_, rest, keyed := bytes.Cut(rest, []byte("\nRss:"))
	if _, err := fmt.Sscanf(string(rest), "%d kB", &kB); !found || !keyed || err != nil {
		t.Fatalf("no mapping at %x: %v", start, err)
	}
	return kB
}
