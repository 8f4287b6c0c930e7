//go:build virtualphone

package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"gomuxd/socket/client"
	"gomuxd/virtualphone"
)

// Ports of the phone that move zeros without end, and count them.
const (
	upPort   = 1001 // takes them, after a byte that says whose they are
	downPort = 1002
)

// TestFloodingClient moves bytes over nine connections to a phone. The last one's client
// also connects, and asks for the devices, as fast as it is answered. The eight others
// get nine tenths of their fair share at least, counted in bytes while all are at it: in
// the median of some tries, since whom the kernel lets run is a matter of luck.
func TestFloodingClient(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	const (
		tries  = 5
		enough = 90 // percent
	)
	f := &flood{soak: startSoak(t)}
	owners, leave := context.WithCancel(t.Context())
	defer leave()
	for i, p := range f.phones {
		go f.own(owners, p, false, random(i)) // ends with the test
	}
	f.settle()
	f.phones[0].HandlePort(downPort, func(_ context.Context, c net.Conn) {
		b := make([]byte, 64<<10)
		for err := error(nil); err == nil; {
			_, err = c.Write(b)
		}
	})
	f.phones[0].HandlePort(upPort, func(_ context.Context, c net.Conn) {
		b := make([]byte, 64<<10)
		if _, err := c.Read(b[:1]); err == nil {
			f.count(int(b[0]), c)
		}
	})
	for _, port := range []uint16{downPort, upPort} {
		var shares []float64
		for range tries {
			shares = append(shares, f.share(port))
		}
		slices.Sort(shares)
		t.Logf("port %d: the others got %.1f %% of their fair share", port, shares)
		if shares[tries/2] < enough {
			t.Errorf("port %d: the others got %.1f %% of their fair share", port, shares)
		}
	}
	t.Logf("beside %d connects and %d lists", f.connects.Load(), f.lists.Load())
	if f.connects.Load() == 0 || f.lists.Load() == 0 {
		t.Error("that was no flood")
	}
	f.settle()
	if n := f.errors.Load(); n != 0 {
		t.Errorf("the daemon has logged %d errors", n)
	}
}

// flood is a soak with nine clients of the first phone, the last of which floods.
type flood struct {
	*soak
	moved           [9]atomic.Int64 // bytes, by client
	connects, lists atomic.Uint64   // of the last
}

// count reads, until the end, what is client i's.
func (f *flood) count(i int, c net.Conn) {
	b := make([]byte, 64<<10)
	for err := error(nil); err == nil; {
		var n int
		n, err = c.Read(b)
		f.moved[i].Add(int64(n))
	}
}

// share has all move bytes, and returns how many percent of their fair share the others
// than the last one got while all were at it.
func (f *flood) share(port uint16) float64 {
	const warm, each = 256 << 10, 2 << 20 // bytes
	var wg sync.WaitGroup
	conns := make([]net.Conn, len(f.moved))
	for i := range conns {
		f.moved[i].Store(0)
		c, err := f.connect(f.phones[0], port)
		if err != nil {
			f.t.Fatal(err)
		}
		conns[i] = c
		if port == downPort {
			wg.Go(func() { f.count(i, c) })
			continue
		}
		wg.Go(func() {
			b := make([]byte, 64<<10)
			b[0] = byte(i)
			for err := error(nil); err == nil; {
				_, err = c.Write(b)
			}
		})
	}
	over := make(chan struct{})
	f.pester(&wg, over)
	snapshot := func() (others, all, least int64) {
		least = 1 << 62
		for i := range f.moved {
			n := f.moved[i].Load()
			others, all, least = all, all+n, min(least, n) // at the last one
		}
		return others, all, least
	}
	f.within("all have begun", func() bool { _, _, least := snapshot(); return least >= warm })
	others, all, _ := snapshot()
	f.within("enough has been moved", func() bool { _, now, _ := snapshot(); return now-all >= int64(len(conns))*each })
	othersNow, allNow, _ := snapshot()
	close(over)
	for _, c := range conns {
		c.Close()
	}
	wg.Wait()
	f.within("the phone has counted all", func() bool { return f.phones[0].Stats().OpenConns == 0 })
	n := float64(len(conns))
	return 100 * float64(othersNow-others) / float64(allNow-all) * n / (n - 1)
}

// pester has a client connect and leave, and ask for the devices, until over is closed.
func (f *flood) pester(wg *sync.WaitGroup, over <-chan struct{}) {
	repeat := func(n *atomic.Uint64, once func() error) {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if err := once(); err != nil {
					f.t.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	repeat(&f.connects, func() error {
		c, err := f.connect(f.phones[0], virtualphone.EchoPort)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	repeat(&f.lists, func() error {
		c, err := client.Dial(f.t.Context(), f.socket)
		if err != nil {
			return err
		}
		_, err = c.ListDevices(f.t.Context())
		return errors.Join(err, c.Close())
	})
}
