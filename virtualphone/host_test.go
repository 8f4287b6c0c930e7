package virtualphone

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// newPhone makes a phone that is closed with the test, and checks then that it
// left no goroutine behind.
func newPhone(t testing.TB, cfg Config) *Phone {
	t.Helper()
	base := runtime.NumGoroutine()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		for i := 0; runtime.NumGoroutine() > base; i++ {
			if i > 1000 {
				buf := make([]byte, 1<<20)
				t.Errorf("goroutines after Close: %d, before New: %d\n%s", runtime.NumGoroutine(), base, buf[:runtime.Stack(buf, true)])
				return
			}
			runtime.Gosched()
			if i > 100 {
				time.Sleep(time.Millisecond) // an ended goroutine takes a moment to leave the count
			}
		}
	})
	return p
}

func plug(t testing.TB, p *Phone) *Cable {
	t.Helper()
	c, err := p.Plug()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clean fails the test if the phone saw a violation.
func clean(t testing.TB, p *Phone) {
	t.Helper()
	if v := p.Violations(); v != (Violations{}) {
		t.Errorf("violations: %v: %q", v, p.ViolationNotes())
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "|", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// out sends one packet as one transfer, with a ZLP if it needs one.
func out(t testing.TB, c *Cable, b []byte) {
	t.Helper()
	if err := c.BulkOut(b); err != nil {
		t.Fatal(err)
	}
	if len(b)%c.packet == 0 {
		if err := c.BulkOut(nil); err != nil {
			t.Fatal(err)
		}
	}
}

// in does one IN transfer of 64 KiB.
func in(t testing.TB, c *Cable) []byte {
	t.Helper()
	b := make([]byte, 64<<10)
	n, err := c.BulkIn(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// wire is a host that builds its packets by hand, for what a proper host would
// not send.
type wire struct {
	t    testing.TB
	c    *Cable
	long bool
	tx   uint16
}

// attach greets the phone as a host does and checks the answer.
func attach(t testing.TB, c *Cable) *wire {
	t.Helper()
	w := &wire{t: t, c: c, long: true}
	out(t, c, unhex(t, "00000000 00000014 00000002 00000000 00000000"))
	want := unhex(t, "00000000 00000014 00000002 00000000 00000000")
	if got := in(t, c); !bytes.Equal(got, want) {
		t.Fatalf("VERSION reply = %x, want %x", got, want)
	}
	w.send(2, []byte{7})
	return w
}

func (w *wire) send(proto uint32, body []byte) {
	w.t.Helper()
	out(w.t, w.c, w.packet(proto, body))
}

func (w *wire) packet(proto uint32, body []byte) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint32(b, proto)
	b = binary.BigEndian.AppendUint32(b, uint32(16+len(body)))
	b = binary.BigEndian.AppendUint32(b, 0xfeedface)
	b = binary.BigEndian.AppendUint16(b, w.tx)
	b = binary.BigEndian.AppendUint16(b, 0xffff)
	w.tx++
	return append(b, body...)
}

// seg sends one TCP packet.
func (w *wire) seg(sport, dport uint16, seq, ack uint32, flags byte, window uint16, payload string) {
	w.t.Helper()
	w.send(6, tcpBytes(sport, dport, seq, ack, flags, window, payload))
}

func tcpBytes(sport, dport uint16, seq, ack uint32, flags byte, window uint16, payload string) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, 0x50, flags)
	b = binary.BigEndian.AppendUint16(b, window)
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

// reply is a TCP packet of the phone taken apart.
type reply struct {
	sport, dport uint16
	seq, ack     uint32
	flags        byte
	window       uint16
	payload      string
}

func (w *wire) recv() reply {
	w.t.Helper()
	return parseReply(w.t, in(w.t, w.c))
}

func parseReply(t testing.TB, b []byte) reply {
	t.Helper()
	if len(b) < 36 || binary.BigEndian.Uint32(b) != 6 || int(binary.BigEndian.Uint32(b[4:])) != len(b) || binary.BigEndian.Uint32(b[8:]) != 0xfeedface {
		t.Fatalf("not a v2 TCP packet: %x", b)
	}
	b = b[16:]
	return reply{
		sport: binary.BigEndian.Uint16(b), dport: binary.BigEndian.Uint16(b[2:]),
		seq: binary.BigEndian.Uint32(b[4:]), ack: binary.BigEndian.Uint32(b[8:]),
		flags: b[13], window: binary.BigEndian.Uint16(b[14:]), payload: string(b[20:]),
	}
}

// connect does the handshake from sport to dport; the next seq and ack are 1.
func (w *wire) connect(sport, dport uint16) {
	w.t.Helper()
	w.seg(sport, dport, 0, 0, 0x02, 512, "")
	want := reply{sport: dport, dport: sport, seq: 0, ack: 1, flags: 0x12, window: 512}
	if got := w.recv(); got != want {
		w.t.Fatalf("answer to SYN = %+v, want %+v", got, want)
	}
	w.seg(sport, dport, 1, 1, 0x10, 512, "")
}

var _ io.ReadWriteCloser = (*pipe)(nil)
