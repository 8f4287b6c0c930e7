//go:build virtualphone

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/zap"

	"gomuxd/virtualphone"
)

// Ports of the phone that move whole mebibytes and check nothing, so that the
// phone costs as little as it can.
const (
	pourPort    = 2001 // answers each byte with 1 MiB
	discardPort = 2002 // answers each 1 MiB with a byte
)

const mebibyte = 1 << 20

// benchDaemon is the whole daemon in this process, with virtual phones on
// in-memory pipes.
type benchDaemon struct {
	b      *testing.B
	socket string
	ids    []uint32
}

func startBench(b *testing.B, phones int) *benchDaemon {
	b.Helper()
	dir := b.TempDir()
	socket := filepath.Join(dir, "s")
	d := newDaemon(new(options), set("-f", "-p", "-S", socket, "-C", filepath.Join(dir, "records"), "-P", "NONE"), zap.NewNop())
	bus := &virtualBus{log: d.log, changed: make(chan struct{}, 1)}
	for i := range phones {
		p, err := virtualphone.New(virtualphone.Config{UDID: fmt.Sprintf("00008110-%016X", i)})
		if err != nil {
			b.Fatal(err)
		}
		p.HandlePort(pourPort, pour)
		p.HandlePort(discardPort, discard)
		bus.add(p)
	}
	d.source, d.open = bus.run, bus.open
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		for _, p := range bus.phones {
			if v := p.Violations(); v.Total() != 0 {
				b.Errorf("phone %s counted violations: %v", p.UDID(), v)
			}
		}
	})
	for len(ids(d)) < phones {
		select {
		case err := <-ended:
			b.Fatalf("the daemon ended: %v", err)
		default:
			runtime.Gosched()
		}
	}
	return &benchDaemon{b: b, socket: socket, ids: ids(d)}
}

// dial connects to a port of a device, through the socket.
func (d *benchDaemon) dial(device uint32, port uint16) net.Conn {
	d.b.Helper()
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		d.b.Fatal(err)
	}
	// Binary Connect.
	m := []byte("\x18\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00")
	m = binary.LittleEndian.AppendUint32(m, device)
	m = append(binary.BigEndian.AppendUint16(m, port), 0, 0)
	if _, err := c.Write(m); err != nil {
		d.b.Fatal(err)
	}
	var result [20]byte
	if _, err := io.ReadFull(c, result[:]); err != nil || binary.LittleEndian.Uint32(result[16:]) != 0 {
		d.b.Fatalf("want Result 0, got % x, %v", result, err)
	}
	return c
}

func pour(_ context.Context, c net.Conn) {
	var b [1]byte
	data := make([]byte, 64<<10)
	for {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return
		}
		for range mebibyte / len(data) {
			if _, err := c.Write(data); err != nil {
				return
			}
		}
	}
}

func discard(_ context.Context, c net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		for left := mebibyte; left > 0; {
			n, err := c.Read(buf[:min(left, len(buf))])
			if err != nil {
				return
			}
			left -= n
		}
		if _, err := c.Write(buf[:1]); err != nil {
			return
		}
	}
}

// mover moves 1 MiB over its connection each time it is told to.
type mover struct {
	c   net.Conn
	buf []byte
}

