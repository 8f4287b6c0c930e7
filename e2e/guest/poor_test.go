//go:build guest

package guest_test

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// usbfsMemory is how many MiB of transfers usbfs grants to all programs.
const usbfsMemory = "/sys/module/usbcore/parameters/usbfs_memory_mb"

// limitUSBFS sets the memory of usbfs until restore is called or the test ends.
func limitUSBFS(t *testing.T, mib string) (restore func()) {
	t.Helper()
	before, err := os.ReadFile(usbfsMemory)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(usbfsMemory, []byte(mib), 0); err != nil {
		t.Fatal(err)
	}
	restore = func() {
		if err := os.WriteFile(usbfsMemory, before, 0); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	return restore
}

// TestShortMemory proves that eight phones work with 1 MiB of usbfs memory if
// the daemon can plan with it, and that phones for which there is none left are
// there, and say so, as soon as there is.
func TestShortMemory(t *testing.T) {
	skipC(t, "does not share memory out")
	for _, late := range []bool{false, true} {
		name := map[bool]string{false: "known at the start", true: "taken away later"}[late]
		t.Run(name, func(t *testing.T) {
			restore := func() {}
			if !late {
				limitUSBFS(t, "1")
			}
			d := start(t)
			phones := []*phone{attach(t, 0, virtualphone.Config{}, usbip.Config{Speed: usbip.Super})}
			visible(t, phones...)
			if late {
				restore = limitUSBFS(t, "1")
			}
			for n := 1; n < 8; n++ {
				phones = append(phones, attach(t, n, virtualphone.Config{}, usbip.Config{}))
			}
			if late {
				logged(t, d, 30*time.Second, "usbfs_memory_mb")
			}
			restore()
			ids := visible(t, phones...)
			failed := make(chan error)
			for _, p := range phones {
				go func() { failed <- echo(ids[p.UDID()], 1<<20) }()
			}
			for range phones {
				if err := <-failed; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// withoutNetlink, as the first argument, has the test binary give up netlink
// sockets and become the program in the others.
const withoutNetlink = "without-netlink"

// becomeWithoutNetlink does so. It returns only an error.
func becomeWithoutNetlink(args []string) error {
	runtime.LockOSThread() // the filter is a thread's, and that of the program it becomes
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	// struct seccomp_data: the number of the call at 0, the low half of its first
	// argument at 16.
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SOCKET, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.AF_NETLINK, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	return os.NewSyscallError("exec", syscall.Exec(args[0], args, os.Environ()))
}

// TestNoNetlink proves that a daemon in a sandbox without netlink polls sysfs
// and, since libusb does not start there, brings phones up by usbfs alone: they
// come, carry data, switch their mode and go.
func TestNoNetlink(t *testing.T) {
	skipC(t, "cannot do without libusb")
	forget(t)
	d := invocation{by: []string{"/proc/self/exe", withoutNetlink}, env: []string{"USBMUXD_DEFAULT_DEVICE_MODE=3"}}.launch(t)
	for _, speed := range []usbip.Speed{usbip.High, usbip.Super} {
		p := attach(t, int(speed), virtualphone.Config{}, usbip.Config{Speed: speed})
		eventually(t, 30*time.Second, func() error {
			return withID(p, func(id uint32) error { return echo(id, 1<<20) })
		})
		if p.gadget.Mode() != 3 {
			t.Errorf("want mode 3, got %d", p.gadget.Mode())
		}
		p.Unplug()
		visible(t)
	}
	for _, want := range []string{"polling sysfs", "without libusb"} {
		if !strings.Contains(d.Log(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
}
