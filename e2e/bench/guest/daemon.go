package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"gomuxd/e2e/bench/result"
)

// commands start the daemons. None of them pairs with phones by itself, so that
// all do the same work, and none logs what goes well.
var commands = map[string][]string{
	result.C:    {"/usr/sbin/usbmuxd", "-f", "-p"},
	result.Ours: {"/job/gomuxd", "-f", "-p"},
	result.Base: {"/job/gomuxd-base", "-f", "-p"},
	result.Null: {"/job/bench", "null"},
}

// daemon is a running daemon.
type daemon struct {
	name    string
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	err     error         // how it ended
	serving time.Duration // from its start until it had announced all phones
	ids     []uint32      // of the phones

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

// start starts a daemon and waits until it has announced the phones, which are
// plugged in. The caller must stop it.
func start(name string, env []string, phones int) (*daemon, error) {
	if err := clean(); err != nil {
		return nil, err
	}
	args := commands[name]
	d := &daemon{name: name, cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = d, d
	d.cmd.Env = append(os.Environ(), env...)
	begin := time.Now()
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // stop waits
		defer close(d.done)
		d.err = d.cmd.Wait()
	}()
	if err := d.serve(phones); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	d.serving = time.Since(begin)
	return d, nil
}

// clean removes what a daemon before has left.
func clean() error {
	records, err := filepath.Glob("/var/lib/lockdown/*")
	if err != nil {
		return err
	}
	for _, r := range append(records, socketPath, socketPath+".pid", socketPath+".control") {
		if err := os.RemoveAll(r); err != nil {
			return err
		}
	}
	return os.MkdirAll("/var/lib/lockdown", 0o755)
}

// serve waits for the socket and for all phones.
func (d *daemon) serve(phones int) error {
	limit := time.After(scaled(time.Minute))
	for {
		c, err := net.Dial("unix", socketPath)
		if err == nil {
			c.Close()
			break
		}
		select {
		case <-d.done:
			return fmt.Errorf("the daemon ended: %v: %s", d.err, d.Log())
		case <-limit:
			return fmt.Errorf("the daemon has no socket: %w", err)
		case <-time.After(2 * time.Millisecond):
		}
	}
	l, err := listen()
	if err != nil {
		return err
	}
	defer l.Close()
	d.ids = make([]uint32, phones)
	for missing := phones; missing > 0; {
		ev, err := l.next()
		if err != nil {
			return fmt.Errorf("%d of %d phones are not announced: %w", missing, phones, err)
		}
		for i := range d.ids {
			if ev.kind == "Attached" && ev.udid == udid(i) {
				d.ids[i] = ev.device
				missing--
			}
		}
	}
	return nil
}

// stop ends the daemon, which must do so in good order.
func (d *daemon) stop() error {
	select {
	case <-d.done:
		return fmt.Errorf("the daemon ended by itself: %v: %s", d.err, d.Log())
	default:
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(scaled(20 * time.Second)):
		_ = d.cmd.Process.Kill()
		<-d.done
		return errors.New("the daemon did not stop within 20 s")
	}
	if d.err != nil && d.name == result.Ours {
		return fmt.Errorf("the daemon ended with %w: %s", d.err, d.Log())
	}
	for _, bad := range []string{"panic:", "fatal error:"} {
		if strings.Contains(d.Log(), bad) {
			return fmt.Errorf("the daemon's log says %q: %s", bad, d.Log())
		}
	}
	return nil
}
