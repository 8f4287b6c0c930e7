//go:build virtualphone

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gomuxd/virtualphone"
)

// What the daemon may hold for a connection, in bytes of its heap: no ring for an idle
// one, for a slow one that of the way on which something happens.
const (
	perIdle  = 8 << 10
	perSlow  = perIdle + 128<<10
	perSmall = perIdle + 32<<10
)

// TestMemoryIsBounded opens two hundred connections that are stuck with a full ring,
// half of whose clients read nothing of an endless stream, while to half the phone takes
// nothing of one; then a thousand on which nothing happens, and two hundred more that
// are stuck, which are one user's six hundredth and so on: their rings are small. Each
// kind holds what it may, no more when others move data beside it, and nothing when it
// is closed.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 1 << 10 // rings are all in the profile
	const (
		idle, slow = 1000, 200
		deafPort   = 1000
	)
	s := startSoak(t)
	owners, leave := context.WithCancel(t.Context())
	defer leave()
	deaf := make(chan struct{})
	for i, p := range s.phones {
		go s.own(owners, p, false, random(i)) // ends with the test
		p.HandlePort(deafPort, func(context.Context, net.Conn) { <-deaf })
	}
	s.settle()
	var open []net.Conn
	connect := func(i int, port uint16) net.Conn {
		c, err := s.connect(s.phones[i%soakPhones], port)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		return c
	}
	done := func() {
		for _, c := range open {
			c.Close()
		}
		open = nil
		s.settle()
	}
	var senders sync.WaitGroup
	stick := func() {
		for i := range slow {
			if i%2 == 0 {
				c := connect(i, virtualphone.SourcePort)
				if err := binary.Write(c, binary.BigEndian, [2]uint64{1 << 40, 1}); err != nil {
					t.Fatal(err)
				}
				continue
			}
			c := connect(i, deafPort)
			senders.Go(func() { _, _ = io.Copy(c, endless{}) }) // until it is closed
		}
		s.still()
	}
	within := func(what string, before uint64, n, least, most int) uint64 {
		now := daemonHeap()
		if now < before+uint64(n*least) || now > before+uint64(n*most) {
			t.Errorf("%d %s connections: %.1f MiB more in use, want %.1f to %.1f", n, what, mib(now)-mib(before), mib(uint64(n*least)), mib(uint64(n*most)))
		}
		return now
	}
	connect(0, virtualphone.EchoPort)
	s.traffic()
	done()
	base := s.rest(measure{goroutines: 1 << 30, descriptors: 1 << 30, heap: 1 << 60})
	first := daemonHeap()

	stick()
	stuck := within("slow", first, slow, 64<<10, perSlow)
	for i := range idle {
		connect(i, virtualphone.EchoPort)
	}
	idling := within("idle", stuck, idle, 0, perIdle)
	stick()
	all := within("small slow", idling, slow, 8<<10, perSmall)
	s.traffic()
	later := daemonHeap()
	if later > all+1<<20 {
		t.Errorf("%.1f MiB in use after some traffic, %.1f before", mib(later), mib(all))
	}
	close(deaf)
	done()
	senders.Wait()
	after := s.rest(base)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	peak, _, _ = strings.Cut(peak, "\n")
	t.Logf("the daemon's heap: %.1f MiB, %.1f with %d slow connections, %.1f with %d idle ones more, %.1f with %d small slow ones more, %.1f after traffic beside them, %.1f at the end; goroutines %d, %d; descriptors %d, %d; peak of the process, with phones and clients:%s",
		mib(first), mib(stuck), slow, mib(idling), idle, mib(all), slow, mib(later), mib(daemonHeap()), base.goroutines, after.goroutines, base.descriptors, after.descriptors, peak)
	if n := s.errors.Load(); n != 0 {
		t.Errorf("the daemon has logged %d errors", n)
	}
}

// endless is a stream without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// daemonHeap is how many bytes of the heap are what the daemon has allocated, and not
// phones, clients or libraries on their behalf.
func daemonHeap() (sum uint64) {
	for range 3 { // pools are empty after two, and the profile is of the one before the last
		runtime.GC()
	}
	records := make([]runtime.MemProfileRecord, 1<<16)
	n, ok := runtime.MemProfile(records, false)
	if !ok {
		panic(fmt.Sprintf("%d records in the profile", n))
	}
	for i := range records[:n] {
		frames := runtime.CallersFrames(records[i].Stack())
		for more := true; more; {
			var f runtime.Frame
			f, more = frames.Next()
			if !strings.HasPrefix(f.Function, "gomuxd/") {
				continue
			}
			if !strings.HasPrefix(f.Function, "gomuxd/virtualphone") && !strings.HasPrefix(f.Function, "gomuxd/socket/client") && !strings.HasSuffix(f.File, "_test.go") {
				sum += inUse(&records[i])
			}
			break // it is the innermost of ours that has allocated
		}
	}
	return sum
}

// inUse is how many bytes a record stands for: it has been sampled.
func inUse(r *runtime.MemProfileRecord) uint64 {
	if r.InUseObjects() == 0 {
		return 0
	}
	bytes := float64(r.InUseBytes())
	size := bytes / float64(r.InUseObjects())
	return uint64(bytes / (1 - math.Exp(-size/float64(runtime.MemProfileRate))))
}

// still waits until nobody takes anything from clients or phones any more.
func (s *soak) still() {
	s.t.Helper()
	var last uint64
	s.within("the phones have sent all that is taken", func() bool {
		sum := uint64(0)
		for _, p := range s.phones {
			st := p.Stats()
			sum += st.OutPackets + st.InPackets
		}
		was := last
		last = sum
		return sum == was
	})
}

// traffic moves a MiB from each phone.
func (s *soak) traffic() {
	s.t.Helper()
	for i, p := range s.phones {
		const size = 1 << 20
		c, err := s.source(p, size, uint64(i))
		if err != nil {
			s.t.Fatal(err)
		}
		if err := s.take(c, uint64(i), size, make([]byte, 64<<10), func() {}); err != nil {
			s.t.Error(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			s.t.Errorf("after the last byte: %v", err)
		}
		c.Close()
	}
}
