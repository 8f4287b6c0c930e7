//go:build guest

package guest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

const (
	diskNode = "/dev/vdb"
	diskDir  = "/run/disk"
	bootsLog = "/out/boots" // a line a boot: its id
)

// mountDisk mounts what outlives a reboot of this machine: pair records and the
// phones' own memory. unmount takes it away in good order.
func mountDisk(t *testing.T, fresh bool) (unmount func()) {
	t.Helper()
	if fresh {
		if _, err := tool("mkfs.ext4", "-q", "-F", diskNode); err != nil {
			t.Fatal(err)
		}
	}
	does(t, os.MkdirAll(diskDir, 0o755), os.MkdirAll(recordDir, 0o755))
	does(t, os.NewSyscallError("mount", unix.Mount(diskNode, diskDir, "ext4", 0, "")))
	does(t, os.MkdirAll(diskDir+"/lockdown", 0o755))
	does(t, os.NewSyscallError("mount", unix.Mount(diskDir+"/lockdown", recordDir, "", unix.MS_BIND, "")))
	return func() {
		t.Helper()
		does(t, os.NewSyscallError("umount", unix.Unmount(recordDir, 0)), os.NewSyscallError("umount", unix.Unmount(diskDir, 0)))
	}
}

// remember writes what a phone knows to the disk, for good. A phone has a disk of
// its own: what happens to this computer does not happen to it.
func remember(t *testing.T, p *phone) {
	t.Helper()
	b, err := p.Memory()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(diskDir, p.UDID()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(b)
	does(t, err, f.Sync(), f.Close())
	dir, err := os.Open(diskDir)
	if err != nil {
		t.Fatal(err)
	}
	does(t, dir.Sync(), dir.Close())
}

// recalled plugs in the nth phone as remember has left it.
func recalled(t *testing.T, n int) *phone {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(diskDir, udid(n)))
	if err != nil {
		t.Fatal(err)
	}
	return attach(t, n, virtualphone.Config{Memory: b}, usbip.Config{})
}

// restartMachine restarts the kernel at once, as a power cut does: what is not on
// the disk is lost.
func restartMachine(t *testing.T) {
	t.Helper()
	t.Fatal(os.NewSyscallError("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)))
}

// TestHostReboot proves over two restarts of this machine, one in good order and
// one by a power cut right after a pairing, that what was trusted before needs no
// word of its owner after. It runs once in each boot.
func TestHostReboot(t *testing.T) {
	skipC(t, stateless)
	if _, err := os.Stat(diskNode); err != nil {
		t.Skip("this machine has no disk that outlives it")
	}
	before, err := os.ReadFile(bootsLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(before, id) {
		t.Fatalf("boot %s once more", id)
	}
	does(t, os.WriteFile(bootsLog, append(before, id...), 0o644))
	boot := strings.Count(string(before), "\n") + 1
	fmt.Printf("    boot %d\n", boot)
	unmount := mountDisk(t, boot == 1)
	config := virtualphone.Config{Passcode: passcode}

	switch boot {
	case 1:
		d := start(t)
		p := attach(t, 0, config, usbip.Config{})
		becomeTrusted(t, p)
		dialogs(t, p, 1)
		p.Unplug()
		visible(t)
		remember(t, p)
		d.stop()
		unmount()
		restartMachine(t)
	case 2:
		p := recalled(t, 0) // before the daemon starts
		launch(t)
		awaitTrust(t, p, trust.Trusted)
		does(t, says("SUCCESS: Validated", "idevicepair", "validate")(t, p))
		record(t, p)
		dialogs(t, p, 1)
		another := attach(t, 1, config, usbip.Config{})
		awaitTrust(t, another, trust.DialogShown)
		tapTrust(t, another)
		awaitTrust(t, another, trust.Trusted) // and not a moment more
		remember(t, another)
		remember(t, p)
		restartMachine(t)
	case 3:
		launch(t)
		for n := range 2 {
			p := recalled(t, n) // after it
			awaitTrust(t, p, trust.Trusted)
			does(t, says("SUCCESS: Validated", "idevicepair", "validate", "-u", p.UDID())(t, p))
			record(t, p)
			dialogs(t, p, 1)
		}
	default:
		t.Fatalf("boot %d was not planned", boot)
	}
}
