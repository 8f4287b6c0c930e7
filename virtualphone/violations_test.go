package virtualphone

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestViolations: each breach is counted once under its kind, and nothing else is.
func TestViolations(t *testing.T) {
	version := "00000000 00000014 00000002 00000000 00000000"
	for _, tt := range []struct {
		name string
		do   func(w *wire)
		want Violations
	}{
		{"proper host", func(w *wire) {
			w.connect(1, EchoPort)
			w.seg(1, EchoPort, 1, 1, 0x10, 512, "hi")
			for got := ""; got != "hi"; {
				got += w.recv().payload
			}
			w.seg(1, EchoPort, 3, 3, 0x10, 512, "")
			w.seg(1, EchoPort, 3, 3, 0x04, 512, "")
		}, Violations{}},
		{"restart", func(w *wire) {
			w.connect(1, EchoPort)
			*w = *attach(w.t, w.c)
			w.connect(1, EchoPort)
		}, Violations{}},
		{"bad magic", func(w *wire) {
			b := w.packet(6, tcpBytes(1, EchoPort, 0, 0, 2, 512, ""))
			b[8]++
			out(w.t, w.c, b)
		}, Violations{BadMagic: 1}},
		{"announces more", func(w *wire) {
			b := w.packet(6, tcpBytes(1, EchoPort, 0, 0, 2, 512, ""))
			b[7]++
			out(w.t, w.c, b)
		}, Violations{BadLength: 1}},
		{"short mux header", func(w *wire) { out(w.t, w.c, make([]byte, 7)) }, Violations{BadLength: 1}},
		{"short long header", func(w *wire) { out(w.t, w.c, unhex(w.t, "00000006 0000000c feedface")) }, Violations{BadLength: 1}},
		{"short tcp header", func(w *wire) { w.send(6, make([]byte, 19)) }, Violations{BadLength: 1}},
		{"over 48 KiB", func(w *wire) {
			w.connect(1, SinkPort)
			w.seg(1, SinkPort, 1, 1, 0x10, 512, strings.Repeat("x", maxHostPacket-36+1))
		}, Violations{Oversized: 1}},
		{"just 48 KiB", func(w *wire) {
			w.connect(1, SinkPort)
			w.seg(1, SinkPort, 1, 1, 0x10, 512, strings.Repeat("x", maxHostPacket-36))
		}, Violations{}},
		{"64 KiB", func(w *wire) {
			w.connect(1, SinkPort)
			b := w.packet(6, tcpBytes(1, SinkPort, 1, 1, 0x10, 512, strings.Repeat("x", 65536-36)))
			w.tx--
			out(w.t, w.c, b)
			w.seg(1, SinkPort, 1, 1, 0x10, 512, "x") // and the stream goes on
		}, Violations{Oversized: 1}},
		{"no ZLP", func(w *wire) {
			w.connect(1, SinkPort)
			must(w.t, w.c.BulkOut(w.packet(6, tcpBytes(1, SinkPort, 1, 1, 0x10, 512, strings.Repeat("x", 512-36)))))
			w.seg(1, SinkPort, 1+512-36, 1, 0x10, 512, "x")
		}, Violations{MissingZLP: 1}},
		{"split transfers", func(w *wire) {
			w.connect(1, SinkPort)
			b := w.packet(6, tcpBytes(1, SinkPort, 1, 1, 0x10, 512, strings.Repeat("x", 40000)))
			for ; len(b) > 16384; b = b[16384:] {
				must(w.t, w.c.BulkOut(b[:16384]))
			}
			must(w.t, w.c.BulkOut(b))
		}, Violations{}},
		{"unknown protocol", func(w *wire) { w.send(9, nil) }, Violations{BadProtocol: 1}},
		{"control", func(w *wire) { w.send(1, []byte{3}) }, Violations{BadProtocol: 1}},
		{"long version", func(w *wire) { out(w.t, w.c, unhex(w.t, version+"00")) }, Violations{BadVersion: 1}},
		{"version 1", func(w *wire) { out(w.t, w.c, unhex(w.t, "00000000 00000014 00000001 00000000 00000000")) }, Violations{BadVersion: 1}},
		{"no setup", func(w *wire) {
			out(w.t, w.c, unhex(w.t, version))
			w.tx = 0
			w.seg(1, EchoPort, 0, 0, 2, 512, "")
			w.seg(2, EchoPort, 0, 0, 2, 512, "")
		}, Violations{MissingSetup: 1}},
		{"setup twice", func(w *wire) { w.tx = 0; w.send(2, []byte{7}) }, Violations{BadSetup: 1}},
		{"setup 8", func(w *wire) {
			out(w.t, w.c, unhex(w.t, version))
			w.tx = 0
			w.send(2, []byte{8})
		}, Violations{BadSetup: 1}},
		{"tx gap", func(w *wire) {
			w.tx++
			w.seg(1, EchoPort, 0, 0, 2, 512, "")
			w.seg(2, EchoPort, 0, 0, 2, 512, "")
		}, Violations{TxSeqGap: 1}},
		{"tx gap where the bus has lost a packet", func(w *wire) {
			w.tx++
			w.c.LoseOut()
			w.seg(1, EchoPort, 0, 0, 2, 512, "")
			out(w.t, w.c, unhex(w.t, version))
			w.tx = 0
			w.send(2, []byte{7})
			w.tx++
			w.seg(1, EchoPort, 0, 0, 2, 512, "")
		}, Violations{TxSeqGap: 1}},
		{"first tx 0", func(w *wire) { w.tx = 0; w.seg(1, EchoPort, 0, 0, 2, 512, "") }, Violations{TxSeqGap: 1}},
		{"offset 6", func(w *wire) {
			b := tcpBytes(1, EchoPort, 0, 0, 2, 512, "")
			b[12] = 0x60
			w.send(6, b)
		}, Violations{BadHeader: 1}},
		{"checksum", func(w *wire) {
			b := tcpBytes(1, EchoPort, 0, 0, 2, 512, "")
			b[17] = 1
			w.send(6, b)
		}, Violations{BadHeader: 1}},
		{"syn seq", func(w *wire) { w.seg(1, EchoPort, 1, 0, 2, 512, "") }, Violations{BadSYN: 1}},
		{"syn ack number", func(w *wire) { w.seg(1, EchoPort, 0, 1, 2, 512, "") }, Violations{BadSYN: 1}},
		{"syn window", func(w *wire) { w.seg(1, EchoPort, 0, 0, 2, 511, "") }, Violations{BadSYN: 1}},
		{"small syn window", func(w *wire) { w.seg(1, EchoPort, 0, 0, 2, 128, "") }, Violations{}},
		{"syn from port 0", func(w *wire) { w.seg(0, EchoPort, 0, 0, 2, 512, "") }, Violations{BadSYN: 1}},
		{"syn and ack", func(w *wire) { w.seg(1, EchoPort, 0, 0, 0x12, 512, "") }, Violations{BadFlags: 1}},
		{"port in use", func(w *wire) { w.connect(1, EchoPort); w.seg(1, EchoPort, 0, 0, 2, 512, "") }, Violations{PortInUse: 1}},
		{"same source port, other port", func(w *wire) { w.connect(1, EchoPort); w.connect(1, SinkPort) }, Violations{}},
		{"psh", func(w *wire) { w.connect(1, SinkPort); w.seg(1, SinkPort, 1, 1, 0x18, 512, "x") }, Violations{BadFlags: 1}},
		{"fin", func(w *wire) { w.connect(1, SinkPort); w.seg(1, SinkPort, 1, 1, 0x11, 512, "") }, Violations{BadFlags: 1}},
		{"rst and ack", func(w *wire) { w.connect(1, SinkPort); w.seg(1, SinkPort, 1, 1, 0x14, 512, "") }, Violations{BadFlags: 1}},
		{"old seq", func(w *wire) {
			w.connect(1, SinkPort)
			w.seg(1, SinkPort, 1, 1, 0x10, 512, "abc")
			w.seg(1, SinkPort, 1, 1, 0x10, 512, "abc")
		}, Violations{BadSeq: 1}},
		{"ack beyond", func(w *wire) { w.connect(1, SinkPort); w.seg(1, SinkPort, 1, 2, 0x10, 512, "") }, Violations{AckBeyondSent: 1}},
		{"ack back", func(w *wire) { w.connect(1, SinkPort); w.seg(1, SinkPort, 1, 0, 0x10, 512, "") }, Violations{AckBackwards: 1}},
		{"after own rst", func(w *wire) {
			w.connect(1, SinkPort)
			w.seg(1, SinkPort, 1, 1, 0x04, 512, "")
			w.seg(1, SinkPort, 1, 1, 0x10, 512, "x")
		}, Violations{AfterRST: 1}},
		{"port again after own rst", func(w *wire) {
			w.connect(1, SinkPort)
			w.seg(1, SinkPort, 1, 1, 0x04, 512, "")
			w.connect(1, SinkPort)
		}, Violations{}},
		{"unknown connection", func(w *wire) {
			w.seg(9, 62078, 55, 1, 0x10, 512, "x")
			if got, want := w.recv(), (reply{sport: 62078, dport: 9, ack: 55, flags: 4}); got != want {
				w.t.Errorf("answer = %+v, want %+v", got, want)
			}
		}, Violations{UnknownConn: 1}},
		{"rst of nothing", func(w *wire) { w.seg(9, 62078, 55, 1, 0x04, 512, "") }, Violations{}},
		{"late segments after the phone's rst", func(w *wire) {
			w.connect(1, SinkPort)
			w.c.phone.ResetConns("bye")
			if r := w.recv(); r.flags != 4 || r.payload != "bye" {
				w.t.Errorf("reset = %+v", r)
			}
			w.seg(1, SinkPort, 1, 1, 0x10, 512, "in flight")
			w.seg(1, SinkPort, 10, 1, 0x04, 512, "")
			w.connect(1, SinkPort)
		}, Violations{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPhone(t, Config{})
			tt.do(attach(t, plug(t, p)))
			if got := p.Violations(); got != tt.want {
				t.Errorf("violations = %v, want %v; %q", got, tt.want, p.ViolationNotes())
			}
			p.ClearViolations()
			clean(t, p)
		})
	}
}

