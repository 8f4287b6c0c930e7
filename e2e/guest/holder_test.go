//go:build guest

package guest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// usbfsClaim is USBDEVFS_CLAIMINTERFACE of linux/usbdevice_fs.h.
const usbfsClaim = 0x8004550f // unsigned int

// usbfs is a device node that the tests have open beside the daemon.
type usbfs struct{ *os.File }

func (n usbfs) ioctl(request uintptr, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, n.Fd(), request, uintptr(arg))
	if errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}

// claim takes an interface until the node is closed.
func (n usbfs) claim(iface uint32) error { return n.ioctl(usbfsClaim, unsafe.Pointer(&iface)) }

// sysfs is the directory of a plugged phone's USB device.
func sysfs(t *testing.T, p *phone) (dir string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		all, err := filepath.Glob("/sys/bus/usb/devices/*/serial")
		if err != nil {
			return err
		}
		for _, name := range all {
			if b, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(b)) == p.Serial() {
				dir = filepath.Dir(name)
				return nil
			}
		}
		return fmt.Errorf("no USB device has the serial number %s", p.Serial())
	})
	return dir
}

// node is the device node of a plugged phone.
func node(t *testing.T, p *phone) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(sysfs(t, p), "uevent"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "DEVNAME=")
	if !ok {
		t.Fatalf("no node in %q", b)
	}
	name, _, _ := strings.Cut(rest, "\n")
	return filepath.Join("/dev", name)
}

// configure makes the configuration that a daemon would choose the active one,
// for good: udev, where it runs, has done with the phone before.
func configure(t *testing.T, p *phone) {
	t.Helper()
	const wanted = 4
	name := filepath.Join(sysfs(t, p), "bConfigurationValue")
	if err := settle(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(strconv.Itoa(wanted)), 0); err != nil {
		t.Fatal(err)
	}
	if err := settle(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(wanted) {
		t.Fatalf("want configuration %d, got %q, %v", wanted, b, err)
	}
}

// logged waits until one line of the daemon's log has all of want.
func logged(t *testing.T, d *daemon, limit time.Duration, want ...string) {
	t.Helper()
	eventually(t, limit, func() error {
	lines:
		for line := range strings.Lines(d.Log()) {
			for _, w := range want {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			return nil
		}
		return fmt.Errorf("the log has no line with all of %q", want)
	})
}

// TestHeldByProgram proves that a phone whose interface another program holds is
// reported with that program's name and pid, and comes up by itself when the
// program lets go; another phone never notices.
func TestHeldByProgram(t *testing.T) {
	skipC(t, "tries once")
	held := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	configure(t, held)
	f, err := os.OpenFile(node(t, held), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (usbfs{f}).claim(1); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	d := start(t)
	other := attach(t, 1, virtualphone.Config{}, usbip.Config{})
	logged(t, d, 30*time.Second, "interface 1", strings.TrimSpace(string(program)), fmt.Sprintf("pid %d", os.Getpid()))
	ids := visible(t, other)
	quiet, err := dial(ids[other.UDID()], virtualphone.EchoPort)
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()

	f.Close()
	ids = visible(t, held, other)
	if err := echo(ids[held.UDID()], 100_000); err != nil {
		t.Error(err)
	}
	if err := echoOn(quiet, 100_000); err != nil {
		t.Errorf("the other phone's old connection: %v", err)
	}
}
