package main

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"gomuxd/virtualphone"
)

// TestNull proves that the null daemon moves all bytes and gives the phone no
// cause for complaint.
func TestNull(t *testing.T) {
	phone, err := virtualphone.New(virtualphone.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	phone.HandlePort(sourcePort, source)
	phone.HandlePort(sinkPort, sink)
	cable, err := phone.Plug()
	if err != nil {
		t.Fatal(err)
	}
	pipe := cable.Pipe()
	n, err := newNull(pipe)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	var wg, reading sync.WaitGroup
	reading.Go(func() { _ = n.read() }) // until the pipe is closed
	wg.Go(func() { _ = n.acknowledge() })
	wg.Go(func() {
		var serving sync.WaitGroup
		defer serving.Wait()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { n.serve(c, phone.UDID()) })
		}
	})

	var moving sync.WaitGroup
	for i, way := range []direction{down, up, echo, down, up, echo} {
		moving.Go(func() {
			c, err := net.Dial("unix", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			b := plistMessage(connectTo(1, way.port()))
			if _, err := c.Write(b); err != nil {
				t.Error(err)
				return
			}
			if err := good(c, "connect"); err != nil {
				t.Error(err)
				return
			}
			tr := &transfer{way: way, each: 2<<20 + int64(i), moved: make([]atomic.Int64, 1)}
			if err := tr.move(c, stream(i), 0); err != nil {
				t.Errorf("%s: %v", way, err)
			}
			if way != echo { // the phone has closed
				if k, err := c.Read(make([]byte, 1)); k != 0 || err != io.EOF {
					t.Errorf("%s: want the end, got %d bytes, %v", way, k, err)
				}
			}
		})
	}
	moving.Wait()
	l.Close()
	pipe.Close()
	reading.Wait()
	close(n.acks)
	wg.Wait()
	if v := phone.Violations(); v.Total() != 0 {
		t.Errorf("the phone counted violations: %v %v", v, phone.ViolationNotes())
	}
}
