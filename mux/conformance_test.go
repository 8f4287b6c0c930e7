package mux

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/mux/muxtest"
)

// TestConformance is the coverage table of the reference daemon, as far as it
// concerns the multiplexer: a row, and the test that holds it.
func TestConformance(t *testing.T) {
	for _, row := range []struct {
		name string
		test func(*testing.T)
	}{
		{"VERSION/SETUP bytes", TestVectors},
		{"v1 device", TestVersion1Phone},
		{"Version other than 1/2", testOtherVersion},
		{"Stale packets before VERSION reply", TestHandshake},
		{"tx_seq/rx_seq", testPacketNumbers},
		{"SYN/ACK/RST bytes", TestVectors},
		{"Window respect", testWindowRespect},
		{"Back-pressure to device", testBackPressure},
		{"ACK latency", testAckLatency},
		{"FIN / PSH from device", TestFinIsEndOfDataOnly},
		{"Half-close by client", TestHalfClose},
		{"Flush on device close", TestResetDeliversWhatCameBefore},
		{"MTU", testMTU},
		{"Split RX", TestSplitAndJoined},
		{"Source port wrap", TestPorts}, // and TestConnects
		{"CONTROL messages", TestTolerated},
		{"Connect errors", TestDialErrors},
		{"Connect timeout", testConnectTimeout},
		{"Unplug with open connections", TestUnplugEndsConnections},
	} {
		t.Run(row.name, row.test)
	}
}

func testOtherVersion(t *testing.T) {
	for _, version := range []string{"00000000", "00000003", "ffffffff"} {
		synctest.Test(t, func(t *testing.T) {
			pipe, phone := muxtest.Pipe()
			go (&bench{phone: phone}).swallow()
			go phone.Send(unhex(t, "00000000 00000014 "+version+" 00000000 00000000"))
			if _, err := Open(t.Context(), pipe, Config{}); err == nil || !strings.Contains(err.Error(), "mux version") {
				t.Fatalf("want an error that names the version, got %v", err)
			}
		})
	}
}

// testPacketNumbers asserts that tx counts every packet from SETUP on without a
// gap, and that rx repeats the last tx received.
func testPacketNumbers(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		for i := range 100 {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			h := decodeHeader(b.recv(), longHeaderLen)
			if want := uint16(3 + i); h.tx != want || h.rx != b.tx {
				t.Fatalf("want tx %d and rx %d, got %d and %d", want, b.tx, h.tx, h.rx)
			}
			b.sendSegment(62078, 1, 1, uint32(i+2), flagACK, window, "")
			synctest.Wait()
		}
	})
}

func testWindowRespect(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, 1024)
		go c.Write(make([]byte, 1<<20)) // ends with the session
		acked := uint32(1)
		for range 200 {
			if n := len(b.wantSegment(1, 62078, acked, 1, flagACK)); n != 1024 {
				t.Fatalf("want the whole window of 1024 bytes, got %d", n)
			}
			synctest.Wait() // and not a byte more
			acked += 1024
			b.sendSegment(62078, 1, 1, acked, flagACK, 1024, "")
		}
		go b.swallow()
	})
}

// testBackPressure asserts that a reader who has stopped keeps the phone's data
// unacknowledged, and that nothing is lost when it goes on.
func testBackPressure(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		var want bytes.Buffer
		seq := uint32(1)
		for i := range window / 1024 {
			chunk := strings.Repeat(string(rune('a'+i%26)), 1024)
			want.WriteString(chunk)
			b.sendSegment(62078, 1, seq, 1, flagACK, window, chunk)
			seq += 1024
		}
		synctest.Wait()
		if got := readString(t, c, 1000); got != want.String()[:1000] {
			t.Fatal("the first bytes differ")
		}
		// 1000 of 131072 bytes are no quarter of the window: still no ack.
		rest := make(chan string, 1)
		go func() { rest <- readString(t, c, window-1000) }()
		for acked := uint32(1); acked != seq; {
			p := b.recv()
			g, _, err := decodeSegment(p[longHeaderLen:])
			if err != nil || g.ack <= acked {
				t.Fatalf("want the ack number to rise from %d, got %d, %v", acked, g.ack, err)
			}
			if acked == 1 && g.ack < window/4 {
				t.Fatalf("want the first ack at a quarter of the window, got %d", g.ack)
			}
			acked = g.ack
		}
		if <-rest != want.String()[1000:] {
			t.Fatal("bytes differ")
		}
	})
}

// testAckLatency asserts that the ack of what a client has taken waits for no
// timer and for no other connection's data, however much of that is queued.
func testAckLatency(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		var busy []*Conn
		for src := range uint16(8) {
			busy = append(busy, b.dial(src+2, 64*window))
		}
		for _, other := range busy {
			go other.Write(make([]byte, 16<<20)) // ends with the session
		}
		synctest.Wait()
		start := time.Now()
		b.sendSegment(62078, 1, 1, 1, flagACK, window, "data")
		synctest.Wait()
		if got := readString(t, c, 4); got != "data" {
			t.Fatalf("got %q", got)
		}
		for sent := 0; ; sent++ {
			g, _, err := decodeSegment(b.recv()[longHeaderLen:])
			if err != nil {
				t.Fatal(err)
			}
			if g.src == 1 && g.ack == 5 {
				break
			}
			if sent == b.ahead+1 { // those on their way, and the one being put together
				t.Fatal("want the ack before other connections' data")
			}
		}
		if d := time.Since(start); d != 0 {
			t.Fatalf("want the ack at once, got it after %v", d)
		}
		go b.swallow()
	})
}

// testMTU asserts that no packet is longer than 48 KiB, whatever the window.
func testMTU(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, 64*window)
		go c.Write(make([]byte, 1<<20)) // ends with the session
		full := 0
		for range 20 {
			n := len(b.recv())
			if n > 48<<10 {
				t.Fatalf("packet of %d bytes", n)
			}
			if n == 48<<10 {
				full++
			}
		}
		if full == 0 {
			t.Fatal("want packets filled to 48 KiB")
		}
		go b.swallow()
	})
}

func testConnectTimeout(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		start := time.Now()
		go b.swallow()
		_, err := b.s.Dial(context.Background(), 62078)
		if d := time.Since(start); d != 10*time.Second || err == nil {
			t.Fatalf("want an error after 10 s, got %v after %v", err, d)
		}
	})
}
