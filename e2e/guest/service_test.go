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
	if _, err := tool("systemctl", "stop", "usbmuxd.service"); err != nil {
		t.Fatal(err)
	}
	visible(t)
	pid = again(t, pid)

	// Started by udev; everything that people do.
	if _, err := tool("systemctl", "stop", "usbmuxd.service"); err != nil {
		t.Fatal(err)
	}
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
		if _, err := tool("systemctl", "restart", "usbmuxd.service"); err != nil {
			t.Error(err)
		}
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

	// A hung daemon is replaced, here sooner than usually.
	dropIn := "/run/systemd/system/usbmuxd.service.d"
	does(t, os.MkdirAll(dropIn, 0o755), os.WriteFile(dropIn+"/watchdog.conf", []byte("[Service]\nWatchdogSec=10s\n"), 0o644))
	for _, args := range [][]string{{"daemon-reload"}, {"restart", "usbmuxd.service"}} {
		if _, err := tool("systemctl", args...); err != nil {
			t.Fatal(err)
		}
	}
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
