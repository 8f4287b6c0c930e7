//go:build guest

package guest_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// worstExposure is what systemd-analyze may find of the service's sandbox at most:
// from 0, which is none, to 10.
const worstExposure = 1.5

// installService installs our package until the end of the test, and has the
// services run that other tests mask.
func installService(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(firstDeb); err != nil || !systemd() {
		t.Skip("no packages, or no systemd to run them")
	}
	theirs := cDeb(t)
	forget(t)
	if _, err := tool("systemctl", "unmask", "--runtime", "usbmuxd.service"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := tool("journalctl", "--no-pager", "-n", "60", "-u", "usbmuxd*")
			t.Logf("the service's log:\n%s", out)
		}
		_, _ = tool("dpkg", "--purge", "gomuxd")
		_ = os.RemoveAll("/run/systemd/system/usbmuxd.service.d")
		_, err := tool("dpkg", "--install", theirs)
		_, merr := tool("systemctl", "mask", "--now", "--runtime", "usbmuxd.service")
		if err := errors.Join(err, merr); err != nil {
			t.Error(err)
		}
	})
	dpkg(t, "--install", firstDeb)
}

// statusOf reads fields of /proc/PID/status.
func statusOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// sandboxed checks that a process has no rights, in any form.
func sandboxed(t *testing.T, pid int) {
	t.Helper()
	uid, err := tool("id", "-u", "usbmux")
	if err != nil {
		t.Fatal(err)
	}
	fields := statusOf(t, pid)
	if got := strings.Fields(fields["Uid"]); len(got) != 4 || got[0] != uid || got[1] != uid || got[2] != uid || got[3] != uid {
		t.Errorf("want user %s in all ways, got %v", uid, got)
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if strings.Trim(fields[set], "0") != "" || fields[set] == "" {
			t.Errorf("%s is %q, want none", set, fields[set])
		}
	}
	if fields["NoNewPrivs"] != "1" || fields["Seccomp"] != "2" {
		t.Errorf("NoNewPrivs is %s, Seccomp %s", fields["NoNewPrivs"], fields["Seccomp"])
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[1] == "/" && !strings.HasPrefix(f[3], "ro,") {
			t.Errorf("the root is mounted %s", f[3])
		}
	}
	out, err := tool("systemd-analyze", "security", "--no-pager", fmt.Sprintf("--threshold=%d", int(worstExposure*10)), "usbmuxd.service")
	if err != nil {
		t.Error(err)
	}
	t.Log(out[strings.LastIndex(out, "\n")+1:])
}

// saysStatus checks what systemctl status says of phones.
func saysStatus(t *testing.T, want string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		got, err := tool("systemctl", "show", "--property=StatusText", "--value", "usbmuxd.service")
		if err == nil && !strings.Contains(got, want) {
			err = fmt.Errorf("want the status to say %q, got %q", want, got)
		}
		return err
	})
}

// again waits until the service is active in another process, and returns that.
func again(t *testing.T, before int) (pid int) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		state, err := tool("systemctl", "is-active", "usbmuxd.service")
		if pid = mainPID(t); err == nil && (pid == 0 || pid == before) {
			err = fmt.Errorf("the service is %s as process %d", state, pid)
		}
		return err
	})
	return pid
}

// systemctl does what an administrator does.
func systemctl(t *testing.T, args ...string) {
	t.Helper()
	if _, err := tool("systemctl", args...); err != nil {
		t.Fatal(err)
	}
}

