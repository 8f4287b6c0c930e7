package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gomuxd/hotplug"
)

// onBus is a device that the kernel shows, or shows no longer.
type onBus struct {
	hotplug.Event
	age         time.Duration // since the kernel has had it; below 0 if it does not say
	descriptors []byte        // all of them, as the device has told them
}

func (onBus) source() string { return "bus" }
func (b onBus) String() string {
	d := b.Device
	switch b.Action {
	case hotplug.Scanned:
		return "looked at all devices"
	case hotplug.Remove:
		return fmt.Sprintf("removed: port %s, address %d", d.Port, d.Address)
	}
	return fmt.Sprintf("added: port %s, address %d, %04x:%04x release %04x, %s, %s, %d configurations",
		d.Port, d.Address, d.Vendor, d.Product, d.BcdDevice, d.Kind, speedText(d.Speed), configurations(b.descriptors))
}

// phone reports whether the device is one that the daemon would drive.
func (b onBus) phone() bool {
	return (b.Device.Kind == hotplug.Mux || b.Device.Kind == hotplug.NoMux) && b.Device.Product != productT2
}

// productT2 is the id of the T1 and T2 chips, which are in a computer for good.
const productT2 = 0x8600

// watchBus notes what the kernel shows until ctx ends.
func watchBus(ctx context.Context, j *journal, sys string) error {
	events := make(chan hotplug.Event)
	ended := make(chan error, 1)
	go func() { ended <- hotplug.New(hotplug.Config{SysRoot: sys}).Run(ctx, events) }()
	for {
		select {
		case e := <-events:
			b := onBus{Event: e, age: -1}
			if e.Action == hotplug.Add {
				dir := filepath.Join(sys, e.Device.Path)
				b.age = age(dir)
				b.descriptors, _ = os.ReadFile(filepath.Join(dir, "descriptors")) // it may have gone
			}
			j.add(b)
		case err := <-ended:
			return err
		}
	}
}

// age is how long the kernel has had a device: it counts milliseconds, if it was
// built with power management.
func age(dir string) time.Duration {
	b, err := os.ReadFile(filepath.Join(dir, "power/connected_duration"))
	if err != nil {
		return -1
	}
	ms, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}

// speedText says a speed as people do.
func speedText(bits uint64) string {
	switch {
	case bits == 0:
		return "unknown speed"
	case bits < 1e9:
		return fmt.Sprintf("%g Mbit/s", float64(bits)/1e6)
	}
	return fmt.Sprintf("%g Gbit/s", float64(bits)/1e9)
}
