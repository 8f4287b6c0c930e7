package dropin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A box is a private machine for one test: namespaces of its own for mounts,
// processes, network and IPC, empty /run, /var/lib and /dev, and two more
// accounts. This program runs three times for it:
//
//	test ──▶ init, process 1: makes the machine, reaps orphans ──▶ body: the test itself
//	 ◀────────────────────────── outcome, as JSON ──────────────────┘
const (
	boxVariable    = "DROPIN_BOX"    // name of the body to run
	daemonVariable = "DROPIN_DAEMON" // the daemon under test
	otherVariable  = "DROPIN_OTHER"  // the other one, if the body needs both
	stageVariable  = "DROPIN_STAGE"  // "init" or "body"
)

// Places in a box.
const (
	daemonPath  = "/mnt/usbmuxd"       // the daemon under test
	otherPath   = "/mnt/other/usbmuxd" // the other one
	socketPath  = "/var/run/usbmuxd"
	pidPath     = "/var/run/usbmuxd.pid"
	recordDir   = "/var/lib/lockdown"
	workDir     = "/mnt/work" // empty, and anyone's
	account     = "muxtest"   // an account, and its ids
	accountUID  = 64321
	secondGroup = 64322 // its supplementary group
)

// outcome is what a body has to tell.
type outcome struct {
	Facts  []string // what was seen, to be compared
	Said   string   // standard error of the last program that ended by itself
	Failed string   // why the body could not go on; empty: it could
}

// bodies are what can run in a box, by name.
var bodies = make(map[string]func(b *box))

// box is what a body works with.
type box struct {
	outcome
	procs []*proc
}

// failure ends a body.
type failure struct{ error }

// fail ends the body.
func (b *box) fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

func (b *box) must(err error) {
	if err != nil {
		b.fail("%w", err)
	}
}

// note adds a fact.
func (b *box) note(format string, args ...any) {
	b.Facts = append(b.Facts, fmt.Sprintf(format, args...))
}

// inBox runs a body with a daemon under test, and the other one if it is not
// empty.
func inBox(t *testing.T, body, daemon, other string) outcome {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for namespaces")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), boxVariable+"="+body, stageVariable+"=init", daemonVariable+"="+daemon, otherVariable+"="+other)
	cmd.ExtraFiles = []*os.File{write}
	var noise strings.Builder
	cmd.Stdout, cmd.Stderr = &noise, &noise
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	err = cmd.Start()
	write.Close()
	if errors.Is(err, unix.EPERM) {
		t.Skip("this machine forbids namespaces")
	}
	if err != nil {
		t.Fatal(err)
	}
	var out outcome
	derr := json.NewDecoder(read).Decode(&out)
	if err := cmd.Wait(); err != nil || derr != nil {
		t.Fatalf("box: %v, %v\n%s", err, derr, noise.String())
	}
	if out.Failed != "" {
		t.Fatalf("%s\nfacts so far: %q\n%s", out.Failed, out.Facts, noise.String())
	}
	return out
}

// boxMain is this program in a box.
func boxMain() int {
	if os.Getenv(stageVariable) == "init" {
		if err := makeMachine(); err != nil {
			fmt.Fprintln(os.Stderr, "box:", err)
			return 1
		}
		return reap()
	}
	os.Unsetenv(stageVariable)
	unix.CloseOnExec(3) // the outcome is for nobody else
	b := new(box)
	func() {
		defer func() {
			switch r := recover().(type) {
			case nil:
			case failure:
				b.Failed = r.Error()
				for _, p := range b.procs {
					b.Failed += fmt.Sprintf("\n%v said:\n%s", p.cmd.Args, p.stderr.String())
				}
			default:
				panic(r)
			}
		}()
		defer b.close()
		bodies[os.Getenv(boxVariable)](b)
	}()
	if err := json.NewEncoder(os.NewFile(3, "outcome")).Encode(b.outcome); err != nil {
		fmt.Fprintln(os.Stderr, "box:", err)
		return 1
	}
	return 0
}

// reap is process 1: it starts the body, and waits for all that is left to it,
// until the body ends.
func reap() int {
	os.Setenv(stageVariable, "body")
	body, err := os.StartProcess("/proc/self/exe", os.Args[:1], &os.ProcAttr{
		Env:   os.Environ(),
		Files: []*os.File{nil, os.Stdout, os.Stderr, os.NewFile(3, "outcome")},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "box:", err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 1
		case pid == body.Pid:
			return status.ExitStatus()
		}
	}
}

// makeMachine makes the file systems, accounts and network of a box.
func makeMachine() error {
	mounts := []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("proc", "/proc", "proc", 0, "") },
		func() error { return unix.Mount("box", "/mnt", "tmpfs", 0, "mode=755") },
		func() error { return bind(os.Getenv(daemonVariable), daemonPath) },
		func() error {
			if other := os.Getenv(otherVariable); other != "" {
				return bind(other, otherPath)
			}
			return nil
		},
		func() error { return devices() },
		func() error { return unix.Mount("box", "/run", "tmpfs", 0, "mode=755") },
		func() error { return unix.Mount("box", "/var/lib", "tmpfs", 0, "mode=755") },
		func() error {
			return appendTo("/etc/passwd", fmt.Sprintf("%s:x:%d:%d::/nonexistent:/bin/false\n", account, accountUID, accountUID))
		},
		func() error {
			return appendTo("/etc/group", fmt.Sprintf("%s:x:%d:\nmuxplug:x:%d:%s\n", account, accountUID, secondGroup, account))
		},
		noConfiguration,
		func() error { return os.Mkdir(workDir, 0o777) },
		func() error { return os.Chmod(workDir, 0o777) },
		loopback,
	}
	for i, mount := range mounts {
		if err := mount(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// bind shows a file at another path, which it makes.
func bind(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(to, nil, 0o644); err != nil {
		return err
	}
	return unix.Mount(from, to, "", unix.MS_BIND, "")
}

// devices leaves only the plainest ones, and room for /dev/log.
func devices() error {
	const old = "/mnt/dev"
	if err := os.Mkdir(old, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/dev", old, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Mount("box", "/dev", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom"} {
		if err := bind(filepath.Join(old, name), filepath.Join("/dev", name)); err != nil {
			return err
		}
	}
	return unix.Unmount(old, unix.MNT_DETACH)
}

// appendTo shows a longer version of a file in its place.
func appendTo(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	longer := "/mnt/" + filepath.Base(path) // in this box alone
	if err := os.WriteFile(longer, append(old, text...), 0o644); err != nil {
		return err
	}
	return unix.Mount(longer, path, "", unix.MS_BIND, "")
}

// noConfiguration hides the configuration file of the computer, if it has one.
func noConfiguration() error {
	const path = "/etc/usbmuxd.conf"
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	if err := os.WriteFile("/mnt/conf", nil, 0o644); err != nil {
		return err
	}
	return unix.Mount("/mnt/conf", path, "", unix.MS_BIND, "")
}

// loopback brings the interface up that every network namespace has.
func loopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}
