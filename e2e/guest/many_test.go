//go:build guest

package guest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// TestManyPhones proves that 16 phones at once on several buses are all there
// and carry data at the same time, also where two have the same address on
// different buses. The C daemon gets four.
func TestManyPhones(t *testing.T) {
	start(t)
	n := 16
	if againstC() {
		n = 4 // of sixteen plugged in at once it loses one now and then
	}
	phones := make([]*phone, n)
	for i := range phones {
		speed := usbip.High
		if i%4 == 3 {
			speed = usbip.Super
		}
		phones[i] = attach(t, i, virtualphone.Config{}, usbip.Config{Speed: speed})
	}
	ids := visible(t, phones...)
	places := map[string]int{} // addresses on buses
	nodes, err := filepath.Glob("/sys/bus/usb/devices/*/idProduct")
	if err != nil {
		t.Fatal(err)
	}
	buses := map[string]bool{}
	for _, node := range nodes {
		if b, _ := os.ReadFile(node); strings.TrimSpace(string(b)) == "12a8" {
			bus, _ := os.ReadFile(filepath.Join(filepath.Dir(node), "busnum"))
			address, _ := os.ReadFile(filepath.Join(filepath.Dir(node), "devnum"))
			buses[string(bus)] = true
			places[string(address)]++
		}
	}
	if len(buses) < min(4, n/2) || len(places) == n {
		t.Errorf("want phones on several buses with equal addresses, got buses %v, addresses %v", buses, places)
	}
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for _, p := range phones {
		wg.Go(func() {
			if err := echo(ids[p.UDID()], 1<<20); err != nil {
				errs <- fmt.Errorf("phone %s: %w", p.UDID(), err)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if againstC() {
		return // it may hang after an unplug
	}
	phones[3].Unplug()
	phones[8].Unplug()
	rest := append(append(append([]*phone{}, phones[:3]...), phones[4:8]...), phones[9:]...)
	visible(t, rest...)
	for _, p := range rest {
		if err := echo(ids[p.UDID()], 10_000); err != nil {
			t.Errorf("phone %s after others left: %v", p.UDID(), err)
		}
	}
}

// TestPacketSizes proves that data arrive whole in writes whose mux packets
// have critical sizes: multiples of the USB packets, of the C daemon's transfers
// and of the largest packets, and one byte more and less.
func TestPacketSizes(t *testing.T) {
	for _, speed := range []usbip.Speed{usbip.High, usbip.Super} {
		t.Run(speed.String(), func(t *testing.T) {
			start(t)
			p := attach(t, 0, virtualphone.Config{}, usbip.Config{Speed: speed})
			ids := visible(t, p)
			c, err := dial(ids[p.UDID()], virtualphone.EchoPort)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			const headers = 36
			for _, packet := range []int{512, 1024, 2048, 16384, 32764, 32768, 33280, 49152, 65536} {
				for _, n := range []int{packet - headers - 1, packet - headers, packet - headers + 1, packet} {
					if err := echoOn(c, n); err != nil {
						t.Fatalf("packet of %d bytes: %v", packet, err)
					}
				}
			}
		})
	}
}
