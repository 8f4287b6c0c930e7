//go:build guest

package guest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// upowerRoot is a root directory with the UPower of a newer Debian release, whose
// build knows phones.
const upowerRoot = "/opt/upower"

// startUPower runs UPower until the end of the test.
func startUPower(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(upowerRoot); err != nil {
		t.Fatal(err)
	}
	const unit = "gomuxd-upower.service"
	if _, err := tool("systemd-run", "--collect", "--unit="+unit, "--property=RootDirectory="+upowerRoot,
		"--property=MountAPIVFS=yes", "--property=BindPaths=/run", "/usr/libexec/upowerd"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := tool("journalctl", "--no-pager", "-n", "30", "-u", unit)
			t.Logf("UPower's log:\n%s", out)
		}
		if _, err := tool("systemctl", "stop", unit); err != nil {
			t.Error(err)
		}
	})
}

// upowerKnows waits until UPower shows the charge of so many phones, which all have
// the same. It asks them in sessions of its own, through the daemon.
func upowerKnows(t *testing.T, phones int) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		out, err := tool("busctl", "call", "org.freedesktop.UPower", "/org/freedesktop/UPower", "org.freedesktop.UPower", "EnumerateDevices")
		if err != nil {
			return err
		}
		charged := 0
		for _, word := range strings.Fields(out) {
			path := strings.Trim(word, `"`)
			if !strings.Contains(path, "/devices/") {
				continue
			}
			charge, err := tool("busctl", "get-property", "org.freedesktop.UPower", path, "org.freedesktop.UPower.Device", "Percentage")
			if err != nil {
				return err
			}
			if charge == "d 84" { // virtualphone's
				charged++
			}
		}
		if charged != phones {
			return fmt.Errorf("want the charge of %d phones, got %d of %s", phones, charged, out)
		}
		return nil
	})
}
