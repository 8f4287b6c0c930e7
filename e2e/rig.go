// Package e2e runs the daemon's real binary with virtual iPhones under Debian's
// real client tools. The tests and the demo stand on the same Rig.
package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Tools are the client programs that a Rig can run, by Debian package.
var Tools = map[string]string{
	"idevice_id":         "libimobiledevice-utils",
	"ideviceinfo":        "libimobiledevice-utils",
	"idevicepair":        "libimobiledevice-utils",
	"idevicesyslog":      "libimobiledevice-utils",
	"idevicediagnostics": "libimobiledevice-utils",
	"idevicebackup2":     "libimobiledevice-utils",
	"iproxy":             "libusbmuxd-tools",
	"ifuse":              "ifuse",
}

// Binaries are the programs under test.
type Binaries struct {
	Daemon string // usbmuxd with --virtual-phone
	Phone  string // the phones' remote control
	Muxctl string // the operator's tool
}

// Build builds the programs into dir/bin. It must run inside the module. With race
// the daemon has the race detector.
func Build(ctx context.Context, dir string, race bool) (Binaries, error) {
	dir = filepath.Join(dir, "bin")
	args := []string{"build", "-tags", "virtualphone", "-o", dir + "/"}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "gomuxd/cmd/usbmuxd", "gomuxd/cmd/virtualphone", "gomuxd/cmd/muxctl")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("build: %w\n%s", err, out)
	}
	return Binaries{Daemon: filepath.Join(dir, "usbmuxd"), Phone: filepath.Join(dir, "virtualphone"), Muxctl: filepath.Join(dir, "muxctl")}, nil
}

// Config is how a Rig's daemon runs.
type Config struct {
	Dir      string // for socket, records and log; made by the caller
	Phones   int    // default 1
	Passcode string // of the phones
	Version  string // of their iOS
	Args     []string
	Log      io.Writer // copy of the daemon's log, nil for none
}

// Rig is a running daemon with virtual phones, on a socket and a record
// directory of its own.
type Rig struct {
	Dir     string // holds all below
	Socket  string // path of the usbmuxd socket
	Records string // record directory

	bin     Binaries
	control string // path of the phones' control socket
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the daemon has ended
	err     error         // how it ended
	quit    bool          // by Quit

	mu  sync.Mutex // guards log
	log strings.Builder
}

// startTimeout bounds the start of the daemon on a slow and busy machine.
const startTimeout = time.Minute

// Start starts a daemon and waits until it says that it is ready and has its
// phones. The caller must Stop it.
func Start(bin Binaries, cfg Config) (*Rig, error) {
	r := &Rig{
		Dir:     cfg.Dir,
		Socket:  filepath.Join(cfg.Dir, "usbmuxd"),
		Records: filepath.Join(cfg.Dir, "lockdown"),
		bin:     bin,
		control: filepath.Join(cfg.Dir, "phone"),
		exited:  make(chan struct{}),
	}
	args := []string{
		"-f", "-v", "-S", r.Socket, "-C", r.Records, "-P", filepath.Join(cfg.Dir, "pid"),
		"--virtual-phone=" + strconv.Itoa(max(cfg.Phones, 1)),
		"--virtual-phone-control=" + r.control,
		"--virtual-phone-passcode=" + cfg.Passcode,
		"--virtual-phone-ios=" + cfg.Version,
	}
	r.cmd = exec.Command(bin.Daemon, append(args, cfg.Args...)...)
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	go func() { // ends with the daemon; exited tells
		defer close(r.exited)
		missing := max(cfg.Phones, 1) + 1 // lines: each phone attached, and ready
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			r.mu.Lock()
			r.log.WriteString(lines.Text() + "\n")
			r.mu.Unlock()
			if cfg.Log != nil {
				fmt.Fprintln(cfg.Log, lines.Text())
			}
			if text := lines.Text(); strings.Contains(text, " INFO ready ") || strings.Contains(text, " INFO attached ") {
				if missing--; missing == 0 {
					close(ready)
				}
			}
		}
		r.err = r.cmd.Wait()
	}()
	select {
	case <-ready:
		return r, nil
	case <-r.exited:
		return nil, fmt.Errorf("the daemon ended: %v\n%s", r.err, r.Log())
	case <-time.After(startTimeout):
		_ = r.cmd.Process.Kill()
		<-r.exited
		return nil, fmt.Errorf("the daemon was not ready within %v\n%s", startTimeout, r.Log())
	}
}

// Log is what the daemon has logged so far.
func (r *Rig) Log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// Pid is the daemon's process id.
func (r *Rig) Pid() int { return r.cmd.Process.Pid }

// Stop asks the daemon to end, and fails unless it ends well and its phones
// have counted no violation of the protocol.
func (r *Rig) Stop() error {
	if r.quit {
		return nil
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.exited:
	case <-time.After(startTimeout):
		_ = r.cmd.Process.Signal(syscall.SIGABRT) // with all stacks in the log
		<-r.exited
		return fmt.Errorf("the daemon did not stop within %v\n%s", startTimeout, r.Log())
	}
	if r.err != nil {
		return fmt.Errorf("the daemon ended with %w\n%s", r.err, r.Log())
	}
	for _, bad := range []string{"protocol violations", "DATA RACE", "panic:"} {
		if strings.Contains(r.Log(), bad) {
			return fmt.Errorf("the daemon's log says %q\n%s", bad, r.Log())
		}
	}
	return nil
}

// Quit ends the daemon with a dump of all its goroutines, and returns its log.
func (r *Rig) Quit() string {
	r.quit = true
	_ = r.cmd.Process.Signal(syscall.SIGABRT)
	<-r.exited
	return r.Log()
}

// Command prepares a client program that talks to this daemon.
func (r *Rig) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "USBMUXD_SOCKET_ADDRESS=UNIX:"+r.Socket, "LC_ALL=C")
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Run runs a client program and returns all that it printed, trimmed.
func (r *Rig) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := r.Command(ctx, name, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return text, fmt.Errorf("%s: %w (make setup installs it)", name, err)
		}
		return text, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}

// Control is the path of the daemon's control socket.
func (r *Rig) Control() string { return r.Socket + ".control" }

// Muxctl runs the operator's tool.
func (r *Rig) Muxctl(ctx context.Context, args ...string) (string, error) {
	return r.Run(ctx, r.bin.Muxctl, append([]string{"--control", r.Control()}, args...)...)
}

// Phone gives an order to the virtual phones, as the command virtualphone does.
func (r *Rig) Phone(ctx context.Context, args ...string) (string, error) {
	return r.Run(ctx, r.bin.Phone, append([]string{"-s", r.control}, args...)...)
}
