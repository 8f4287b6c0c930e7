package service

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// answerCounter takes a server's output apart as it comes and keeps none of it.
type answerCounter struct {
	t       *testing.T
	head    []byte
	skip    uint64 // bytes left of the current answer
	answers []uint64
}

func (a *answerCounter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if a.skip > 0 {
			cut := min(a.skip, uint64(len(b)))
			b, a.skip = b[cut:], a.skip-cut
			continue
		}
		cut := min(40-len(a.head), len(b))
		a.head, b = append(a.head, b[:cut]...), b[cut:]
		if len(a.head) < 40 {
			break
		}
		entire, this := binary.LittleEndian.Uint64(a.head[8:]), binary.LittleEndian.Uint64(a.head[16:])
		if string(a.head[:8]) != "CFA6LPAA" || this < 40 || entire < this {
			a.t.Fatalf("malformed answer %x", a.head)
		}
		a.answers = append(a.answers, binary.LittleEndian.Uint64(a.head[24:]))
		a.skip = entire - 40
		a.head = a.head[:0]
	}
	return n, nil
}

// whole returns the numbers of the packets in b that must be answered: all whole ones
// up to the first that makes no sense, which is answered too.
func whole(b []byte) (numbers []uint64) {
	for len(b) >= 40 {
		entire, this := binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
		number := binary.LittleEndian.Uint64(b[24:])
		if string(b[:8]) != "CFA6LPAA" || this < 40 || this > entire || entire > maxPacket {
			return append(numbers, number)
		}
		if entire > uint64(len(b)) {
			return numbers
		}
		numbers = append(numbers, number)
		b = b[entire:]
	}
	return numbers
}

// FuzzAFC feeds foreign bytes to a session: each whole packet is answered once and in
// order, the session's buffers stay bounded, and with the connection all handles end.
func FuzzAFC(f *testing.F) {
	f.Add([]byte(request(1, 13, le(4)+"/a\x00") + request(2, 16, le(1)+"hello") + request(3, 17, le(1)+le(0)+le(0)) +
		request(4, 15, le(1)+le(100)) + request(5, 20, le(1)) + request(6, 24, "/a\x00/b\x00") + request(7, 8, "/b\x00")))
	f.Add([]byte(request(1, 28, le(2)+"/x\x00/y\x00") + request(2, 13, le(2)+"/y\x00") + request(3, 21, le(1)+le(1<<17)) +
		request(4, 15, le(1)+le(1<<40)) + request(5, 27, le(1)+le(6)) + request(6, 34, "/\x00")))
	f.Add([]byte(request(1, 9, "/a/b/c\x00") + request(2, 10, "/a\x00") + request(3, 3, "/a\x00") + request(4, 11, "") +
		request(5, 7, le(3)+"/a\x00") + request(6, 30, le(3)+"/a\x00") + request(7, 28, le(1)+"/f\x00/g\x00") + request(8, 34, "/a\x00")))
	f.Add([]byte("CFA6LPAA" + le(1<<63) + le(40) + le(9) + le(3)))
	f.Fuzz(func(t *testing.T, in []byte) {
		fs := emptyFS(1 << 20)
		if err := fs.WriteFile("f", []byte("some bytes")); err != nil {
			t.Fatal(err)
		}
		w := &answerCounter{t: t}
		s := newAFCSession(fs, bytes.NewReader(in), w)
		if err := s.serve(); err == nil {
			t.Fatal("a finished input must end the session with a cause")
		}
		want := whole(in)
		if len(w.answers) != len(want) || w.skip != 0 || len(w.head) != 0 {
			t.Fatalf("want %d answers, got %d and %d bytes due", len(want), len(w.answers), w.skip)
		}
		for i := range want {
			if w.answers[i] != want[i] {
				t.Fatalf("answer %d: want packet %d, got %d", i, want[i], w.answers[i])
			}
		}
		if n := cap(s.in) + cap(s.out); n > 2*bulkBuffer {
			t.Fatalf("session holds %d bytes", n)
		}
		s.close()
		fs.remove("/f", true)
		for _, name := range must(fs.list("/"))[2:] {
			fs.remove(name, true)
		}
		if fs.nodes != 1 || fs.space.used.Load() != 0 {
			t.Fatalf("want only the root and no content, got %d nodes, %d bytes", fs.nodes, fs.space.used.Load())
		}
	})
}

func must(list []string, st status) []string {
	if st != statusOK {
		panic(st)
	}
	return list
}
