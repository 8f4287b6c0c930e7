package main

import (
	"os"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	pid := os.Getpid()
	before, err := cpu(pid)
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 20*time.Millisecond; {
		_ = stream(0).verify(0, sequence[:4096])
	}
	after, err := cpu(pid)
	if err != nil || after <= before {
		t.Errorf("processor time %v after work, %v before, %v", after, before, err)
	}
	if busy, all, err := machine(); err != nil || busy <= 0 || all < busy {
		t.Errorf("machine: busy %v of %v, %v", busy, all, err)
	}
	if voluntary, all, err := switches(pid); err != nil || voluntary <= 0 || all < voluntary {
		t.Errorf("context switches: %v of %v, %v", voluntary, all, err)
	}
	if err := clearPeak(pid); err != nil {
		t.Fatal(err)
	}
	low, err := peak(pid)
	if err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 64<<20)
	for i := 0; i < len(big); i += 4096 {
		big[i] = 1
	}
	high, err := peak(pid)
	if err != nil || high < low+60 {
		t.Errorf("peak %v MB with %d MB more, %v MB before, %v", high, len(big)>>20, low, err)
	}
}
