//go:build guest

package guest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// TestUdevRestart proves that phones come and go also while udevd is away and
// after it is back.
func TestUdevRestart(t *testing.T) {
	if !udevd() {
		t.Skip("no udevd here")
	}
	if systemd() {
		t.Skip("systemd restarts it by itself; tested in the udev flavour")
	}
	start(t)
	p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	visible(t, p)
	if _, err := tool("udevadm", "control", "--exit"); err != nil {
		t.Fatal(err)
	}
	p.Unplug()
	if out, err := exec.Command("/lib/systemd/systemd-udevd", "--daemon").CombinedOutput(); err != nil {
		t.Fatalf("udevd: %v: %s", err, out)
	}
	visible(t)
	p.replug(t)
	visible(t, p)
}

// TestUeventBurst proves that 10,000 events of other devices cost no phone.
func TestUeventBurst(t *testing.T) {
	start(t)
	p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	visible(t, p)
	burst := func() {
		for range 10_000 {
			if err := os.WriteFile("/sys/devices/virtual/mem/null/uevent", []byte("change"), 0); err != nil {
				t.Error(err)
				return
			}
		}
	}
	if udevd() { // which works on them long after; later tests want a quiet machine
		t.Cleanup(func() {
			if out, err := exec.Command("udevadm", "settle", "--timeout=300").CombinedOutput(); err != nil {
				t.Errorf("udevadm settle: %v, %s", err, out)
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); burst() }()
	p.Unplug()
	visible(t)
	p.replug(t)
	<-done
	visible(t, p)
}

// TestDaemonBeforeAndAfter proves that it does not matter what is there first,
// and that a daemon started anew takes over a phone that an old one has left.
func TestDaemonBeforeAndAfter(t *testing.T) {
	p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	d := start(t)
	ids := visible(t, p)
	for range 3 {
		if err := echo(ids[p.UDID()], 100_000); err != nil {
			t.Fatal(err)
		}
		d.stop()
		d = launch(t)
		ids = visible(t, p)
	}
	// Killed in the middle of it all.
	c, err := dial(ids[p.UDID()], virtualphone.EchoPort)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
	time.Sleep(300 * time.Millisecond)
	_ = d.cmd.Process.Kill()
	<-d.done
	d = launch(t)
	ids = visible(t, p)
	if err := echo(ids[p.UDID()], 100_000); err != nil {
		t.Fatal(err)
	}
	_ = d
}

// TestOthersInterfaces proves that the kernel's drivers keep the phone's other
// interfaces: tethering goes on.
func TestOthersInterfaces(t *testing.T) {
	start(t)
	p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	ids := visible(t, p)
	eventually(t, 20*time.Second, func() error {
		all, err := filepath.Glob("/sys/bus/usb/drivers/ipheth/*:4.2")
		if err == nil && len(all) != 1 {
			err = fmt.Errorf("ipheth drives %v", all)
		}
		return err
	})
	if err := echo(ids[p.UDID()], 100_000); err != nil {
		t.Error(err)
	}
}

// TestIdle proves that a daemon with an idle, trusted phone sleeps: less than one
// voluntary context switch a second over half a minute, in all its threads.
func TestIdle(t *testing.T) {
	skipC(t, "wakes up as it likes")
	d := start(t)
	p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	visible(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), scaled(time.Minute))
	defer cancel()
	if _, err := p.Wait(ctx, func(s virtualphone.State) bool { return s.Dialog == virtualphone.TrustDialog }); err != nil {
		t.Fatal(err)
	}
	if err := p.TapTrust(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() error {
		_, err := os.Stat(filepath.Join(recordDir, p.UDID()+".plist"))
		return err
	})
	time.Sleep(scaled(5 * time.Second))
	count := func() (n int) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			b, err := os.ReadFile(task)
			if err != nil {
				continue // a thread that has ended
			}
			for line := range strings.Lines(string(b)) {
				var k int
				if _, err := fmt.Sscanf(line, "voluntary_ctxt_switches: %d", &k); err == nil {
					n += k
				}
			}
		}
		return n
	}
	before := count()
	const seconds = 30
	time.Sleep(seconds * time.Second)
	if n := count() - before; n > seconds {
		t.Errorf("%d wake-ups in %d s", n, seconds)
	} else {
		t.Logf("%d wake-ups in %d s", n, seconds)
	}
}
