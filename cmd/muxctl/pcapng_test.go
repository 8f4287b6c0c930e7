package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"gomuxd/control"
)

// TestPcapngBlocks compares every kind of block with bytes laid out by hand after the
// draft.
func TestPcapngBlocks(t *testing.T) {
	at := time.Unix(1, 2) // 0x3b9aca02 ns
	for _, tt := range []struct {
		name  string
		write func(p *pcapng) error
		want  string
	}{
		{"section", func(p *pcapng) error { return p.section("muxctl 1") },
			"0a0d0d0a 38000000 4d3c2b1a 0100 0000 ffffffffffffffff" +
				"0300 0500 4c696e7578 000000" + "0400 0800 6d757863746c2031" + "00000000 38000000"},
		{"interface", func(p *pcapng) error { return p.add(linkRaw, "Bo", "phone") },
			"01000000 34000000 6500 0000 00000000" +
				"0200 0200 426f 0000" + "0300 0500 70686f6e65 000000" + "0900 0100 09 000000" + "00000000 34000000"},
		{"packet", func(p *pcapng) error {
			return p.packet(pcapngPacket{iface: 1, time: at, data: []byte{1, 2, 3}, length: 9, out: true})
		},
			"06000000 30000000 01000000 00000000 02ca9a3b 03000000 09000000 010203 00" +
				"0200 0400 02000000" + "00000000 30000000"},
		{"packet with all", func(p *pcapng) error {
			return p.packet(pcapngPacket{time: at.Add(5e9), data: []byte{1, 2, 3, 4}, length: 4, dropped: 7, comment: "lost"})
		},
			"06000000 44000000 00000000 01000000 02bc a065 04000000 04000000 01020304" +
				"0100 0400 6c6f7374" + "0200 0400 01000000" + "0400 0800 0700000000000000" + "00000000 44000000"},
		{"empty packet", func(p *pcapng) error { return p.packet(pcapngPacket{time: at, length: 0}) },
			"06000000 2c000000 00000000 00000000 02ca9a3b 00000000 00000000" + "0200 0400 01000000" + "00000000 2c000000"},
		{"statistics", func(p *pcapng) error { return p.statistics(1, at, at, 3, 4) },
			"05000000 4c000000 01000000 00000000 02ca9a3b" +
				"0200 0800 00000000 02ca9a3b" + "0300 0800 00000000 02ca9a3b" +
				"0400 0800 0300000000000000" + "0500 0800 0400000000000000" + "00000000 4c000000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := tt.write(&pcapng{w: &b}); err != nil {
				t.Fatal(err)
			}
			want, err := hex.DecodeString(strings.ReplaceAll(tt.want, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("want\n%x\ngot\n%x", want, b.Bytes())
			}
		})
	}
}

// tcpPacket is a mux packet of TCP as the wire has it.
func tcpPacket(out bool, flags byte, seq, ack uint32, payload string) control.Captured {
	b := make([]byte, 36)
	binary.BigEndian.PutUint32(b, muxTCP)
	binary.BigEndian.PutUint32(b[4:], uint32(36+len(payload)))
	binary.BigEndian.PutUint32(b[8:], 0xfeedface)
	from, to := uint16(7), uint16(1)
	if out {
		from, to = to, from
	}
	binary.BigEndian.PutUint16(b[16:], from)
	binary.BigEndian.PutUint16(b[18:], to)
	binary.BigEndian.PutUint32(b[20:], seq)
	binary.BigEndian.PutUint32(b[24:], ack)
	b[28], b[29] = 5<<4, flags
	binary.BigEndian.PutUint16(b[30:], 512)
	b = append(b, payload...)
	return control.Captured{Packet: control.Packet{Time: noon, Out: out, Header: 16, Data: b}, Length: len(b)}
}

