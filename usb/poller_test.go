package usb

import (
	"errors"
	"os"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fullPipe is a node on the writing end of a pipe that is full: it becomes
// writable, at the edge, as usbfs does at a completion.
func fullPipe(t *testing.T) (n *node, reader int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]) })
	n = &node{fd: fds[1]}
	if err := n.poll("pipe"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.close() })
	for {
		if _, err := unix.Write(n.fd, make([]byte, 4096)); err != nil {
			return n, fds[0]
		}
	}
}

func drain(t *testing.T, fd int) {
	t.Helper()
	for {
		if _, err := unix.Read(fd, make([]byte, 4096)); err != nil {
			return
		}
	}
}

func TestWaitWakesAtTheEdge(t *testing.T) {
	n, reader := fullPipe(t)
	for range 100 {
		calls, done := make(chan struct{}, 10), make(chan error, 1)
		go func() {
			done <- n.wait(func(uintptr) bool {
				calls <- struct{}{}
				// As reaping does, this takes all there is.
				wrote := false
				for {
					if _, err := unix.Write(n.fd, make([]byte, 4096)); err != nil {
						return wrote
					}
					wrote = true
				}
			})
		}()
		<-calls
		drain(t, reader)
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("wait = %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the edge was lost")
		}
	}
}

func TestInterruptEndsWaits(t *testing.T) {
	n, _ := fullPipe(t)
	done := make(chan error, 1)
	called := make(chan struct{}, 10)
	wait := func() {
		done <- n.wait(func(uintptr) bool { called <- struct{}{}; return false })
	}
	go wait()
	<-called
	n.interrupt(time.Unix(1, 0))
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wait = %v, want os.ErrDeadlineExceeded", err)
	}
	go wait() // and every later one
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wait = %v, want os.ErrDeadlineExceeded", err)
	}
	n.interrupt(time.Now().Add(10 * time.Millisecond))
	go wait()
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wait = %v, want os.ErrDeadlineExceeded", err)
	}
}

// The numbers and layouts of linux/usbdevice_fs.h, for the most common
// architectures.
func TestRequests(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 || iocRead != 0x80000000 {
		t.Skip("another architecture")
	}
	for _, tt := range []struct {
		name      string
		want, got uintptr
	}{
		{"CONTROL", 0xc0185500, reqControl},
		{"SETCONFIGURATION", 0x80045505, reqSetConfig},
		{"GETDRIVER", 0x41045508, reqGetDriver},
		{"SUBMITURB", 0x8038550a, reqSubmitURB},
		{"DISCARDURB", 0x550b, reqDiscardURB},
		{"REAPURBNDELAY", 0x4008550d, reqReapURBNDelay},
		{"CLAIMINTERFACE", 0x8004550f, reqClaimInterface},
		{"RELEASEINTERFACE", 0x80045510, reqReleaseIface},
		{"IOCTL", 0xc0105512, reqIoctl},
		{"CLEAR_HALT", 0x80045515, reqClearHalt},
		{"DISCONNECT", 0x5516, reqDisconnect},
		{"GET_CAPABILITIES", 0x8004551a, reqGetCapabilities},
		{"urb.buffer", 16, unsafe.Offsetof(urb{}.buffer)},
		{"urb.actual_length", 28, unsafe.Offsetof(urb{}.actualLength)},
		{"urb.usercontext", 48, unsafe.Offsetof(urb{}.userContext)},
		{"the frame's urb", 0, unsafe.Offsetof(frame{}.urb)},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %#x, want %#x", tt.name, tt.got, tt.want)
		}
	}
}

// A descriptor that is no usbfs node refuses every request with ENOTTY; nothing
// may crash, and what must not fail does not.
func TestNodeOnSomethingElse(t *testing.T) {
	n, err := openNode("/dev/null")
	if err != nil {
		t.Skip(err)
	}
	defer n.close()
	f := newFrame(n, testIn, 512)
	if f.mapped || len(f.buf) != 512 {
		t.Errorf("frame of %d bytes, mapped %v", len(f.buf), f.mapped)
	}
	f.prepare(512, 0)
	if errno := n.submit(f); errno != unix.ENOTTY {
		t.Errorf("submit = %v, want ENOTTY", errno)
	}
	if n.careful == 0 {
		t.Error("not careful after a refusal")
	}
	if _, errno := n.reap(); errno != unix.ENOTTY {
		t.Errorf("reap = %v, want ENOTTY", errno)
	}
	if errno := n.claim(1); errno != unix.ENOTTY {
		t.Errorf("claim = %v, want ENOTTY", errno)
	}
	if d := n.driver(1); d != "" {
		t.Errorf("driver = %q", d)
	}
}

func TestOpenNodeErrors(t *testing.T) {
	_, err := openNode("/nonexistent/001/002")
	if err = openError(Address{Node: "/nonexistent/001/002"}, err); !errors.Is(err, ErrGone) {
		t.Errorf("missing node: %v, want ErrGone", err)
	}
	node := t.TempDir() + "/node"
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err = openError(Address{Node: node}, &os.PathError{Op: "open", Path: node, Err: unix.EACCES})
	if !errors.Is(err, ErrPermission) {
		t.Errorf("no permission: %v, want ErrPermission", err)
	}
	t.Log(err)
}
