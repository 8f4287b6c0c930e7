package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomuxd/control"
)

// TestCapture records packets that go by at once, with a part that is hidden, and
// counts the blocks of the file.
func TestCapture(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.hub.Put("a", anna())
	secret := tcpPacket(false, 0x10, 1, 1, "a private key").Packet
	binary.BigEndian.PutUint16(secret.Data[16:], lockdownPort)
	l.acts.packets = []control.Packet{
		{Time: noon, Out: true, Header: 8, Data: []byte("\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00")},
		tcpPacket(true, 0x02, 0, 0, "").Packet,
		tcpPacket(true, 0x10, 1, 1, "plain").Packet,
		secret,
	}
	for _, tt := range []struct {
		args    string
		packets string
		has     []string
		hasNot  string
	}{
		{"capture -w FILE", "4 packets, 146 B", []string{"VERSION 2.0 to the device", "plain", "Anna’s iPhone", "muxctl " + version}, "private"},
		{"capture anna -w FILE --with-secrets", "4 packets, 146 B", []string{"private", "plain"}, "missing"},
		{"capture -w FILE --port 62078", "2 packets, 69 B", []string{"VERSION"}, "plain"},
		{"capture --port 7 -p 8", "3 packets, 97 B", []string{"plain"}, "private"},
	} {
		file := filepath.Join(l.dir, "file.pcapng")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int, 1)
		go func() {
			code, _, _ := l.runContext(ctx, strings.Fields(strings.ReplaceAll(tt.args, "FILE", file))...)
			done <- code
		}()
		written := func() string {
			if b, err := os.ReadFile(file); err == nil && strings.Contains(tt.args, "FILE") {
				return string(b)
			}
			return l.out.String()
		}
		l.eventually(func() bool { return strings.Contains(written(), tt.has[0]) })
		cancel()
		if code := <-done; code != exitOK || !strings.Contains(l.errOut.String(), "muxctl: "+tt.packets) {
			t.Errorf("%s = %d, %q; want %q", tt.args, code, l.errOut.String(), tt.packets)
		}
		for _, want := range tt.has {
			if !strings.Contains(written(), want) {
				t.Errorf("%s: no %q in the file", tt.args, want)
			}
		}
		if strings.Contains(written(), tt.hasNot) {
			t.Errorf("%s: %q is in the file", tt.args, tt.hasNot)
		}
		blocks := kinds(t, []byte(written()))
		if n := len(blocks); blocks[0] != blockSection || blocks[1] != blockInterface || blocks[2] != blockInterface || blocks[n-1] != blockStatistics || blocks[n-2] != blockStatistics {
			t.Errorf("%s: blocks %v", tt.args, blocks)
		}
		if info, err := os.Stat(file); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("the file's mode is %v", info.Mode())
		}
		os.Remove(file)
	}
}

// kinds are the kinds of a file's blocks.
func kinds(t *testing.T, file []byte) (all []uint32) {
	t.Helper()
	for len(file) > 0 {
		if len(file) < 12 {
			t.Fatalf("%d bytes are left", len(file))
		}
		n := binary.LittleEndian.Uint32(file[4:])
		if n < 12 || n%4 != 0 || int(n) > len(file) || binary.LittleEndian.Uint32(file[n-4:]) != n {
			t.Fatalf("a block of %d bytes, of %d", n, len(file))
		}
		all = append(all, binary.LittleEndian.Uint32(file))
		file = file[n:]
	}
	return all
}

// TestRecorderDrops asserts that what is missing is told where it is missing, and in
// the end.
func TestRecorderDrops(t *testing.T) {
	var (
		r recorder
		b bytes.Buffer
	)
	if err := r.begin(&b, "Bo", noon); err != nil {
		t.Fatal(err)
	}
	for _, c := range []control.Captured{
		tcpPacket(true, 0x10, 1, 1, "one"),
		{Packet: control.Packet{Time: noon}, Dropped: 3},
		{Packet: control.Packet{Time: noon}, Dropped: 4},
		tcpPacket(true, 0x10, 4, 1, "two"),
		tcpPacket(true, 0x10, 7, 1, "three"),
		{Packet: control.Packet{Time: noon}, Dropped: 5},
	} {
		if err := r.add(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if r.counts[ifaceTCP] != 3 || r.dropped != 12 {
		t.Errorf("%d packets, %d dropped; want 3, 12", r.counts[ifaceTCP], r.dropped)
	}
	if n := strings.Count(b.String(), "7 packets before this one are missing"); n != 1 {
		t.Errorf("the gap is told %d times", n)
	}
	if want := "\x05\x00\x08\x00\x0c\x00\x00\x00\x00\x00\x00\x00"; strings.Count(b.String(), want) != 1 {
		t.Error("the statistics do not tell of 12 dropped packets")
	}
	kinds(t, b.Bytes())
}

func TestCaptureErrors(t *testing.T) {
	l := newLab(t)
	if code, _, errOut := l.run("capture"); code != exitNoDaemon || !strings.Contains(errOut, "a capture needs the control socket") {
		t.Errorf("without a daemon = %d, %q", code, errOut)
	}
	l.serveControl()
	if code, _, errOut := l.run("capture"); code != exitNoSuch || !strings.Contains(errOut, "plug one in") {
		t.Errorf("without a phone = %d, %q", code, errOut)
	}
	l.hub.Put("r", recovery())
	if code, _, errOut := l.run("capture", "2-1"); code != exitRefused || !strings.Contains(errOut, "recovery") {
		t.Errorf("in recovery mode = %d, %q", code, errOut)
	}
	for _, port := range []string{"0", "65536", "-1"} {
		if code, _, errOut := l.run("capture", "--port", port); code != exitUsage {
			t.Errorf("port %s = %d, %q", port, code, errOut)
		}
	}
	l.hub.Put("a", anna())
	if code, _, errOut := l.run("capture", "anna", "-w", filepath.Join(l.dir, "none", "file")); code != exitFailed || !strings.Contains(errOut, "no such file") {
		t.Errorf("no directory = %d, %q", code, errOut)
	}
	l.terminal = true
	if code, _, errOut := l.run("capture", "anna"); code != exitUsage || !strings.Contains(errOut, "-w FILE") {
		t.Errorf("on a terminal = %d, %q", code, errOut)
	}
}

// TestCapturePipe has whoever reads the capture go: that is no failure.
func TestCapturePipe(t *testing.T) {
	l := newLab(t)
	l.serveControl()
	l.hub.Put("a", anna())
	l.acts.packets = []control.Packet{tcpPacket(true, 0x10, 1, 1, "x").Packet}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	l.app.stdout = w
	go func() {
		_, _ = io.CopyN(io.Discard, r, 1)
		r.Close()
		l.acts.again()
	}()
	if code, _, errOut := l.run("capture"); code != exitOK || !strings.Contains(errOut, "packets") {
		t.Errorf("capture into a closed pipe = %d, %q", code, errOut)
	}
}
