package e2e_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"gomuxd/socket/client"
)

// TestContainerRoot proves that the root file system of the container image holds
// all that the daemon needs: it starts in it, gives root up, and answers.
func TestContainerRoot(t *testing.T) {
	if testing.Short() {
		t.Skip("downloads Debian packages, not with -short")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("needs mmdebstrap (.ci/setup vm)")
	}
	dir := t.TempDir()
	daemon, root := filepath.Join(dir, "usbmuxd"), filepath.Join(dir, "root")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", daemon, "gomuxd/cmd/usbmuxd").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	assemble := exec.CommandContext(t.Context(), "packaging/container/root", daemon, root)
	assemble.Dir = ".."
	if out, err := assemble.CombinedOutput(); err != nil {
		t.Fatalf("assemble: %v: %s", err, out)
	}
	for _, shell := range []string{"bin", "usr/bin", "usr/lib/dpkg"} {
		if _, err := os.Lstat(filepath.Join(root, shell)); err == nil {
			t.Errorf("/%s is in the image", shell)
		}
	}

	// As an engine does it: a mount namespace with /proc, /sys and /dev.
	cmd := exec.Command("unshare", "--mount", "sh", "-ec", `
		cd "$1"
		mkdir -p proc sys dev
		for d in proc sys dev; do mount --rbind /$d $d; done
		exec chroot . /usr/sbin/usbmuxd --foreground --pidfile NONE --user usbmux --socket /run/usbmuxd`, "sh", root)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var devices []client.Device
	err := context.Cause(ctx)
	for err == nil {
		var c *client.Client
		if c, err = client.Dial(ctx, "UNIX:"+filepath.Join(root, "run/usbmuxd")); err == nil {
			devices, err = c.ListDevices(ctx)
			c.Close()
			break
		}
		select {
		case end := <-done:
			t.Fatalf("the daemon ended: %v\n%s", end, log.String())
		case <-time.After(50 * time.Millisecond): // until it listens
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		t.Error(err)
	} else {
		t.Logf("%d devices", len(devices))
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
	if err != nil || !bytes.Contains(status, []byte("\nUid:\t990\t990\t990\t990\n")) {
		t.Errorf("want user 990, got %s, %v", status, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
}
