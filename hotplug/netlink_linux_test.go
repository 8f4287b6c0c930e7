package hotplug

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// trigger makes the kernel send an event about /dev/null.
const trigger = "/sys/devices/virtual/mem/null/uevent"

// poke writes to trigger or skips the test.
func poke(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(trigger, os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("no kernel event to be had: %v", err)
	}
	defer f.Close()
	if _, err := f.WriteString("change"); err != nil {
		t.Skipf("no kernel event to be had: %v", err)
	}
}

// openReal opens a socket or skips the test. It is closed with the test.
func openReal(t *testing.T) *netlink {
	t.Helper()
	src, err := openNetlink()
	if err != nil {
		t.Skipf("no netlink here: %v", err)
	}
	t.Cleanup(func() { src.close() })
	// Should an expected event not come, the test fails instead of hanging.
	s := src.(*netlink)
	if err := s.file.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return s
}

// leakCheck fails the test if it leaves more goroutines or descriptors than it found.
func leakCheck(t *testing.T) {
	t.Helper()
	count := func() (int, int) {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return runtime.NumGoroutine(), len(fds)
	}
	os.Open("/nonexistent") // lets the runtime open its poller
	goroutines, fds := count()
	t.Cleanup(func() {
		for range 1000 { // a goroutine that is done may not be off the list yet
			if g, _ := count(); g <= goroutines {
				break
			}
			runtime.Gosched()
			time.Sleep(time.Millisecond)
		}
		if g, f := count(); g > goroutines || f > fds {
			t.Errorf("%d goroutines, %d descriptors; want %d, %d", g, f, goroutines, fds)
		}
	})
}

func TestKernelEvent(t *testing.T) {
	s := openReal(t)
	poke(t)
	for {
		msg, from, err := s.receive()
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		if !strings.HasPrefix(string(msg), "change@/devices/virtual/mem/null\x00") {
			continue // somebody else's
		}
		if from.port != 0 || !from.creds || from.uid != 0 || from.truncated || !from.trusted(msg) {
			t.Errorf("sender = %+v; want the kernel", from)
		}
		if _, ok, err := parseUevent(msg, isApple); ok || err != nil {
			t.Errorf("parseUevent = %v, %v; want not ours", ok, err)
		}
		return
	}
}

func TestReceiveDoesNotAllocate(t *testing.T) {
	s := openReal(t)
	for range 50 {
		poke(t)
	}
	if n := testing.AllocsPerRun(40, func() {
		if _, _, err := s.receive(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for each message; want 0", n)
	}
}

func TestKernelOverflow(t *testing.T) {
	s := openReal(t)
	if err := s.conn.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		poke(t)
	}
	lost := false
	for {
		_, _, err := s.receive()
		switch {
		case errors.Is(err, errLost):
			lost = true
		case errors.Is(err, errDrained):
			if !lost {
				t.Error("drained before anything was lost")
			}
			return
		case err != nil:
			t.Fatalf("receive = %v", err)
		}
	}
}

func TestTruncated(t *testing.T) {
	s := openReal(t)
	poke(t)
	s.short = 16
	_, from, err := s.receive()
	if err != nil || !from.truncated {
		t.Errorf("receive = %+v, %v; want a truncated message", from, err)
	}
}

func TestCloseUnblocksReceive(t *testing.T) {
	leakCheck(t)
	src, err := openNetlink()
	if err != nil {
		t.Skipf("no netlink here: %v", err)
	}
	done := make(chan error)
	go func() {
		for {
			if _, _, err := src.receive(); err != nil {
				done <- err
				return
			}
		}
	}()
	runtime.Gosched()
	src.close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("receive = %v; want os.ErrClosed", err)
	}
}

func TestClockCloseUnblocksWait(t *testing.T) {
	leakCheck(t)
	c, err := openClock()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- c.wait() }()
	runtime.Gosched()
	c.close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("wait = %v; want os.ErrClosed", err)
	}
}

// The real thing on this machine, whatever is plugged into it.
func TestRunOnThisMachine(t *testing.T) {
	leakCheck(t)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		events, done := make(chan Event), make(chan error)
		go func() { done <- New(Config{}).Run(ctx, events) }()
		for ev := range events {
			if ev.Action == Scanned {
				break
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatalf("Run = %v; want nil", err)
		}
	}
}
