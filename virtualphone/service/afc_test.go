package service

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
)

// le is a number as AFC sends it.
func le(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

// request is an AFC packet with all of body before the bulk data.
func request(number, op uint64, body string) string {
	n := uint64(40 + len(body))
	return "CFA6LPAA" + le(n) + le(n) + le(number) + le(op) + body
}

// receive reads one answer and returns its operation and body.
func receive(t testing.TB, r io.Reader, number uint64) (op uint64, body string) {
	t.Helper()
	head := make([]byte, 40)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	if string(head[:8]) != "CFA6LPAA" || binary.LittleEndian.Uint64(head[24:]) != number {
		t.Fatalf("want the answer to packet %d, got %x", number, head)
	}
	rest := make([]byte, binary.LittleEndian.Uint64(head[8:])-40)
	if _, err := io.ReadFull(r, rest); err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(head[32:]), string(rest)
}

// TestAFCWire compares a session with bytes written down by hand.
func TestAFCWire(t *testing.T) {
	host := start(t, AFC(emptyFS(1<<20)))
	for _, tt := range []struct{ name, send, want string }{
		{
			name: "open /a for writing",
			send: "43464136 4c504141 3300000000000000 3300000000000000 0000000000000000 0d00000000000000" +
				"0300000000000000 2f6100",
			want: "43464136 4c504141 3000000000000000 3000000000000000 0000000000000000 0e00000000000000" +
				"0100000000000000",
		},
		{
			name: "write abc, the data as bulk",
			send: "43464136 4c504141 3300000000000000 3000000000000000 0100000000000000 1000000000000000" +
				"0100000000000000 616263",
			want: "43464136 4c504141 3000000000000000 3000000000000000 0100000000000000 0100000000000000" +
				"0000000000000000",
		},
		{
			name: "tell",
			send: "43464136 4c504141 3000000000000000 3000000000000000 0200000000000000 1200000000000000" +
				"0100000000000000",
			want: "43464136 4c504141 3000000000000000 3000000000000000 0200000000000000 1300000000000000" +
				"0300000000000000",
		},
		{
			name: "list /",
			send: "43464136 4c504141 2a00000000000000 2a00000000000000 0300000000000000 0300000000000000 2f00",
			want: "43464136 4c504141 2f00000000000000 2800000000000000 0300000000000000 0200000000000000" +
				"2e00 2e2e00 6100",
		},
		{
			name: "open what is not there",
			send: "43464136 4c504141 3200000000000000 3200000000000000 0400000000000000 0d00000000000000" +
				"0100000000000000 6200",
			want: "43464136 4c504141 3000000000000000 3000000000000000 0400000000000000 0100000000000000" +
				"0800000000000000",
		},
		{
			name: "foreign operation",
			send: "43464136 4c504141 2800000000000000 2800000000000000 0500000000000000 ff00000000000000",
			want: "43464136 4c504141 3000000000000000 3000000000000000 0500000000000000 0100000000000000" +
				"0f00000000000000",
		},
		{
			name: "foreign magic",
			send: "43464136 4c504142 2800000000000000 2800000000000000 0600000000000000 0300000000000000",
			want: "43464136 4c504141 3000000000000000 3000000000000000 0600000000000000 0100000000000000" +
				"0200000000000000",
		},
	} {
		if _, err := host.Write([]byte(unhex(t, tt.send))); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		want := unhex(t, tt.want)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(host, got); err != nil || string(got) != want {
			t.Fatalf("%s: want\n%sgot\n%s%v", tt.name, hex.Dump([]byte(want)), hex.Dump(got), err)
		}
	}
	wantEOF(t, host)
}

// TestAFCOperations plays one long session on a small file system.
func TestAFCOperations(t *testing.T) {
	const (
		status = 1
		data   = 2
		opened = 14
		told   = 19
	)
	host := start(t, AFC(emptyFS(4*chunkSize)))
	long := strings.Repeat("x", 256)
	for i, tt := range []struct {
		name   string
		op     operation
		body   string
		wantOp uint64
		want   string // a pattern, if wantOp is data
	}{
		{"mkdir with parents", opMakeDir, "/d/e\x00", status, le(0)},
		{"mkdir again", opMakeDir, "/d/e\x00", status, le(0)},
		{"mkdir of a long name", opMakeDir, "/" + long + "\x00", status, le(7)},
		{"list of what is not there", opReadDir, "/x\x00", status, le(8)},
		{"list without a path", opReadDir, "", status, le(7)},
		{"list", opReadDir, "/d\x00", data, "^\\.\x00\\.\\.\x00e\x00$"},
		{"list without NUL", opReadDir, "d", data, "^\\.\x00\\.\\.\x00e\x00$"},
		{"info of /", opFileInfo, "/\x00", data, "st_size\x00\\d+\x00.*st_nlink\x003\x00st_ifmt\x00S_IFDIR\x00st_mtime\x00\\d{19}\x00st_birthtime\x00\\d{19}\x00$"},
		{"device info", opDeviceInfo, "", data, "^Model\x00[^\x00]+\x00FSTotalBytes\x00262144\x00FSFreeBytes\x00262144\x00FSBlockSize\x004096\x00$"},
		{"open a directory", opFileOpen, le(1) + "/d\x00", status, le(9)},
		{"open in a foreign mode", opFileOpen, le(7) + "/d/f\x00", status, le(7)},
		{"open without a path", opFileOpen, le(1), status, le(7)},
		{"open above the root", opFileOpen, le(4) + "/../d/../../d/f\x00", opened, le(1)},
		{"write", opFileWrite, le(1) + "hello world", status, le(0)},
		{"write to a foreign handle", opFileWrite, le(9) + "hello", status, le(7)},
		{"write without a handle", opFileWrite, "\x01", status, le(7)},
		{"seek", opFileSeek, le(1) + le(0) + le(6), status, le(0)},
		{"read to the end", opFileRead, le(1) + le(1<<40), data, "^world$"},
		{"read at the end", opFileRead, le(1) + le(10), data, "^$"},
		{"read without a length", opFileRead, le(1), status, le(7)},
		{"seek from the end", opFileSeek, le(1) + le(2) + le(^uint64(0)), status, le(0)},
		{"tell", opFileTell, le(1), told, le(10)},
		{"seek before the start", opFileSeek, le(1) + le(1) + le(^uint64(10)), status, le(7)},
		{"seek beyond all", opFileSeek, le(1) + le(1) + le(1<<63-1), status, le(7)},
		{"set size", opFileSetSize, le(1) + le(5), status, le(0)},
		{"info of the file", opFileInfo, "d/f\x00", data, "^st_size\x005\x00st_blocks\x008\x00st_nlink\x001\x00st_ifmt\x00S_IFREG\x00"},
		{"set size beyond the capacity", opFileSetSize, le(1) + le(4*chunkSize+1), status, le(18)},
		{"lock", opFileLock, le(1) + le(6), status, le(0)},
		{"open again", opFileOpen, le(5) + "/d/f\x00", opened, le(2)},
		{"lock what is locked", opFileLock, le(2) + le(5), status, le(19)},
		{"append", opFileWrite, le(2) + "!", status, le(0)},
		{"read what is only written", opFileRead, le(2) + le(1), status, le(10)},
		{"close", opFileClose, le(1), status, le(0)},
		{"close again", opFileClose, le(1), status, le(7)},
		{"lock what was unlocked by close", opFileLock, le(2) + le(6), status, le(0)},
		{"unlock", opFileLock, le(2) + le(12), status, le(0)},
		{"foreign lock", opFileLock, le(2) + le(3), status, le(7)},
		{"fill the phone", opFileWrite, le(2) + strings.Repeat("z", 4*chunkSize), status, le(18)},
		{"truncate", opTruncate, le(6) + "/d/f\x00", status, le(0)},
		{"open for reading", opFileOpen, le(1) + "/d/f\x00", opened, le(3)},
		{"write what is only read", opFileWrite, le(3) + "x", status, le(10)},
		{"cut what is only read", opFileSetSize, le(3) + le(0), status, le(10)},
		{"read", opFileRead, le(3) + le(100), data, "^hello!$"},
		{"set time", opSetTime, le(1234567890) + "/d/f\x00", status, le(0)},
		{"info after set time", opFileInfo, "/d/f\x00", data, "st_mtime\x001234567890\x00"},
		{"symbolic link", opMakeLink, le(2) + "../d\x00/d/l\x00", status, le(0)},
		{"symbolic link again", opMakeLink, le(2) + "../d\x00/d/l\x00", status, le(16)},
		{"info of the link", opFileInfo, "/d/l\x00", data, "st_ifmt\x00S_IFLNK\x00.*LinkTarget\x00\\.\\./d\x00$"},
		{"through the link", opFileInfo, "/d/l/l/f\x00", data, "st_size\x006\x00"},
		{"link to itself", opMakeLink, le(2) + "/loop\x00/loop\x00", status, le(0)},
		{"through that link", opReadDir, "/loop\x00", status, le(7)},
		{"hard link", opMakeLink, le(1) + "/d/f\x00/d/g\x00", status, le(0)},
		{"hard link to a directory", opMakeLink, le(1) + "/d\x00/d/h\x00", status, le(10)},
		{"foreign kind of link", opMakeLink, le(3) + "/d\x00/d/h\x00", status, le(7)},
		{"info of the hard link", opFileInfo, "/d/g\x00", data, "st_nlink\x002\x00"},
		{"remove a full directory", opRemovePath, "/d\x00", status, le(33)},
		{"remove the root", opRemovePath, "/\x00", status, le(10)},
		{"rename into itself", opRename, "/d\x00/d/e/x\x00", status, le(7)},
		{"rename over a full directory", opRename, "/d/e\x00/d\x00", status, le(33)},
		{"rename a file over a directory", opRename, "/d/f\x00/d/e\x00", status, le(9)},
		{"rename a file over a file", opRename, "/d/f\x00/loop\x00", status, le(0)},
		{"rename what is gone", opRename, "/d/f\x00/x\x00", status, le(8)},
		{"rename to nowhere", opRename, "/loop\x00", status, le(7)},
		{"remove", opRemovePath, "/loop\x00", status, le(0)},
		{"remove all", opRemoveAll, "/d\x00", status, le(0)},
		{"read what has no name", opFileSeek, le(3) + le(0) + le(0), status, le(0)},
		{"read it", opFileRead, le(3) + le(5), data, "^hello$"},
		{"close last but one", opFileClose, le(2), status, le(0)},
		{"space is taken", opDeviceInfo, "", data, "FSFreeBytes\x00196608\x00"},
		{"close last", opFileClose, le(3), status, le(0)},
		{"space is free", opDeviceInfo, "", data, "FSFreeBytes\x00262144\x00"},
		{"options", opSetOptions, le(0), status, le(0)},
		{"block size", opSetFSBlock, le(1 << 20), status, le(0)},
		{"long arguments", opReadDir, strings.Repeat("/x", maxArgs), status, le(13)},
		{"list at the end", opReadDir, "/\x00", data, "^\\.\x00\\.\\.\x00$"},
	} {
		number := uint64(100 + i)
		go host.Write([]byte(request(number, uint64(tt.op), tt.body)))
		op, body := receive(t, host, number)
		same := body == tt.want
		if tt.wantOp == data {
			same = regexp.MustCompile("(?s)" + tt.want).MatchString(body)
		}
		if op != tt.wantOp || !same {
			t.Errorf("%s: want operation %d, %q; got %d, %q", tt.name, tt.wantOp, tt.want, op, body)
		}
	}
}

// TestAFCHandles opens more files than a connection may have and checks that they are
// closed with it.
func TestAFCHandles(t *testing.T) {
	fs := NewFS()
	t.Run("open", func(t *testing.T) {
		host := start(t, AFC(fs))
		for i := range uint64(maxHandles + 1) {
			host.Write([]byte(request(i, 13, le(1)+"/Books/Numbers.txt\x00")))
			op, body := receive(t, host, i)
			if i < maxHandles && op != 14 {
				t.Fatalf("handle %d: operation %d, %q", i, op, body)
			}
			if i == maxHandles && (op != 1 || body != le(3)) {
				t.Errorf("want status 3, got operation %d, %q", op, body)
			}
		}
	})
	n, st := fs.findLocked("/Books/Numbers.txt", true)
	if st != statusOK || n.opens != 0 {
		t.Errorf("want no handles after the connection, got %d, %v", n.opens, st)
	}
}

// afcClient is the host's end of a connection for the tests that move much.
type afcClient struct {
	t      testing.TB
	conn   net.Conn
	number uint64
}

func (c *afcClient) do(op operation, body string, bulk []byte) (uint64, string) {
	c.t.Helper()
	c.number++
	n := uint64(40 + len(body))
	head := "CFA6LPAA" + le(n+uint64(len(bulk))) + le(n) + le(c.number) + le(uint64(op)) + body
	if _, err := io.Copy(c.conn, io.MultiReader(strings.NewReader(head), bytes.NewReader(bulk))); err != nil {
		c.t.Fatal(err)
	}
	return receive(c.t, c.conn, c.number)
}

// TestAFCLarge copies 64 MiB in and out in pieces, from two hosts at once.
func TestAFCLarge(t *testing.T) {
	fs := NewFS()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("host ", seed), func(t *testing.T) {
			t.Parallel()
			host, phone := net.Pipe()
			go AFC(fs)(t.Context(), phone) // ends with the pipe
			defer host.Close()
			c := &afcClient{t: t, conn: host}
			const size, piece = 64 << 20, 3 << 20
			if op, body := c.do(opFileOpen, le(4)+fmt.Sprintf("/big%d\x00", seed), nil); op != 14 || body != le(1) {
				t.Fatalf("open: operation %d, %q", op, body)
			}
			buf := make([]byte, piece)
			for off := 0; off < size; off += piece {
				b := buf[:min(piece, size-off)]
				Fill(seed, uint64(off), b)
				if _, body := c.do(opFileWrite, le(1), b); body != le(0) {
					t.Fatalf("write at %d: %q", off, body)
				}
			}
			c.do(opFileSeek, le(1)+le(0)+le(0), nil)
			for off := 0; off < size; {
				_, body := c.do(opFileRead, le(1)+le(5<<20), nil)
				if err := Verify(seed, uint64(off), []byte(body)); err != nil || body == "" {
					t.Fatalf("read at %d: %d bytes, %v", off, len(body), err)
				}
				off += len(body)
			}
			if got, err := fs.ReadFile(fmt.Sprintf("/big%d", seed)); err != nil || len(got) != size || Verify(seed, 0, got) != nil {
				t.Errorf("want the same content, got %d bytes, %v", len(got), err)
			}
		})
	}
}
