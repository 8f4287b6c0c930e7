package virtualphone

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
)

// TestVectors replays the published first connection byte for byte.
func TestVectors(t *testing.T) {
	p := newPhone(t, Config{})
	release := make(chan struct{})
	p.HandlePort(LockdownPort, func(_ context.Context, c net.Conn) {
		b := make([]byte, 4)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "ping" {
			t.Errorf("service read %q, %v", b, err)
		}
		c.Write([]byte("pong"))
		<-release
	})
	c := plug(t, p)
	for i, step := range []struct {
		name string
		out  string // host to device
		in   string // device to host
	}{
		{name: "version",
			out: "00000000 00000014 00000002 00000000 00000000",
			in:  "00000000 00000014 00000002 00000000 00000000"},
		{name: "setup", out: "00000002 00000011 FEEDFACE 0000 FFFF 07"},
		{name: "syn",
			out: "00000006 00000024 FEEDFACE 0001 FFFF | 0001 F27E 00000000 00000000 50 02 0200 0000 0000",
			in:  "00000006 00000024 FEEDFACE 0000 0001 | F27E 0001 00000000 00000001 50 12 0200 0000 0000"},
		{name: "ack", out: "00000006 00000024 FEEDFACE 0002 0000 | 0001 F27E 00000001 00000001 50 10 0200 0000 0000"},
		{name: "data",
			out: "00000006 00000028 FEEDFACE 0003 0000 | 0001 F27E 00000001 00000001 50 10 0200 0000 0000 | 70696e67"},
	} {
		out(t, c, unhex(t, step.out))
		if step.in == "" {
			continue
		}
		if got, want := in(t, c), unhex(t, step.in); !bytes.Equal(got, want) {
			t.Fatalf("step %d %s: device sent %x, want %x", i, step.name, got, want)
		}
	}
	// The ack of the four bytes may come alone or with the answer.
	got := in(t, c)
	if ack := unhex(t, "00000006 00000024 FEEDFACE 0001 0003 | F27E 0001 00000001 00000005 50 10 0200 0000 0000"); bytes.Equal(got, ack) {
		got = in(t, c)
		got[13] = 1 // one packet later
	}
	if want := unhex(t, "00000006 00000028 FEEDFACE 0001 0003 | F27E 0001 00000001 00000005 50 10 0200 0000 0000 | 706f6e67"); !bytes.Equal(got, want) {
		t.Fatalf("device data = %x, want %x", got, want)
	}
	out(t, c, unhex(t, "00000006 00000024 FEEDFACE 0004 0000 | 0001 F27E 00000005 00000005 50 10 0200 0000 0000"))
	out(t, c, unhex(t, "00000006 00000024 FEEDFACE 0005 0000 | 0001 F27E 00000005 00000005 50 04 0200 0000 0000"))
	// A port nobody listens on.
	out(t, c, unhex(t, "00000006 00000024 FEEDFACE 0006 0000 | 0002 0051 00000000 00000000 50 02 0200 0000 0000"))
	r := parseReply(t, in(t, c))
	if want := (reply{sport: 0x51, dport: 2, ack: 1, flags: 4}); r != want {
		t.Fatalf("answer of a closed port = %+v, want %+v", r, want)
	}
	clean(t, p)
	if n := p.Stats().OpenConns; n != 0 {
		t.Errorf("open conns after the host's RST = %d, want 0", n)
	}
	close(release)
}

// TestVectorsV1 is the same for a phone of mux version 1: short headers, no SETUP.
func TestVectorsV1(t *testing.T) {
	p := newPhone(t, Config{MuxMajor: 1})
	c := plug(t, p)
	out(t, c, unhex(t, "00000000 00000014 00000002 00000000 00000000"))
	if got, want := in(t, c), unhex(t, "00000000 00000014 00000001 00000000 00000000"); !bytes.Equal(got, want) {
		t.Fatalf("VERSION reply = %x, want %x", got, want)
	}
	out(t, c, unhex(t, "00000006 0000001c | 0001 0007 00000000 00000000 50 02 0200 0000 0000"))
	if got, want := in(t, c), unhex(t, "00000006 0000001c | 0007 0001 00000000 00000001 50 12 0200 0000 0000"); !bytes.Equal(got, want) {
		t.Fatalf("SYN+ACK = %x, want %x", got, want)
	}
	out(t, c, unhex(t, "00000006 0000001c | 0001 0007 00000001 00000001 50 10 0200 0000 0000"))
	out(t, c, unhex(t, "00000006 0000001e | 0001 0007 00000001 00000001 50 10 0200 0000 0000 | 6869"))
	got := in(t, c)
	if len(got) == 28 {
		got = in(t, c)
	}
	if want := unhex(t, "00000006 0000001e | 0007 0001 00000001 00000003 50 10 0200 0000 0000 | 6869"); !bytes.Equal(got, want) {
		t.Fatalf("echo = %x, want %x", got, want)
	}
	clean(t, p)
}
