package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"gomuxd/control"
	"gomuxd/hotplug"
	"gomuxd/lockdown/trust"
)

// manager is the service manager's end of NOTIFY_SOCKET, as this process has it in
// its environment from now on.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

// hears is the next message to the service manager.
func hears(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// TestWatchdog asserts that the service manager hears from the loop that handles
// events as long as that goes round, and from nobody while it does not.
func TestWatchdog(t *testing.T) {
	c := manager(t)
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	t.Setenv("WATCHDOG_USEC", "20000")
	opts, err := parseOptions(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := opts.settings()
	if err != nil {
		t.Fatal(err)
	}
	d := newDaemon(opts, &s, zap.NewNop())
	hung, goOn := make(chan struct{}), make(chan struct{})
	d.up = func() { close(hung); <-goOn }
	ctx, cancel := context.WithCancel(t.Context())
	events, done := make(chan hotplug.Event), make(chan struct{})
	go func() { defer close(done); d.watch(ctx, events) }()
	for range 3 {
		if got := hears(t, c); got != "WATCHDOG=1" {
			t.Fatalf("want WATCHDOG=1, got %q", got)
		}
	}
	events <- hotplug.Event{Action: hotplug.Scanned}
	<-hung
	for hears(t, c) != "READY=1" { // sent before the loop hung
	}
	if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 100)); err == nil {
		t.Errorf("the watchdog was fed, %d bytes, while the loop hung", n)
	}
	close(goOn)
	cancel()
	<-done
}

// TestTellStatus asserts what the service manager is told of the phones, as they
// come, change and go.
func TestTellStatus(t *testing.T) {
	c := manager(t)
	d := &muxd{log: zap.NewNop(), hub: control.NewHub(control.Config{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.tellStatus(ctx) }()
	// Several lines may be one.
	await := func(want string) {
		t.Helper()
		for {
			switch got := hears(t, c); {
			case !strings.HasPrefix(got, "STATUS="):
				t.Fatalf("want a status, got %q", got)
			case strings.HasPrefix(got, want):
				return
			}
		}
	}
	await("STATUS=No phone is plugged in.")
	d.hub.Put("1-1", control.Device{Trust: string(trust.Trusted), Name: "private"})
	d.hub.Put("1-2", control.Device{Trust: string(trust.Locked), Name: "private"})
	d.hub.Put("1-3", control.Device{Trust: string(trust.Trusted), Name: "private"})
	await("STATUS=Plugged in: 2 trusted, 1 locked (Unlock the device")
	for _, key := range []string{"1-1", "1-2", "1-3"} {
		d.hub.Remove(key)
	}
	await("STATUS=No phone is plugged in.")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestStatusLine asserts that the line names no device.
func TestStatusLine(t *testing.T) {
	udid := "00008110-000A111122223333"
	got := statusLine([]control.Device{{Trust: string(trust.DialogShown), Name: "Max's phone", UDID: &udid}})
	if strings.Contains(got, "Max") || strings.Contains(got, udid) || !strings.Contains(got, "1 dialog-shown (") || strings.Contains(got, "\n") {
		t.Errorf("got %q", got)
	}
}
