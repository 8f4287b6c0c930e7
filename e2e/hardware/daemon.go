package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"gomuxd/control"
	"gomuxd/socket/client"
)

const (
	// startLimit and stopLimit bound the daemon's start and stop on a slow and busy
	// computer.
	startLimit = time.Minute
	stopLimit  = 20 * time.Second

	maxLine = 1 << 20 // bytes of a line of the log
)

// daemon is our daemon, on sockets of its own. Its log and what its two sockets
// tell go to the journal.
type daemon struct {
	control *control.Client
	sock    *client.Client

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended and err is set
	err    error
	stop   context.CancelFunc // ends the listening on the sockets
	wg     sync.WaitGroup     // who listens
}

// started and ended are the daemon's; what it has told before is void.
type (
	started struct{}
	ended   struct{ err error }
)

func (started) source() string { return "daemon" }
func (started) String() string { return "started" }
func (ended) source() string   { return "daemon" }
func (e ended) String() string {
	if e.err != nil {
		return "ended: " + e.err.Error()
	}
	return "ended"
}

// startDaemon starts the daemon and waits until it says that it is ready. The
// policy is one of trust.Policy, env more of its environment.
func startDaemon(ctx context.Context, j *journal, cfg *config, dir, policy string, env ...string) (*daemon, error) {
	d := &daemon{exited: make(chan struct{})}
	socket, operators := filepath.Join(dir, "usbmuxd"), filepath.Join(dir, "control")
	d.control = control.Dial(operators)
	// The computer's own configuration is for its own daemon.
	conf := filepath.Join(dir, "usbmuxd.conf")
	if err := os.WriteFile(conf, nil, 0o600); err != nil {
		return nil, err
	}
	args := []string{"-f", "-v", "-v", "--config", conf, "-S", socket, "-C", filepath.Join(dir, "lockdown"),
		"-P", "NONE", "--control", operators, "--trust-policy", policy}
	d.cmd = exec.Command(cfg.daemon, append(args, cfg.daemonArgs...)...)
	d.cmd.Env = append(os.Environ(), env...)
	// Ctrl-C is for us alone, who still need the daemon to leave the phone as it
	// was; and it must not stay behind without us.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	j.add(started{})
	place := j.now()
	begun := make(chan error, 1)
	go func() { // close waits for exited
		defer close(d.exited)
		// Pdeathsig comes at the end of the thread that starts the daemon.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := d.cmd.Start()
		if begun <- err; err != nil {
			return
		}
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			j.add(parseLog(lines.Text()))
		}
		_, _ = io.Copy(io.Discard, stderr) // behind a line that is too long
		d.err = d.cmd.Wait()
		j.add(ended{d.err})
	}()
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	err = d.ready(ctx, j, place)
	if err == nil {
		d.sock, err = client.Dial(ctx, socket)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	d.wg.Go(func() { d.listen(listening, j) })
	d.wg.Go(func() { d.watch(listening, j) })
	return d, nil
}

// ready waits for the daemon's word that its cold scan is done.
func (d *daemon) ready(ctx context.Context, j *journal, place int) error {
	timeout := time.NewTimer(startLimit)
	defer timeout.Stop()
	for {
		_, grown := j.since(place)
		if _, _, ok := find(j, place, saying("ready")); ok {
			return nil
		}
		select {
		case <-grown:
		case <-d.exited:
			return fmt.Errorf("the daemon ended at once (%v): %s", d.err, lastLine(j, place))
		case <-timeout.C:
			return fmt.Errorf("the daemon was not ready within %v", startLimit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lastLine is the last line that the daemon has printed since a place.
func lastLine(j *journal, place int) (text string) {
	entries, _ := j.since(place)
	for _, e := range entries {
		if l, ok := e.fact.(logged); ok {
			text = l.text
		}
	}
	return text
}

// listen notes which devices come and go as any client sees it.
func (d *daemon) listen(ctx context.Context, j *journal) {
	_ = d.sock.Listen(ctx, func(e client.Event) error { // ends with the daemon or with ctx
		j.add(listed{e})
		return nil
	})
}

// watch notes what operators see.
func (d *daemon) watch(ctx context.Context, j *journal) {
	_ = d.control.Watch(ctx, func(e control.Event) error { // ends with the daemon or with ctx
		if e.Type == control.Ready {
			j.add(overview{})
		} else {
			j.add(shown{e})
		}
		return nil
	})
}

// close stops the daemon and waits for its end. It may be called again.
func (d *daemon) close() error {
	if d.stop != nil {
		d.stop()
		d.sock.Close()
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	var err error
	select {
	case <-d.exited:
		err = d.err
	case <-time.After(stopLimit):
		_ = d.cmd.Process.Kill()
		<-d.exited
		err = errors.New("the daemon did not stop and was killed")
	}
	d.wg.Wait()
	return err
}

// listed is an event of the daemon's socket.
type listed struct{ client.Event }

func (listed) source() string { return "socket" }
func (l listed) String() string {
	if l.Kind == client.Attached {
		return fmt.Sprintf("Attached: device %d, product %04x", l.Device.ID, l.Device.ProductID)
	}
	return fmt.Sprintf("%s: device %d", l.Kind, l.Device.ID)
}

// overview follows the devices that the daemon showed at first.
type overview struct{}

func (overview) source() string { return "control" }
func (overview) String() string { return "these are all devices" }

// shown is an event of the daemon's control socket.
type shown struct{ control.Event }

func (shown) source() string { return "control" }
func (s shown) String() string {
	text := fmt.Sprintf("%s: port %s, %s", s.Type, s.Device.PortPath, s.Device.Trust)
	if s.Device.Cause != "" {
		text += " (" + s.Device.Cause + ")"
	}
	return text
}
