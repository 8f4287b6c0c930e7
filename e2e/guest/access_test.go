//go:build guest

package guest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// startAs is start as another user, who has a directory of his own for socket
// and records; clients find the socket at its usual place.
func startAs(t *testing.T, uid uint32) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "usbmuxd")
	if err := os.RemoveAll(socketPath); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(socket, socketPath); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(socketPath) })
	d := &daemon{t: t, done: make(chan struct{}), cmd: exec.Command("/job/gomuxd", "-f", "-v", "-v",
		"-S", socket, "-C", filepath.Join(dir, "records"), "-P", filepath.Join(dir, "pid"))}
	d.cmd.Dir = dir
	d.cmd.Stdout, d.cmd.Stderr = d, d
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
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
		}
	})
	eventually(t, 30*time.Second, func() error {
		_, err := devices()
		return err
	})
	return d
}

// TestNoPermission proves that a daemon which may not open a phone's device node
// says which node, whose it is and what to do, and that the phone comes up by
// itself once the daemon may; another phone never notices.
func TestNoPermission(t *testing.T) {
	skipC(t, "tries once")
	const nobody = 65534
	closed := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	configure(t, closed) // so that udev has no reason to set the mode once more
	if err := os.Chmod(node(t, closed), 0); err != nil {
		t.Fatal(err)
	}
	other := attach(t, 1, virtualphone.Config{}, usbip.Config{})
	configure(t, other)
	if err := os.Chmod(node(t, other), 0o666); err != nil {
		t.Fatal(err)
	}
	d := startAs(t, nobody)
	logged(t, d, 30*time.Second, "no permission", node(t, closed), "---------", "udev rule", "as root")
	ids := visible(t, other)
	quiet, err := dial(ids[other.UDID()], virtualphone.EchoPort)
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()

	if err := os.Chmod(node(t, closed), 0o666); err != nil {
		t.Fatal(err)
	}
	ids = visible(t, closed, other)
	if err := echo(ids[closed.UDID()], 100_000); err != nil {
		t.Error(err)
	}
	if err := echoOn(quiet, 100_000); err != nil {
		t.Errorf("the other phone's old connection: %v", err)
	}
}
