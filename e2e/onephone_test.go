package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gomuxd/control"
	"gomuxd/e2e"
)

// TestOnePhoneSocket gives a container, which has a network and mounts of its own,
// the directory of a socket that shows one of two phones.
func TestOnePhoneSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for namespaces")
	}
	dir := t.TempDir()
	one := filepath.Join(dir, "job", "usbmuxd")
	config := filepath.Join(dir, "conf")
	text := fmt.Sprintf("[trust]\npolicy = 'never'\n[[socket]]\nlisten = %q\ndevices = [%q]\nmode = '0600'\n", one, firstPhone)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, e2e.Config{Phones: 2, Apart: true, Args: []string{"--config", config}})
	for _, udid := range []string{firstPhone, secondPhone} {
		phone(t, r, "--phone", udid, "replug")
	}
	awaitListed(t, r, 2)
	if fi, err := os.Stat(one); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", fi, err)
	}
	inside := container(t, r, filepath.Dir(one))
	if out, ok := inside("idevice_id -l"); !ok || strings.TrimSpace(out) != firstPhone {
		t.Errorf("the container sees %q, %v", out, ok)
	}
	run(t, r, secondPhone, "idevice_id", "-l") // the host has both

	// Pairing works there, with the phone that is its own and with no other.
	if out, ok := inside("idevicepair -u " + secondPhone + " pair"); ok {
		t.Errorf("paired with the other phone: %q", out)
	}
	if out, _ := inside("idevicepair -u " + firstPhone + " pair"); !strings.Contains(out, "accept the trust dialog") {
		t.Errorf("pair: %q", out)
	}
	phone(t, r, "--phone", firstPhone, "tap", "trust")
	if out, ok := inside("idevicepair -u " + firstPhone + " pair && ideviceinfo -u " + firstPhone + " -k DeviceName"); !ok || !strings.Contains(out, "Virtual iPhone") {
		t.Errorf("pair and ask: %q, %v", out, ok)
	}

	// A replug is nothing to it, nor is another daemon.
	phone(t, r, "--phone", firstPhone, "replug")
	r.Kill()
	if err := r.Launch(); err != nil {
		t.Fatal(err)
	}
	awaitListed(t, r, 2)
	if out, ok := inside("idevice_id -l"); !ok || strings.TrimSpace(out) != firstPhone {
		t.Errorf("after a replug the container sees %q, %v", out, ok)
	}
}

// awaitListed waits until clients see n phones.
func awaitListed(t *testing.T, r *e2e.Rig, n int) {
	t.Helper()
	done := errors.New("there")
	listed := make(map[string]bool)
	err := control.Dial(r.Control()).Watch(limit(t), func(ev control.Event) error {
		if ev.Type == control.Ready {
			return nil
		}
		if listed[ev.Device.PortPath] = ev.Type != control.DeviceRemoved && ev.Device.DeviceID != nil; !listed[ev.Device.PortPath] {
			delete(listed, ev.Device.PortPath)
		}
		if len(listed) == n {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatalf("want %d phones, got %v: %v\n%s", n, listed, err, r.Log())
	}
}

// awaitAway waits until no phone is listed.
func awaitAway(t *testing.T, r *e2e.Rig) {
	t.Helper()
	until(t, "no phone is listed", func() bool {
		out, err := r.Muxctl(limit(t), "list", "--json")
		return err == nil && out == "[]"
	})
}

// container has a shell with mounts and a network of its own, where dir is /mnt, run
// scripts; each gives what it printed and whether it succeeded.
func container(t *testing.T, r *e2e.Rig, dir string) (run func(script string) (string, bool)) {
	t.Helper()
	cmd := r.Command(limit(t), "sh")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	run = func(script string) (string, bool) {
		t.Helper()
		fmt.Fprintf(in, "{ %s; } 2>&1; echo \"END $?\"\n", script)
		var text strings.Builder
		for lines.Scan() {
			if code, is := strings.CutPrefix(lines.Text(), "END "); is {
				return text.String(), code == "0"
			}
			text.WriteString(lines.Text() + "\n")
		}
		t.Fatalf("the container has ended: %q, %v", text.String(), lines.Err())
		return "", false
	}
	if out, ok := run("mount --bind '" + dir + "' /mnt && export USBMUXD_SOCKET_ADDRESS=UNIX:/mnt/usbmuxd"); !ok {
		t.Fatalf("mount: %s", out)
	}
	return run
}
