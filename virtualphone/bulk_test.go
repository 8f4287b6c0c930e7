package virtualphone

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"testing"

	"gomuxd/virtualphone/service"
)

// TestBulk moves data both ways on many connections at once and checks every byte.
func TestBulk(t *testing.T) {
	const size = 1 << 20
	p := newPhone(t, Config{})
	h := dialPhone(t, plug(t, p))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			data := make([]byte, size)
			service.Fill(uint64(i), 0, data)
			c := h.mustDial(ChecksumPort)
			c.Write(binary.BigEndian.AppendUint64(nil, size))
			c.Write(data)
			sum, err := io.ReadAll(c)
			if want := sha256.Sum256(data); err != nil || !bytes.Equal(sum, want[:]) {
				t.Errorf("conn %d: sum %x, %v, want %x", i, sum, err, want)
			}
		})
		wg.Go(func() {
			c := h.mustDial(SourcePort)
			c.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, size), uint64(i)))
			got, err := io.ReadAll(c)
			if err != nil || len(got) != size {
				t.Errorf("conn %d: %d bytes, %v", i, len(got), err)
				return
			}
			if err := service.Verify(uint64(i), 0, got); err != nil {
				t.Errorf("conn %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	clean(t, p)
}

// TestManyConnects: ports and memory of ended connections come back.
func TestManyConnects(t *testing.T) {
	p := newPhone(t, Config{})
	h := dialPhone(t, plug(t, p))
	for range 2 * maxEnded {
		h.mustDial(EchoPort).Close()
	}
	c := p.Cable()
	c.mu.Lock()
	conns, ended, order := len(c.link.conns), len(c.link.ended), len(c.link.order)
	c.mu.Unlock()
	if conns != 0 || ended > maxEnded || order != ended {
		t.Errorf("%d conns, %d ended, %d in order", conns, ended, order)
	}
	clean(t, p)
}

// BenchmarkPipe measures the phone alone: raw packets through a pipe, no host stack.
func BenchmarkPipe(b *testing.B) {
	for _, size := range []int{512, 16 << 10, 49116} {
		b.Run(fmt.Sprintf("up/%d", size), func(b *testing.B) {
			p := newPhone(b, Config{})
			c := plug(b, p)
			w := attach(b, c)
			w.connect(1, SinkPort)
			pipe := c.Pipe()
			acked := uint32(1)
			packet := w.packet(6, tcpBytes(1, SinkPort, 1, 1, 0x10, 512, string(make([]byte, size))))
			w.tx--
			seq := uint32(1)
			in := make([]byte, 64<<10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for seq+uint32(size)-acked > windowBytes {
					n, err := pipe.Read(in)
					if err != nil || n != 36 {
						b.Fatalf("ack of %d bytes: %v", n, err)
					}
					acked = binary.BigEndian.Uint32(in[24:])
				}
				binary.BigEndian.PutUint16(packet[12:], w.tx)
				binary.BigEndian.PutUint32(packet[20:], seq)
				seq += uint32(size)
				w.tx++
				if _, err := pipe.Write(packet); err != nil {
					b.Fatal(err)
				}
			}
			clean(b, p)
		})
	}
	b.Run("down", func(b *testing.B) {
		p := newPhone(b, Config{})
		c := plug(b, p)
		w := attach(b, c)
		w.connect(1, SourcePort)
		w.seg(1, SourcePort, 1, 1, 0x10, 512, string(binary.BigEndian.AppendUint64(nil, 1<<62))+"12345678")
		pipe := c.Pipe()
		in := make([]byte, 64<<10)
		ack := w.packet(6, tcpBytes(1, SourcePort, 17, 1, 0x10, 512, ""))
		w.tx--
		b.SetBytes(maxSegment - tcpHeader)
		b.ReportAllocs()
		for b.Loop() {
			n, err := pipe.Read(in)
			if err != nil {
				b.Fatal(err)
			}
			binary.BigEndian.PutUint16(ack[12:], w.tx)
			w.tx++
			binary.BigEndian.PutUint32(ack[24:], binary.BigEndian.Uint32(in[20:])+uint32(n-36))
			if _, err := pipe.Write(ack); err != nil {
				b.Fatal(err)
			}
		}
		clean(b, p)
	})
}

// FuzzOut: whatever bytes a host sends, in whatever transfers, the phone stays
// bounded, sends only well-formed packets, and works for the next proper host.
func FuzzOut(f *testing.F) {
	version := unhex(f, "00000000 00000014 00000002 00000000 00000000")
	w := &wire{t: f}
	good := append([]byte{}, version...)
	seeds := [][]byte{version}
	w.tx = 0
	for _, b := range [][]byte{
		w.packet(2, []byte{7}),
		w.packet(6, tcpBytes(1, EchoPort, 0, 0, 2, 512, "")),
		w.packet(6, tcpBytes(1, EchoPort, 1, 1, 0x10, 512, "")),
		w.packet(6, tcpBytes(1, EchoPort, 1, 1, 0x10, 512, "hello")),
		w.packet(6, tcpBytes(1, EchoPort, 6, 6, 0x04, 512, "")),
	} {
		seeds = append(seeds, b)
		good = append(good, b...)
	}
	f.Add(good, uint16(20))
	for i := range seeds {
		f.Add(bytes.Join(seeds[:i+1], nil), uint16(36))
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		p, err := New(Config{})
		must(t, err)
		defer p.Close()
		c := plug(t, p)
		step := int(cut)%2048 + 1
		for len(stream) > 0 {
			n := min(step, len(stream))
			// A message that follows the announced length is cut there.
			if len(stream) >= 8 {
				if l := int(binary.BigEndian.Uint32(stream[4:])); l >= 8 && l <= len(stream) {
					n = l
				}
			}
			must(t, c.BulkOut(stream[:n]))
			stream = stream[n:]
		}
		must(t, c.BulkOut(nil))
		if n := len(c.link.conns); n > maxConns {
			t.Fatalf("%d conns", n)
		}
		if len(c.link.queue) > maxQueued || cap(c.out) > 2*maxMessage {
			t.Fatalf("%d packets queued, %d bytes gathered", len(c.link.queue), cap(c.out))
		}
		must(t, c.BulkOut(version))
		buf := make([]byte, 64<<10)
		for {
			n, err := c.BulkIn(buf)
			must(t, err)
			if n == 0 {
				continue
			}
			if n < 20 || int(binary.BigEndian.Uint32(buf[4:])) != n {
				t.Fatalf("phone sent %x", buf[:n])
			}
			c.mu.Lock()
			empty := len(c.link.queue) == 0 && c.link.ready == nil
			c.mu.Unlock()
			if empty && bytes.Equal(buf[:n], version) {
				break
			}
		}
		w := &wire{t: t, c: c}
		w.send(2, []byte{7})
		w.connect(1, EchoPort)
	})
}
