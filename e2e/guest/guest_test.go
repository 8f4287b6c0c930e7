//go:build guest

package guest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Variables that the host sets.
const (
	daemonVariable = "GUEST_DAEMON" // c, or gomuxd by default
	cyclesVariable = "GUEST_CYCLES" // percent of the full number of repetitions
	factorVariable = "GOMUXD_TIMEOUT_FACTOR"
)

// againstC reports whether the daemon under test is Debian's C usbmuxd.
func againstC() bool { return os.Getenv(daemonVariable) == "c" }

// skipC skips what the C daemon is known not to do.
func skipC(t *testing.T, why string) {
	t.Helper()
	if againstC() {
		t.Skip("the C daemon " + why)
	}
}

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == withoutNetlink {
		fmt.Println("guest:", becomeWithoutNetlink(os.Args[2:]))
		os.Exit(2)
	}
	if err := prepare(); err != nil {
		fmt.Println("guest:", err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// prepare makes the guest ready: modules, and no daemon but the tests'.
func prepare() error {
	if _, err := os.Stat("/usr/sbin/guest-job"); err != nil {
		return fmt.Errorf("these tests change the machine; run them in the vm: make e2e")
	}
	if systemd() {
		if out, err := exec.Command("systemctl", "mask", "--now", "--runtime", "usbmuxd.service").CombinedOutput(); err != nil {
			return fmt.Errorf("mask usbmuxd.service: %w: %s", err, out)
		}
	}
	// apple-mfi-fastcharge sets the configuration anew when it is loaded, which
	// udev does at the first plug; TestColdStarts is about that, the others not.
	for _, module := range []string{"vhci_hcd", "apple_mfi_fastcharge", "fuse"} {
		if out, err := exec.Command("modprobe", module).CombinedOutput(); err != nil {
			return fmt.Errorf("modprobe %s: %w: %s", module, err, out)
		}
	}
	return settle()
}

func systemd() bool { _, err := os.Stat("/run/systemd/system"); return err == nil }

func udevd() bool { _, err := os.Stat("/run/udev/control"); return err == nil }

// settle waits until udevd, where there is one, has seen all events.
func settle() error {
	if !udevd() {
		return nil
	}
	if out, err := exec.Command("udevadm", "settle", "--timeout=60").CombinedOutput(); err != nil {
		return fmt.Errorf("udevadm settle: %w: %s", err, out)
	}
	return nil
}

// scaled multiplies a timeout by the factor of the run.
func scaled(d time.Duration) time.Duration {
	if f, err := strconv.ParseFloat(os.Getenv(factorVariable), 64); err == nil && f > 0 {
		return time.Duration(float64(d) * f)
	}
	return d
}

// cycles is how often a test repeats what it repeats n times in a full run.
func cycles(n int) int {
	percent, err := strconv.Atoi(os.Getenv(cyclesVariable))
	if err != nil {
		percent = 100
	}
	return max(n*percent/100, 2)
}

// eventually repeats a check until it is nil; its last error fails the test.
func eventually(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	if err := repeat(limit, check); err != nil {
		t.Fatalf("after %v: %v", scaled(limit), err)
	}
}

func repeat(limit time.Duration, check func() error) error {
	end := time.Now().Add(scaled(limit))
	for {
		err := check()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// tool runs a client program and returns all that it printed, trimmed. It has long
// to do so: idevicepair makes two RSA keys, on an emulated processor.
func tool(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scaled(3*time.Minute))
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}
