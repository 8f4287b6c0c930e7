package mux_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"testing"

	"gomuxd/mux"
	"gomuxd/virtualphone"
)

// TestTap watches an echo from before the session's start, and asserts that each
// direction is shown whole and in order.
func TestTap(t *testing.T) {
	for _, major := range []int{1, 2} {
		t.Run(fmt.Sprintf("v%d", major), func(t *testing.T) {
			var (
				tap    mux.Tap
				mu     sync.Mutex
				data   [2]bytes.Buffer // from the phone, to it
				kinds  [2][]uint32
				broken string
			)
			stop := tap.Watch(func(p mux.Packet) {
				mu.Lock()
				defer mu.Unlock()
				way := 0
				if p.Out {
					way = 1
				}
				proto := binary.BigEndian.Uint32(p.Data)
				kinds[way] = append(kinds[way], proto)
				if int(binary.BigEndian.Uint32(p.Data[4:])) != len(p.Data) || p.Time.IsZero() {
					broken = fmt.Sprintf("%+v", p)
				}
				want := 16
				if major == 1 || proto == 0 {
					want = 8
				}
				if p.Header != want {
					broken = fmt.Sprintf("header of %d bytes, want %d", p.Header, want)
				}
				if proto == 6 {
					data[way].Write(p.Data[p.Header+20:])
				}
			})
			s, _ := attachWith(t, virtualphone.Config{MuxMajor: major}, mux.Config{Tap: &tap})
			sent := make([]byte, 1<<20)
			for i := range sent {
				sent[i] = byte(i * i >> 7)
			}
			echoed := func() {
				c := dial(t, s, virtualphone.EchoPort)
				go c.Write(sent) // its error shows below
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
					t.Fatalf("the echo differs, %v", err)
				}
			}
			echoed()
			mu.Lock()
			for way := range data {
				if !bytes.Equal(data[way].Bytes(), sent) {
					t.Errorf("way %d shows %d bytes, want the %d that were sent", way, data[way].Len(), len(sent))
				}
				if kinds[way][0] != 0 {
					t.Errorf("way %d begins with a packet of kind %d, want VERSION", way, kinds[way][0])
				}
			}
			if major == 2 && kinds[1][1] != 2 {
				t.Errorf("the second packet to the phone is of kind %d, want SETUP", kinds[1][1])
			}
			if broken != "" {
				t.Error(broken)
			}
			mu.Unlock()
			stop()
			stop()
			count := func() int {
				mu.Lock()
				defer mu.Unlock()
				return len(kinds[0]) + len(kinds[1])
			}
			before := count()
			echoed()
			if after := count(); after > before+2 { // one that was under way in each direction
				t.Errorf("%d packets shown after the stop", after-before)
			}
		})
	}
}

// TestTapWatchers asserts that each of several sees all, and is left alone when it
// has enough.
func TestTapWatchers(t *testing.T) {
	var (
		tap    mux.Tap
		counts [3]int
		stops  [3]func()
		mu     sync.Mutex
	)
	for i := range counts {
		stops[i] = tap.Watch(func(mux.Packet) {
			mu.Lock()
			defer mu.Unlock()
			counts[i]++
		})
	}
	attachWith(t, virtualphone.Config{}, mux.Config{Tap: &tap})
	mu.Lock()
	if counts[0] < 2 || counts[0] != counts[1] || counts[1] != counts[2] {
		t.Errorf("packets seen: %v, want the same for all", counts)
	}
	mu.Unlock()
	stops[1]()
	attachWith(t, virtualphone.Config{}, mux.Config{Tap: &tap})
	mu.Lock()
	defer mu.Unlock()
	if counts[0] == counts[1] || counts[0] != counts[2] {
		t.Errorf("packets seen: %v, want fewer for the second", counts)
	}
}