// TestAppendIP takes packets through, also those in mid-connection and around the
// wrap of sequence numbers, and asserts that only addresses, checksum and a SYN's
// option are made up.
func TestAppendIP(t *testing.T) {
	cut := tcpPacket(false, 0x10, 5, 6, "secret")
	cut.Data = cut.Data[:36]
	odd := tcpPacket(true, 0x02, 0, 0, "")
	odd.Data[28] = 6 << 4 // has options, or says so
	first := tcpPacket(true, 0x10, 1, 1, "x")
	first.Header, first.Data, first.Length = 8, append(first.Data[:8:8], first.Data[16:]...), first.Length-8
	short := tcpPacket(true, 0, 0, 0, "")
	short.Data = short.Data[:30]
	version := control.Captured{Packet: control.Packet{Header: 8, Data: make([]byte, 40)}, Length: 40}
	for _, tt := range []struct {
		name   string
		c      control.Captured
		length int    // of the IP packet
		tcp    string // hex of all behind the IP header, with the checksum as 0000
		sum    bool   // there is a checksum
	}{
		{"SYN", tcpPacket(true, 0x02, 0, 0, ""), 64, "0001 0007 00000000 00000000 60 02 0200 0000 0000 01030308", true},
		{"SYN+ACK", tcpPacket(false, 0x12, 0, 1, ""), 64, "0007 0001 00000000 00000001 60 12 0200 0000 0000 01030308", true},
		{"data", tcpPacket(true, 0x10, 1, 1, "abc"), 63, "0001 0007 00000001 00000001 50 10 0200 0000 0000 616263", true},
		{"before the wrap", tcpPacket(true, 0x10, 0xfffffffe, 0x7fffffff, "abcd"), 64, "0001 0007 fffffffe 7fffffff 50 10 0200 0000 0000 61626364", true},
		{"after the wrap", tcpPacket(true, 0x10, 2, 0x80000000, "e"), 61, "0001 0007 00000002 80000000 50 10 0200 0000 0000 65", true},
		{"reset with a text", tcpPacket(false, 0x04, 0, 0, "no"), 62, "0007 0001 00000000 00000000 50 04 0200 0000 0000 6e6f", true},
		{"cut", cut, 66, "0007 0001 00000005 00000006 50 10 0200 0000 0000", false},
		{"SYN with options", odd, 60, "0001 0007 00000000 00000000 60 02 0200 0000 0000", true},
		{"version 1", first, 61, "0001 0007 00000001 00000001 50 10 0200 0000 0000 78", true},
		{"half a header", short, 0, "", false},
		{"VERSION", version, 0, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := bytes.Clone(tt.c.Data)
			b, length, ok := appendIP(nil, tt.c)
			if ok != (tt.length > 0) || length != tt.length {
				t.Fatalf("length %d, %v; want %d", length, ok, tt.length)
			}
			if !ok {
				return
			}
			if !bytes.Equal(before, tt.c.Data) {
				t.Error("the record was changed")
			}
			from, to := phoneAddress.As16(), hostAddress.As16()
			if tt.c.Out {
				from, to = to, from
			}
			ip := append([]byte{0x60, 0, 0, 0, 0, byte(tt.length - 40), 6, 64}, append(from[:], to[:]...)...)
			if !bytes.Equal(b[:40], ip) {
				t.Errorf("IP header %x; want %x", b[:40], ip)
			}
			tcp := b[40:]
			if has := binary.BigEndian.Uint16(tcp[16:]) != 0; has != tt.sum {
				t.Errorf("checksum %x; want one: %v", tcp[16:18], tt.sum)
			}
			if tt.sum && checksum(tcp, from, to) != 0 {
				t.Errorf("the checksum does not make the sum all ones")
			}
			tcp[16], tcp[17] = 0, 0
			if want, err := hex.DecodeString(strings.ReplaceAll(tt.tcp, " ", "")); err != nil || !bytes.Equal(tcp, want) {
				t.Errorf("TCP %x; want %x, %v", tcp, want, err)
			}
		})
	}
}

func TestMuxComment(t *testing.T) {
	mux := func(out bool, header int, kind uint32, body string) control.Captured {
		b := make([]byte, header)
		binary.BigEndian.PutUint32(b, kind)
		b = append(b, body...)
		return control.Captured{Packet: control.Packet{Out: out, Header: header, Data: b}, Length: len(b)}
	}
	for _, tt := range []struct {
		c    control.Captured
		want string
	}{
		{mux(true, 8, 0, "\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00"), "VERSION 2.0 to the device"},
		{mux(false, 16, 1, "\x05it is\nwell\x1b[2J"), "CONTROL from the device, level 5: it is well�[2J"},
		{mux(true, 16, 2, "\x07"), "SETUP to the device"},
		{mux(false, 8, 0, "x"), "Packet of kind 0 from the device, 9 bytes, not understood"},
		{mux(false, 16, 99, ""), "Packet of kind 99 from the device, 16 bytes, not understood"},
	} {
		if got := muxComment(tt.c); got != tt.want {
			t.Errorf("%q; want %q", got, tt.want)
		}
	}
}

// FuzzAppendIP asserts that whatever the daemon passes on becomes a packet whose
// length fields agree, or is left as it is.
func FuzzAppendIP(f *testing.F) {
	for _, c := range []control.Captured{tcpPacket(true, 0x02, 0, 0, ""), tcpPacket(false, 0x10, 1, 1, "data")} {
		f.Add(c.Data, c.Length, 16, true)
	}
	f.Add([]byte{0, 0, 0, 6, 0, 0, 0, 8}, 8, 8, false)
	f.Fuzz(func(t *testing.T, data []byte, length, header int, out bool) {
		if header != 8 && header != 16 || len(data) < header || length < len(data) || length > 64<<10 {
			return // control.Client lets none of these through
		}
		c := control.Captured{Packet: control.Packet{Time: noon, Out: out, Header: header, Data: data}, Length: length}
		b, n, ok := appendIP(nil, c)
		if !ok {
			if muxComment(c) == "" {
				t.Fatal("no comment")
			}
			return
		}
		if n < len(b) || int(binary.BigEndian.Uint16(b[4:])) != n-ipHeader {
			t.Fatalf("%d bytes of a packet of %d, whose header says %d", len(b), n, ipHeader+int(binary.BigEndian.Uint16(b[4:])))
		}
		if (n == len(b)) != (length == len(data)) {
			t.Fatalf("%d of %d bytes became %d of %d", len(data), length, len(b), n)
		}
	})
}
