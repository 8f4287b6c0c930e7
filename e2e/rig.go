// Package e2e runs the daemon's real binary with virtual iPhones under Debian's
// real client tools. The tests and the demo stand on the same Rig.
package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	"tshark":             "tshark",
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

	// Apart has the phones live in a process of their own, where they outlive the
	// daemon. They are not plugged in at first.
	Apart bool
	Bus   string   // socket of phones that somebody else holds, instead of any of the Rig's
	Wrap  []string // the command that runs the daemon, such as setpriv; may be empty
}

// Rig is a running daemon with virtual phones, on a socket and a record
// directory of its own.
type Rig struct {
	Dir     string // holds all below
	Socket  string // path of the usbmuxd socket
	Records string // record directory

	bin     Binaries
	cfg     Config
	control string   // path of the phones' control socket
	daemon  *process // nil while it does not run
	phones  *process // nil if they live in the daemon
	log     logbook
}

// Start starts a daemon and waits until it says that it is ready and has its
// phones. The caller must Stop it.
func Start(bin Binaries, cfg Config) (*Rig, error) {
	cfg.Phones = max(cfg.Phones, 1)
	r := &Rig{
		Dir:     cfg.Dir,
		Socket:  filepath.Join(cfg.Dir, "usbmuxd"),
		Records: filepath.Join(cfg.Dir, "lockdown"),
		bin:     bin,
		cfg:     cfg,
		control: filepath.Join(cfg.Dir, "phone"),
		log:     logbook{copy: cfg.Log},
	}
	if cfg.Apart {
		cmd := exec.Command(bin.Phone, "serve", "--unplugged", "--bus", r.bus(), "-s", r.control,
			"--count", strconv.Itoa(cfg.Phones), "--passcode", cfg.Passcode, "--ios", cfg.Version)
		var err error
		r.phones, err = launch(cmd, &r.log, func(line string) bool { return strings.Contains(line, " waits at ") }, cfg.Phones)
		if err != nil {
			return nil, r.failed(err)
		}
	}
	if err := r.Launch(); err != nil {
		if r.phones != nil {
			r.phones.kill()
		}
		return nil, err
	}
	return r, nil
}

func (r *Rig) bus() string { return cmp.Or(r.cfg.Bus, filepath.Join(r.Dir, "bus")) }

// Ended is closed when the daemon has ended.
func (r *Rig) Ended() <-chan struct{} { return r.daemon.exited }

// Launch starts the daemon, at first or again, and waits as Start does.
func (r *Rig) Launch() error { return r.launch(true) }

// Begin starts the daemon as Launch does, and waits for nothing.
func (r *Rig) Begin() error { return r.launch(false) }

func (r *Rig) launch(wait bool) error {
	args := append(slices.Clone(r.cfg.Wrap), r.bin.Daemon, "-f", "-v", "-S", r.Socket, "-C", r.Records, "-P", filepath.Join(r.Dir, "pid"))
	lines := 1 // to wait for: that it is ready, and has its phones
	if r.cfg.Apart || r.cfg.Bus != "" {
		args = append(args, "--virtual-phone-bus="+r.bus())
	} else {
		lines += r.cfg.Phones
		args = append(args,
			"--virtual-phone="+strconv.Itoa(r.cfg.Phones),
			"--virtual-phone-control="+r.control,
			"--virtual-phone-passcode="+r.cfg.Passcode,
			"--virtual-phone-ios="+r.cfg.Version)
	}
	args = append(args, r.cfg.Args...)
	if !wait {
		lines = 0
	}
	p, err := launch(exec.Command(args[0], args[1:]...), &r.log, func(line string) bool {
		return strings.Contains(line, " INFO ready ") || lines > 1 && strings.Contains(line, " INFO attached ")
	}, lines)
	if err != nil {
		return r.failed(err)
	}
	r.daemon = p
	return nil
}

// Shutdown asks the daemon alone to end, and fails unless it ends well.
func (r *Rig) Shutdown() error {
	p := r.daemon
	r.daemon = nil
	if err := p.stop(); err != nil {
		return r.failed(err)
	}
	return nil
}

// Kill ends the daemon as a power cut would. Phones that live in it are lost.
func (r *Rig) Kill() {
	r.daemon.kill()
	r.daemon = nil
}

// Log is what the daemon, and phones apart from it, have logged so far.
func (r *Rig) Log() string { return r.log.String() }

func (r *Rig) failed(err error) error { return fmt.Errorf("%w\n%s", err, r.Log()) }

// Pid is the daemon's process id.
func (r *Rig) Pid() int { return r.daemon.cmd.Process.Pid }

// Stop asks all to end, and fails unless they end well and the phones have counted
// no violation of the protocol.
func (r *Rig) Stop() error {
	var errs []error
	for _, p := range []*process{r.daemon, r.phones} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	for _, bad := range []string{"protocol violations", "DATA RACE", "panic:"} {
		if strings.Contains(r.Log(), bad) {
			errs = append(errs, fmt.Errorf("the log says %q", bad))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return r.failed(err)
	}
	return nil
}

// Quit ends the daemon with a dump of all its goroutines, and returns its log.
func (r *Rig) Quit() string {
	_ = r.daemon.cmd.Process.Signal(syscall.SIGABRT)
	<-r.daemon.exited
	r.daemon = nil
	return r.Log()
}

// Command prepares a client program, or muxctl, that talks to this daemon.
func (r *Rig) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if name == "muxctl" {
		name = r.bin.Muxctl
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "USBMUXD_SOCKET_ADDRESS=UNIX:"+r.Socket, "USBMUXD_CONTROL="+r.Control(), "LC_ALL=C")
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
	return r.Run(ctx, "muxctl", args...)
}

// Phone gives an order to the virtual phones, as the command virtualphone does.
func (r *Rig) Phone(ctx context.Context, args ...string) (string, error) {
	return r.Run(ctx, r.bin.Phone, append([]string{"-s", r.control}, args...)...)
}
