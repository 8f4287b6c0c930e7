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
// any, until the function that it returns is called.
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
