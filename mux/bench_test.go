package mux_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"gomuxd/virtualphone"
)

// discardPort and pourPort are test services without verification, so that the
// phone costs as little as it can.
const discardPort, pourPort = 2001, 2002

// BenchmarkSession moves 1 MiB per connection and iteration through the
// in-process pipe, phone included.
func BenchmarkSession(b *testing.B) {
	const size = 1 << 20
	for _, dir := range []string{"up", "down"} {
		for _, conns := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", dir, conns), func(b *testing.B) {
				s, phone := attach(b, virtualphone.Config{})
				phone.HandlePort(discardPort, discard)
				phone.HandlePort(pourPort, pour)
				var all []net.Conn
				for range conns {
					port := uint16(discardPort)
					if dir == "down" {
						port = pourPort
					}
					all = append(all, dial(b, s, port))
				}
				b.SetBytes(int64(conns) * size)
				b.ReportAllocs()
				for b.Loop() {
					var wg sync.WaitGroup
					for _, c := range all {
						wg.Go(func() {
							if err := mebibyte(c, dir == "up"); err != nil {
								b.Error(err)
							}
						})
					}
					wg.Wait()
				}
			})
		}
	}
}

var zeros [64 << 10]byte

// mebibyte writes 1 MiB and waits for the phone's word that it has it, or asks
// for 1 MiB and reads it.
func mebibyte(c net.Conn, up bool) error {
	if up {
		for range 16 {
			if _, err := c.Write(zeros[:]); err != nil {
				return err
			}
		}
		var done [1]byte
		_, err := io.ReadFull(c, done[:])
		return err
	}
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, 1<<20)
	return err
}

func discard(_ context.Context, c net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		for left := 1 << 20; left > 0; {
			n, err := c.Read(buf[:min(left, len(buf))])
			if err != nil {
				return
			}
			left -= n
		}
		if _, err := c.Write([]byte{1}); err != nil {
			return
		}
	}
}

func pour(_ context.Context, c net.Conn) {
	var b [1]byte
	for {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return
		}
		for range 16 {
			if _, err := c.Write(zeros[:]); err != nil {
				return
			}
		}
	}
}

// BenchmarkDial is one connect and close.
func BenchmarkDial(b *testing.B) {
	s, _ := attach(b, virtualphone.Config{})
	b.ReportAllocs()
	for b.Loop() {
		c, err := s.Dial(context.Background(), virtualphone.EchoPort)
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// BenchmarkRoundTrip sends 64 bytes to the echo port and waits for them.
func BenchmarkRoundTrip(b *testing.B) {
	s, _ := attach(b, virtualphone.Config{})
	c := dial(b, s, virtualphone.EchoPort)
	var buf [64]byte
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		binary.BigEndian.PutUint64(buf[:], i)
		if _, err := c.Write(buf[:]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf[:]); err != nil {
			b.Fatal(err)
		}
	}
}
