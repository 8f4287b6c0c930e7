//go:build profile

package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
)

// profileOrder is a file of two lines: what to profile (cpu, block or mutex), and
// the file for the profile. profileSignal starts, a second one ends and writes it.
const (
	profileOrder  = "/run/gomuxd-profile"
	profileSignal = syscall.Signal(40) // a real-time signal that nobody else uses
)

// The build for the benchmark profiles itself; the shipped one has none of this.
func init() {
	order := make(chan os.Signal, 1)
	signal.Notify(order, profileSignal)
	go func() { // as long as the process
		for range order {
			if err := profile(order); err != nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
			}
		}
	}()
}

// profile makes one profile, from now to the next signal. The file appears when
// it is whole.
func profile(end <-chan os.Signal) error {
	b, err := os.ReadFile(profileOrder)
	if err != nil {
		return err
	}
	kind, name, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	f, err := os.Create(name + ".part")
	if err != nil {
		return err
	}
	defer f.Close()
	switch kind {
	case "cpu":
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		<-end
		pprof.StopCPUProfile()
	case "block", "mutex":
		runtime.SetBlockProfileRate(1)
		runtime.SetMutexProfileFraction(1)
		<-end
		if err := pprof.Lookup(kind).WriteTo(f, 0); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown kind %q", kind)
	}
	return os.Rename(f.Name(), name)
}
