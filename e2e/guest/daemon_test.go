//go:build guest

package guest_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	socketPath = "/var/run/usbmuxd"
	recordDir  = "/var/lib/lockdown"
)

// daemon is the daemon under test.
type daemon struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

// Write implements io.Writer, for the daemon's log.
func (d *daemon) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(b)
}

func (d *daemon) Log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// start starts the daemon under test with an empty record directory and waits
// for its socket. At the end of the test it must stop in good order; its log is
// shown if the test has failed.
func start(t *testing.T, env ...string) *daemon {
	t.Helper()
	forget(t)
	return invocation{env: env}.launch(t)
}

// forget removes what a daemon before has left.
func forget(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(recordDir, 0o755); err != nil {
		t.Fatal(err)
	}
	records, err := os.ReadDir(recordDir)
	if err != nil {
		t.Fatal(err)
	}
	left := []string{socketPath, "/var/run/usbmuxd.pid"}
	for _, r := range records { // not the directory, which may be a disk of its own
		left = append(left, filepath.Join(recordDir, r.Name()))
	}
	for _, name := range left {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
}

// launch is start that keeps the records.
func launch(t *testing.T, env ...string) *daemon {
	t.Helper()
	return invocation{env: env}.launch(t)
}

// invocation is how the daemon under test is started, beside what is always so.
type invocation struct {
	by   []string // program and arguments that become the daemon
	args []string
	env  []string
}

func (i invocation) launch(t *testing.T) *daemon {
	t.Helper()
	program := "/job/gomuxd"
	if againstC() {
		program = "/usr/sbin/usbmuxd"
	}
	args := slices.Concat(i.by, []string{program, "-f", "-v", "-v"}, i.args)
	d := &daemon{t: t, done: make(chan struct{}), cmd: exec.Command(args[0], args[1:]...)}
	d.cmd.Stdout, d.cmd.Stderr = d, d
	d.cmd.Env = append(os.Environ(), i.env...)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // stop waits
		defer close(d.done)
		d.err = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", tail(d.Log(), 60))
			if out, err := exec.Command("dmesg").Output(); err == nil {
				t.Logf("the kernel's log:\n%s", tail(string(out), 25))
			}
		}
	})
	eventually(t, 30*time.Second, func() error {
		c, err := net.Dial("unix", socketPath)
		if err == nil {
			c.Close()
		}
		return err
	})
	return d
}

// stop ends the daemon; ours must do so well and in time.
func (d *daemon) stop() {
	d.t.Helper()
	select {
	case <-d.done:
		return // a test has stopped it
	default:
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
		if d.err != nil && !againstC() {
			d.t.Errorf("the daemon ended with %v", d.err)
		}
	case <-time.After(scaled(20 * time.Second)):
		if againstC() {
			d.t.Log("the C daemon does not stop; killed")
			_ = d.cmd.Process.Kill()
		} else {
			d.t.Errorf("the daemon does not stop")
			_ = d.cmd.Process.Signal(syscall.SIGABRT) // with all stacks in its log
		}
		<-d.done
	}
	for _, bad := range []string{"panic:", "DATA RACE", "fatal error:"} {
		if strings.Contains(d.Log(), bad) {
			d.t.Errorf("the daemon's log says %q", bad)
		}
	}
}

// goroutines ends our daemon by a signal on which the Go runtime prints the
// stacks of all goroutines, and counts ours: the runtime's own come with the
// work of the collector.
func (d *daemon) goroutines() int {
	d.t.Helper()
	_ = d.cmd.Process.Signal(syscall.SIGABRT)
	select {
	case <-d.done:
	case <-time.After(scaled(20 * time.Second)):
		d.t.Fatal("the daemon does not end on SIGABRT")
	}
	n := 0
	for _, stack := range strings.Split(d.Log(), "\ngoroutine ")[1:] {
		if strings.Contains(stack, "gomuxd/") {
			n++
		}
	}
	if n == 0 {
		d.t.Fatalf("no stacks in the daemon's log:\n%s", tail(d.Log(), 20))
	}
	return n
}

// usage is what a process holds.
type usage struct{ fds, threads, memory int }

func (d *daemon) usage() (u usage, err error) {
	dir := fmt.Sprintf("/proc/%d", d.cmd.Process.Pid)
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return u, err
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return u, err
	}
	u.fds = len(fds)
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "Threads: %d", &u.threads)
		fmt.Sscanf(line, "VmRSS: %d", &u.memory)
	}
	return u, nil
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}