func TestBeforeVersion(t *testing.T) {
	p := newPhone(t, Config{})
	w := &wire{t: t, c: plug(t, p)}
	w.send(2, []byte{7})
	if got, want := p.Violations(), (Violations{MissingVersion: 1}); got != want {
		t.Errorf("violations = %v, want %v", got, want)
	}
}

// TestBeyondWindow: with a service that does not read, the host may send one
// window and not a byte more.
func TestBeyondWindow(t *testing.T) {
	p := newPhone(t, Config{})
	p.HandlePort(5, func(ctx context.Context, _ net.Conn) { <-ctx.Done() })
	w := attach(t, plug(t, p))
	w.connect(1, 5)
	seq := uint32(1)
	for range windowBytes / 32768 {
		w.seg(1, 5, seq, 1, 0x10, 512, strings.Repeat("x", 32768))
		seq += 32768
	}
	clean(t, p)
	w.seg(1, 5, seq, 1, 0x10, 512, "x")
	if got, want := p.Violations(), (Violations{BeyondWindow: 1}); got != want {
		t.Errorf("violations = %v, want %v", got, want)
	}
	if r := w.recv(); r.flags != 4 {
		t.Errorf("answer = %+v, want a reset", r)
	}
}

func TestViolationsString(t *testing.T) {
	if s := (Violations{}).String(); s != "none" {
		t.Errorf("clean = %q", s)
	}
	v := Violations{BadMagic: 2, UnknownConn: 1}
	if s := fmt.Sprint(v); s != "bad magic 2, unknown connection 1" || v.Total() != 3 {
		t.Errorf("String = %q, Total = %d", s, v.Total())
	}
}