// TestService proves that the service does everything without any right: phones
// are listed, paired with, used, and followed through replugs and a controller that
// goes away and comes back; and that its sockets are there from the start to the
// end, with phones and without, in restarts and crashes.
func TestService(t *testing.T) {
	installService(t)
	pid := serving(t, "1.2.1")
	sandboxed(t, pid)

	// Without a phone.
	visible(t)
	saysStatus(t, "No phone is plugged in")

	// Started by the first client.
	systemctl(t, "stop", "usbmuxd.service")
	visible(t)
	pid = again(t, pid)

	// Started as at boot: the sockets first, of which a client need not know.
	systemctl(t, "stop", "usbmuxd.socket", "usbmuxd-control.socket", "usbmuxd.service")
	systemctl(t, "start", "sockets.target")
	visible(t)
	pid = again(t, pid)
	systemctl(t, "stop", "usbmuxd.socket", "usbmuxd-control.socket", "usbmuxd.service")
	systemctl(t, "start", "multi-user.target")
	pid = again(t, pid)
	visible(t)

	// Started by udev; everything that people do.
	systemctl(t, "stop", "usbmuxd.service")
	p := attach(t, 0, virtualphone.Config{Passcode: passcode}, usbip.Config{})
	again(t, pid)
	ids := visible(t, p)
	becomeTrusted(t, p)
	record(t, p)
	saysStatus(t, "1 trusted")
	does(t, echo(ids[p.UDID()], 1<<20), says("SUCCESS: Validated", "idevicepair", "validate")(t, p))
	if _, err := tool("/job/muxctl", "list"); err != nil {
		t.Error(err)
	}
	p.Unplug()
	visible(t)
	p.replug(t)
	visible(t, p)

	// As after a suspend during which the controller had no power.
	driver, device := "/sys/bus/platform/drivers/vhci_hcd", "vhci_hcd.0"
	does(t, os.WriteFile(filepath.Join(driver, "unbind"), []byte(device), 0o200))
	visible(t)
	p.letGo(t)
	does(t, os.WriteFile(filepath.Join(driver, "bind"), []byte(device), 0o200))
	p.replug(t)
	visible(t, p)
	does(t, says("SUCCESS: Validated", "idevicepair", "validate")(t, p))

	// A client asks all the time. It may be cut off, but never refused.
	var answers atomic.Int64
	ending := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ending:
				return
			default:
			}
			_, err := devices()
			var failed *net.OpError
			if errors.As(err, &failed) && failed.Op == "dial" {
				t.Errorf("after %d answers: %v", answers.Load(), err)
				return
			}
			if err == nil {
				answers.Add(1)
			}
		}
	})
	for range cycles(10) {
		systemctl(t, "restart", "usbmuxd.service")
		visible(t, p)
	}
	pid = mainPID(t)
	does(t, syscall.Kill(pid, syscall.SIGKILL))
	again(t, pid)
	visible(t, p)
	dpkg(t, "--install", secondDeb)
	close(ending)
	wg.Wait()
	t.Logf("%d answers", answers.Load())
	pid = serving(t, "1.2.2")
	sandboxed(t, pid)

	// Over TCP, with the drop-in that is shipped.
	dropIn := "/run/systemd/system/usbmuxd.service.d"
	unpacked := t.TempDir() // this machine goes without documentation
	if _, err := tool("dpkg-deb", "--extract", secondDeb, unpacked); err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile(filepath.Join(unpacked, "usr/share/doc/gomuxd/examples/tcp.conf"))
	does(t, err, os.MkdirAll(dropIn, 0o755), os.WriteFile(dropIn+"/tcp.conf", shipped, 0o644))
	config, err := os.ReadFile("/etc/usbmuxd.conf")
	does(t, err, os.WriteFile("/etc/usbmuxd.conf", append([]byte("listen = [\"127.0.0.1:27015\"]\n"), config...), 0o644))
	systemctl(t, "daemon-reload")
	systemctl(t, "restart", "usbmuxd.service")
	visible(t, p)
	does(t, says(p.UDID(), "env", "USBMUXD_SOCKET_ADDRESS=127.0.0.1:27015", "idevice_id", "-l")(t, p))

	// What is wrong with its configuration systemd shows, and what is wrong with its
	// directory. It is tried again until it is right.
	wrong := func(want string, spoil, repair func() error) {
		t.Helper()
		does(t, spoil())
		_, _ = tool("systemctl", "restart", "usbmuxd.service") // fails
		eventually(t, 30*time.Second, func() error {
			got, _ := tool("systemctl", "status", "--no-pager", "--full", "usbmuxd.service") // not active, so it fails
			if !strings.Contains(got, want) {
				return fmt.Errorf("want %q, got %s", want, got)
			}
			return nil
		})
		does(t, repair())
		visible(t, p)
	}
	wrong("/etc/usbmuxd.conf:1: unknown key lissten; the nearest is listen",
		func() error { return os.WriteFile("/etc/usbmuxd.conf", []byte("lissten = []\n"), 0o644) },
		func() error { return os.WriteFile("/etc/usbmuxd.conf", config, 0o644) })
	owner, err := os.Stat(recordDir)
	does(t, err)
	wrong("to repair: chown -R ",
		func() error { return errors.Join(os.Chown(recordDir, 0, 0), os.Chmod(recordDir, 0o755)) },
		func() error {
			uid := owner.Sys().(*syscall.Stat_t)
			return errors.Join(os.Chown(recordDir, int(uid.Uid), int(uid.Gid)), os.Chmod(recordDir, owner.Mode().Perm()))
		})

	// A hung daemon is replaced, here sooner than usually.
	does(t, os.WriteFile(dropIn+"/watchdog.conf", []byte("[Service]\nWatchdogSec=10s\n"), 0o644))
	systemctl(t, "daemon-reload")
	systemctl(t, "restart", "usbmuxd.service")
	pid = mainPID(t)
	does(t, syscall.Kill(pid, syscall.SIGSTOP))
	again(t, pid)
	ids = visible(t, p)
	does(t, echo(ids[p.UDID()], 1<<20), says("SUCCESS: Validated", "idevicepair", "validate")(t, p))
	p.Unplug()
	visible(t)
	dialogs(t, p, 1)

	// Removed, it leaves nothing that pretends to be there.
	dpkg(t, "--remove", "gomuxd")
	for _, name := range []string{socketPath, socketPath + ".control"} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}