func (m *mover) read() error {
	for left := mebibyte; left > 0; {
		n, err := m.c.Read(m.buf[:min(left, len(m.buf))])
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

func (m *mover) write() error {
	for range mebibyte / len(zeros) {
		if _, err := m.c.Write(zeros[:]); err != nil {
			return err
		}
	}
	return nil
}

var zeros [64 << 10]byte

// BenchmarkDaemon moves 1 MiB a connection and iteration through the socket, the
// multiplexer and an in-memory pipe, phone and client included. allocs/MiB are
// of the whole process; in a steady state there should be none.
func BenchmarkDaemon(b *testing.B) {
	for _, way := range []string{"down", "up", "echo"} {
		for _, conns := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", way, conns), func(b *testing.B) { benchmarkMoves(b, way, conns) })
		}
	}
}

func benchmarkMoves(b *testing.B, way string, conns int) {
	d := startBench(b, 1)
	port := map[string]uint16{"down": pourPort, "up": discardPort, "echo": virtualphone.EchoPort}[way]
	var (
		moving sync.WaitGroup // what is told and not done
		ended  sync.WaitGroup
		tells  []chan struct{} // one for each, who might take another's otherwise
		all    []*mover
	)
	each := func(f func() error) {
		tell := make(chan struct{})
		tells = append(tells, tell)
		ended.Go(func() {
			for range tell {
				if err := f(); err != nil {
					b.Error(err)
				}
				moving.Done()
			}
		})
	}
	for range conns {
		m := &mover{c: d.dial(d.ids[0], port), buf: make([]byte, 64<<10)}
		all = append(all, m)
		var one [1]byte
		switch way {
		case "down":
			each(func() error {
				if _, err := m.c.Write(one[:]); err != nil {
					return err
				}
				return m.read()
			})
		case "up":
			each(func() error {
				if err := m.write(); err != nil {
					return err
				}
				_, err := io.ReadFull(m.c, one[:])
				return err
			})
		case "echo":
			each(m.write)
			each(m.read)
		}
	}
	turn := func() {
		moving.Add(len(tells))
		for _, tell := range tells {
			tell <- struct{}{}
		}
		moving.Wait()
	}
	turn() // pools and buffers fill
	b.SetBytes(int64(conns) * mebibyte)
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		turn()
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N*conns), "allocs/MiB")
	for _, tell := range tells {
		close(tell)
	}
	for _, m := range all {
		m.c.Close()
	}
	ended.Wait()
}

// BenchmarkDaemonConnect is a client's whole life: the socket, a port of the
// phone, 64 bytes there and back, the end.
func BenchmarkDaemonConnect(b *testing.B) {
	d := startBench(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		c := d.dial(d.ids[0], virtualphone.EchoPort)
		there(b, c)
		c.Close()
	}
}

// BenchmarkDaemonRoundTrip is 64 bytes there and back.
func BenchmarkDaemonRoundTrip(b *testing.B) {
	d := startBench(b, 1)
	c := d.dial(d.ids[0], virtualphone.EchoPort)
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		there(b, c)
	}
}

// there sends 64 bytes and reads them back.
func there(b *testing.B, c net.Conn) {
	var buf [64]byte
	for i := range buf {
		buf[i] = byte(i)
	}
	want := buf
	if _, err := c.Write(buf[:]); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf[:]); err != nil || buf != want {
		b.Fatalf("got % x, %v", buf, err)
	}
}

// BenchmarkDaemonList is a ListDevices on a connection of its own, as tools ask.
func BenchmarkDaemonList(b *testing.B) {
	payload := []byte(`<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>MessageType</key><string>ListDevices</string></dict></plist>`)
	m := binary.LittleEndian.AppendUint32(nil, uint32(16+len(payload)))
	m = append(append(m, 1, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0), payload...)
	for _, phones := range []int{1, 32} {
		b.Run(fmt.Sprint(phones), func(b *testing.B) {
			d := startBench(b, phones)
			buf := make([]byte, 64<<10)
			b.ReportAllocs()
			for b.Loop() {
				c, err := net.Dial("unix", d.socket)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.Write(m); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, buf[:16]); err != nil {
					b.Fatal(err)
				}
				n := binary.LittleEndian.Uint32(buf)
				if _, err := io.ReadFull(c, buf[16:n]); err != nil {
					b.Fatal(err)
				}
				if got := bytes.Count(buf[:n], []byte("<key>Properties</key>")); got != phones {
					b.Fatalf("%d of %d phones are listed", got, phones)
				}
				c.Close()
			}
		})
	}
}
