package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is the processor time of a process, user and system, in the kernel's own
// nanoseconds: /proc/PID/stat rounds the same to ticks.
func cpu(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of a whole process
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
		return 0, fmt.Errorf("processor clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// machine is the time of all processors: busy, and altogether.
func machine() (busy, all time.Duration, err error) {
	const tick = time.Second / 100
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	for i, f := range strings.Fields(string(line))[1:9] { // user nice system idle iowait irq softirq steal
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
		all += time.Duration(n) * tick
		if i != 3 && i != 4 {
			busy += time.Duration(n) * tick
		}
	}
	return busy, all, nil
}

// switches counts the context switches of a process's threads that live.
func switches(pid int) (voluntary, all float64, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		v, okV := field(b, "voluntary_ctxt_switches")
		n, okN := field(b, "nonvoluntary_ctxt_switches")
		if !okV || !okN {
			return 0, 0, fmt.Errorf("%s tells no context switches", task)
		}
		voluntary += v
		all += v + n
	}
	return voluntary, all, nil
}

// field is a number of a status file.
func field(status []byte, name string) (float64, bool) {
	for line := range strings.Lines(string(status)) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			n, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return n, err == nil
		}
	}
	return 0, false
}

// peak is the largest resident memory of a process since its start or the last
// clearPeak, in MB.
func peak(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	kib, ok := field(b, "VmHWM")
	if !ok {
		return 0, fmt.Errorf("process %d tells no VmHWM", pid)
	}
	return kib * 1024 / 1e6, nil
}

// clearPeak starts peak anew at what is resident now.
func clearPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// usage is what has been used since the start of each.
type usage struct {
	daemon, phone, client time.Duration // processor time of the processes
	busy, all             time.Duration // of the processors
	switches              float64       // context switches of the daemon
}

func (r *run) usage() (u usage, err error) {
	for _, p := range []struct {
		to  *time.Duration
		pid int
	}{{&u.daemon, r.d.cmd.Process.Pid}, {&u.phone, r.phones.cmd.Process.Pid}, {&u.client, os.Getpid()}} {
		if *p.to, err = cpu(p.pid); err != nil {
			return u, err
		}
	}
	if u.busy, u.all, err = machine(); err != nil {
		return u, err
	}
	_, u.switches, err = switches(r.d.cmd.Process.Pid)
	return u, err
}
