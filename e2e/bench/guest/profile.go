package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"gomuxd/e2e/bench/result"
)

// profileDir is where profiles go.
const profileDir = "/out/profile"

// profileSignal starts and ends a profile in the daemon's build with the tag profile.
const profileSignal = syscall.Signal(40)

// startProfile has our daemon profile itself, or strace count the system calls of
// any, or the kernel note what all processes do, until the function that it returns is called.
func (b *bench) startProfile(d *daemon, measure string) (stop func() error, err error) {
	if b.profile == "" {
		return nil, nil
	}
	if err := os.MkdirAll(profileDir, 0o755); err != nil {
		return nil, err
	}
	name := filepath.Join(profileDir, b.speed+"-"+measure+"-"+d.name+"."+b.profile)
	if b.profile == "syscalls" {
		trace := exec.Command("strace", "-f", "-c", "-q", "-o", name, "-p", strconv.Itoa(d.cmd.Process.Pid))
		trace.Stderr = os.Stderr
		if err := trace.Start(); err != nil {
			return nil, err
		}
		return func() error {
			_ = trace.Process.Signal(syscall.SIGINT)
			_ = trace.Wait() // by the signal
			_, err := os.Stat(name)
			return err
		}, nil
	}
	if b.profile == "events" {
		return startEvents(name)
	}
	if d.name != result.Ours {
		return nil, nil
	}
	// The build with the tag profile reads this file's name when it is told to.
	if err := os.WriteFile("/run/gomuxd-profile", []byte(b.profile+"\n"+name+"\n"), 0o644); err != nil {
		return nil, err
	}
	if err := d.cmd.Process.Signal(profileSignal); err != nil {
		return nil, err
	}
	return func() error {
		if err := d.cmd.Process.Signal(profileSignal); err != nil {
			return err
		}
		return repeat(func() error {
			if _, err := os.Stat(name); err != nil {
				return fmt.Errorf("the daemon writes no profile: %w", err)
			}
			return nil
		})
	}, nil
}

// events are what the kernel notes for the profile of that name.
var events = []string{"sched/sched_switch", "sched/sched_waking", "raw_syscalls/sys_enter", "raw_syscalls/sys_exit"}

// startEvents has the kernel note who runs when and calls what, of which name gets the
// last few hundred milliseconds, as text: a line for each event.
func startEvents(name string) (stop func() error, err error) {
	const dir = "/sys/kernel/tracing/"
	if err := syscall.Mount("tracefs", dir, "tracefs", 0, ""); err != nil && err != syscall.EBUSY {
		return nil, fmt.Errorf("mount tracefs: %w", err)
	}
	set := func(file, value string) {
		if err == nil {
			err = os.WriteFile(dir+file, []byte(value), 0)
		}
	}
	set("buffer_size_kb", "4096") // of each processor
	set("trace", "")
	for _, e := range events {
		set("events/"+e+"/enable", "1")
	}
	set("tracing_on", "1")
	return func() error {
		set("tracing_on", "0")
		if err != nil {
			return err
		}
		text, err := os.ReadFile(dir + "trace")
		if err != nil {
			return err
		}
		return os.WriteFile(name, text, 0o644)
	}, err
}
