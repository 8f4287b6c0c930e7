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

// startWith is start with more options for the daemon.
func startWith(t *testing.T, args ...string) *daemon {
	t.Helper()
	forget(t)
	return invocation{args: args}.launch(t)
}

// second runs the daemon under test once more; it must end well and say nothing.
func second(t *testing.T, d *daemon, args ...string) {
	t.Helper()
	program := d.cmd.Args[0]
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%s %v: %v, %s", program, args, err, out)
	}
}

// settled waits until phones are on the bus, which they are some time after they have
// got a port, and udevd is done with what has arrived.
func settled(t *testing.T, phones ...*phone) {
	t.Helper()
	for _, p := range phones {
		sysfs(t, p)
	}
	if err := settle(); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the daemon's end, which must be a good one.
func (d *daemon) ends() {
	d.t.Helper()
	select {
	case <-d.done:
		if d.err != nil {
			d.t.Errorf("the daemon ended with %v", d.err)
		}
	case <-time.After(scaled(20 * time.Second)):
		d.t.Fatal("the daemon does not end")
	}
}

// TestByHand proves what --disable-hotplug does: phones that arrive are left alone
// until somebody starts another one or sends SIGUSR2, and what leaves is noticed;
// and that --exit, which a rule of udev's says to us as well where udevd runs, is
// granted when the last phone goes.
func TestByHand(t *testing.T) {
	stays := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	leaves := attach(t, 1, virtualphone.Config{}, usbip.Config{})
	settled(t, stays, leaves)
	d := startWith(t, "-n", "-z", "-p")
	visible(t, stays, leaves)
	other := attach(t, 2, virtualphone.Config{}, usbip.Config{})
	settled(t, other)
	leaves.Unplug() // which is noticed after the arrival
	visible(t, stays)
	second(t, d, "-n")
	visible(t, stays, other)
	other.Unplug()
	visible(t, stays)
	other.replug(t)
	settled(t, other)
	if err := d.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	visible(t, stays, other)
	other.Unplug()
	visible(t, stays)
	stays.Unplug()
	second(t, d, "-x")
	d.ends()
}

// TestExitWithPhone proves that --exit is refused while a phone is there.
func TestExitWithPhone(t *testing.T) {
	skipC(t, "says so in other words")
	p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	settled(t, p) // udevd asks it to exit when an earlier phone leaves
	d := startWith(t, "-z")
	visible(t, p)
	second(t, d, "-x")
	logged(t, d, 30*time.Second, "not exiting, as asked")
	visible(t, p)
}

// TestReload proves on a real bus what a configuration file says of devices, at
// the start and when it is read again.
func TestReload(t *testing.T) {
	skipC(t, "has no configuration file")
	conf := filepath.Join(t.TempDir(), "usbmuxd.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	one := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	two := attach(t, 1, virtualphone.Config{}, usbip.Config{})
	write("[usb]\ndeny = ['serial=" + one.UDID() + "']\n[device.'" + two.UDID() + "']\nmode = 4\n")
	d := startWith(t, "--config", conf)
	ids := visible(t, two)
	if two.gadget.Mode() != 4 || one.gadget.Mode() != 1 {
		t.Errorf("want modes 1 and 4, got %d and %d", one.gadget.Mode(), two.gadget.Mode())
	}
	c, err := dial(ids[two.UDID()], virtualphone.EchoPort)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	write("[usb]\nmode = 3\nallow = ['serial=" + one.UDID() + "']\n")
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	visible(t, one)
	if err := c.SetReadDeadline(time.Now().Add(scaled(20 * time.Second))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("want the end of a connection to a phone that is no longer used, got %v", err)
	}
	if one.gadget.Mode() != 3 {
		t.Errorf("want the new mode, 3, got %d", one.gadget.Mode())
	}
}
