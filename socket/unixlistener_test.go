package socket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// ownSocket opens a socket of the test's own.
func ownSocket(t *testing.T) (l net.Listener, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := Listen(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}

// net/http, which serves the control socket, goes on after errors of this type only.
func TestAcceptWithoutDescriptors(t *testing.T) {
	l, path := ownSocket(t)
	client, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(client)
	enough := lowLimit(t, 0)
	if err := syscall.Connect(client, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	_, err = l.Accept()
	var asked interface{ Temporary() bool } // by net/http
	if !errors.Is(err, syscall.EMFILE) || !errors.As(err, &asked) || !asked.Temporary() {
		t.Errorf("Accept = %v, want a temporary EMFILE", err)
	}
	enough()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestListenWithoutDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for free := range 8 {
		enough := lowLimit(t, free)
		l, err := Listen(path, 0)
		_, serr := os.Lstat(path)
		enough()
		if (err == nil) != (serr == nil) {
			t.Errorf("with %d descriptors: Listen = %v, and the file: %v", free, err, serr)
		}
		if err == nil {
			l.Close()
		}
	}
}

// A socket that was passed to the process may be made to block by others who have it.
// The process does not stop for that.
func TestSharedListenerBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	f, err := first.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := syscall.SetNonblock(int(f.Fd()), false); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{})
	accepted := make(chan error, 1)
	go func() {
		close(waiting)
		conn, err := l.Accept()
		if err == nil {
			conn.Close()
		}
		accepted <- err
	}()
	<-waiting
	for range 10 { // each waits for all goroutines to stop
		runtime.GC()
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
}

// A server that is closed has no reason to wonder about its clients' hang-ups.
func TestCloseBesideSlowClient(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	h := r.dial()
	p := h.connect(d, r.attach(d), 1)
	p.send(make([]byte, 4<<20))
	p.await(t, "a part taken", func() bool { return len(p.down) < 4<<20 })
	r.srv.Close()
	if n := r.logs.FilterMessage("client's hang-up will go unseen").Len(); n > 0 {
		t.Errorf("logged %d times", n)
	}
}

// Timeouts are what package net makes of them.
func TestUnixConnTimeouts(t *testing.T) {
	l, path := ownSocket(t)
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Unix(1, 0))
	for name, op := range map[string]func([]byte) (int, error){"read": c.Read, "write": c.Write} {
		if _, err := op(make([]byte, 4<<20)); err != os.ErrDeadlineExceeded {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Close()
	for name, op := range map[string]func([]byte) (int, error){"read": c.Read, "write": c.Write} {
		if _, err := op(make([]byte, 1)); err != net.ErrClosed {
			t.Errorf("%s when closed: %v", name, err)
		}
	}
}
