package dropin_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gomuxd/e2e"
)

// ours and phone are the daemon under test, and the remote control of the phones
// in it.
var ours, phone string

func TestMain(m *testing.M) {
	// A program with the race detector sleeps for a second as it ends, unless told.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	// What nohup(1) runs ignores SIGHUP, and so would what it starts.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	if os.Getenv(boxVariable) != "" {
		os.Exit(boxMain())
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gomuxd-dropin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin, err := e2e.Build(context.Background(), dir, true)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		ours, phone = bin.Daemon, bin.Phone
		return m.Run()
	}())
}

// theirs is Debian's C daemon, installed or as .ci/setup unpacks it; empty if it
// is not there.
func theirs() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "/nonexistent"
	}
	for _, path := range []string{filepath.Join(cache, "gomuxd/usbmuxd/usr/sbin/usbmuxd"), "/usr/sbin/usbmuxd"} {
		// Ours may be installed there, by the same name.
		if out, err := exec.Command(path, "--version").Output(); err == nil && strings.HasPrefix(string(out), "usbmuxd 1.1.1") {
			return path
		}
	}
	return ""
}
