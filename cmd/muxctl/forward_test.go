package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomuxd/control"
	"gomuxd/socket"
)

func TestParsePair(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want pair // no port for an error
	}{
		{"2222:22", pair{"tcp", "127.0.0.1:2222", 22}},
		{"0:22", pair{"tcp", "127.0.0.1:0", 22}},
		{":22", pair{"tcp", "127.0.0.1:0", 22}},
		{"localhost:80:8080", pair{"tcp", "localhost:80", 8080}},
		{"*:80:8080", pair{"tcp", ":80", 8080}},
		{"[::1]:80:8080", pair{"tcp", "[::1]:80", 8080}},
		{"/tmp/a:b:62078", pair{"unix", "/tmp/a:b", 62078}},
		{"./s:1", pair{"unix", "./s", 1}},
		{"unix:s:1", pair{"unix", "s", 1}},
		{"22", pair{}},
		{"1:0", pair{}},
		{"1:65536", pair{}},
		{"65536:1", pair{}},
		{"socket:1", pair{}},
		{"1:", pair{}},
		{"", pair{}},
	} {
		got, err := parsePair(tt.in)
		if got != tt.want || (err != nil) != (tt.want.port == 0) {
			t.Errorf("parsePair(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
}

// ports is a phone whose services are functions.
type ports map[uint16]func(*net.TCPConn)

func (p ports) Dial(_ context.Context, port uint16) (socket.Conn, error) {
	serve := p[port]
	if serve == nil {
		return nil, syscall.ECONNREFUSED
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	far, err := l.Accept()
	if err != nil {
		near.Close()
		return nil, err
	}
	go func() { // ends with the connection
		defer far.Close()
		serve(far.(*net.TCPConn))
	}()
	return near.(*net.TCPConn), nil
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

func (l *lab) plug(p ports) uint32 {
	l.t.Helper()
	id, err := l.reg.Attach(socket.Info{UDID: annaUDID, ProductID: 0x12a8, LocationID: 0x10004, Speed: 480e6}, p)
	if err != nil {
		l.t.Fatal(err)
	}
	return id
}

// forward starts muxctl forward, and returns the places where it listens.
func (l *lab) forward(args ...string) (places []string, stop func()) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan int, 1)
	go func() {
		code, _, _ := l.runContext(ctx, append([]string{"forward"}, args...)...)
		done <- code
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if code := <-done; code != exitOK {
			l.t.Errorf("forward = %d; want %d, %s", code, exitOK, l.errOut.String())
		}
	})
	l.t.Cleanup(stop)
	pairs := 0
	for _, arg := range args {
		if _, err := parsePair(arg); err == nil {
			pairs++
		}
	}
	l.eventually(func() bool { return strings.Count(l.out.String(), "\n") == pairs })
	for line := range strings.Lines(l.out.String()) {
		place, _, _ := strings.Cut(line, " -> ")
		places = append(places, place)
	}
	return places, stop
}

func (l *lab) eventually(ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("it did not come to pass; standard output %q, error %q", l.out.String(), l.errOut.String())
		}
	}
}

func dialPlace(t *testing.T, place string) net.Conn {
	t.Helper()
	network := "tcp"
	if strings.Contains(place, "/") {
		network = "unix"
	}
	c, err := net.Dial(network, place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// wantReset asserts that a connection is reset, which may be before it is known to
// have been made.
func wantReset(t *testing.T, place string) {
	t.Helper()
	c, err := net.Dial("tcp", place)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection to %s: %v; want a reset", place, err)
	}
}

// exchange sends data, shuts down writing and reads all that comes back.
func exchange(c net.Conn, data []byte) ([]byte, error) {
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	return got, errors.Join(err, <-sent)
}

func TestForward(t *testing.T) {
	l := newLab(t)
	l.serveSocket()
	sum := func(c *net.TCPConn) { // answers after the end of what it gets
		h := sha256.New()
		if _, err := io.Copy(h, c); err == nil {
			_, _ = c.Write(h.Sum(nil))
		}
	}
	id := l.plug(ports{7: echo, 10: sum})
	unixPlace := filepath.Join(t.TempDir(), "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: unixPlace})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	places, stop := l.forward("0000811", ":7", "0:10", ":9", unixPlace+":7")

	data := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{}).Read(data)
	for _, place := range []string{places[0], places[3]} {
		c := dialPlace(t, place)
		got := make([]byte, len(data))
		sent := make(chan error, 1)
		go func() { _, err := c.Write(data); sent <- err }()
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) || <-sent != nil {
			t.Errorf("echo by %s differs, %v", place, err)
		}
		c.Close()
	}
	want := sha256.Sum256(data)
	if got, err := exchange(dialPlace(t, places[1]), data); err != nil || !bytes.Equal(got, want[:]) {
		t.Errorf("answer after the half-close: %x, %v; want %x", got, err, want)
	}

	for range 3 {
		wantReset(t, places[2])
	}
	if got := strings.Count(l.errOut.String(), "nothing listens on port 9 there"); got != 1 {
		t.Errorf("the refusal was told %d times; want once: %q", got, l.errOut.String())
	}

	l.reg.Detach(id)
	l.eventually(func() bool { return strings.Contains(l.errOut.String(), "unplugged") })
	if !strings.Contains(l.errOut.String(), "the same 2 more times") {
		t.Errorf("repetitions are not counted: %q", l.errOut.String())
	}
	wantReset(t, places[0])
	l.eventually(func() bool { return strings.Contains(l.errOut.String(), "is not plugged in: plug it in") })
	l.plug(ports{7: echo})
	c := dialPlace(t, places[0])
	if _, err := c.Write([]byte("again")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "again" {
		t.Errorf("after the replug: %q, %v", got, err)
	}
	l.eventually(func() bool { return strings.Contains(l.errOut.String(), "is back") })

	stop()
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("at the end: %v", err)
	}
	if _, err := os.Lstat(unixPlace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// TestForwardHangUp asserts that a program that closes its end has the phone's end
// closed, also when nothing flows, and that nothing is left of many connections.
func TestForwardHangUp(t *testing.T) {
	l := newLab(t)
	l.serveSocket()
	closed := make(chan struct{}, 1000)
	silent := func(c *net.TCPConn) {
		_, _ = io.Copy(io.Discard, c)
		closed <- struct{}{}
	}
	l.plug(ports{7: echo, 8: silent})
	unixPlace := filepath.Join(t.TempDir(), "s")
	places, stop := l.forward(":7", ":8", unixPlace+":8")
	files := func() int {
		runtime.GC() // package net keeps the pipes of splice(2) for a while
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := files()
	const parallel = 200
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() {
			data := bytes.Repeat([]byte(fmt.Sprintf("%4d", i)), 10_000)
			c, err := net.Dial("tcp", places[0])
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			if got, err := exchange(c, data); err != nil || !bytes.Equal(got, data) {
				t.Errorf("connection %d: %d bytes of %d, %v", i, len(got), len(data), err)
			}
		})
	}
	wg.Wait()
	for range 20 {
		dialPlace(t, unixPlace).Close()
		c := dialPlace(t, places[1])
		_ = c.(*net.TCPConn).SetLinger(0) // a close without it looks like shutting down until a keep-alive probe
		c.Close()
	}
	for range 40 {
		select {
		case <-closed:
		case <-time.After(patience):
			t.Fatal("the phone's end stays open")
		}
	}
	l.eventually(func() bool { return files() <= before })
	stop()
}

func TestForwardErrors(t *testing.T) {
	l := newLab(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if code, _, errOut := l.run("forward", ":22"); code != exitNoDaemon {
		t.Errorf("without a daemon = %d, %q", code, errOut)
	}
	l.serveSocket()
	if code, _, errOut := l.run("forward", ":22"); code != exitNoSuch || !strings.Contains(errOut, "plug one in") {
		t.Errorf("without a phone = %d, %q", code, errOut)
	}
	l.plug(ports{})
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	if code, _, errOut := l.run("forward", port+":22"); code != exitFailed || !strings.Contains(errOut, "choose another place") {
		t.Errorf("a port in use = %d, %q", code, errOut)
	}
	l.attach(boUDID, "Bo")
	if code, _, errOut := l.run("forward", ":22"); code != exitUsage || !strings.Contains(errOut, "name one of them") {
		t.Errorf("two phones = %d, %q", code, errOut)
	}
	l.serveControl()
	l.hub.Put("r", recovery())
	if code, _, errOut := l.run("forward", "2-1", ":22"); code != exitRefused || !strings.Contains(errOut, "recovery") {
		t.Errorf("in recovery mode = %d, %q", code, errOut)
	}
}

// TestForwardStatus has the phone, named by its whole UDID, plugged in later, and
// looks at the line that a terminal shows.
func TestForwardStatus(t *testing.T) {
	l := newLab(t)
	l.serveSocket()
	l.terminal, l.app.beat = true, time.Millisecond
	absent := control.Device{UDID: ptr(annaUDID)}
	places, stop := l.forward(annaUDID, ":7")
	if !strings.Contains(l.errOut.String(), title(absent)+" is not plugged in") {
		t.Errorf("%q", l.errOut.String())
	}
	l.plug(ports{7: echo})
	c := dialPlace(t, places[0])
	if _, err := c.Write(make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	l.eventually(func() bool { return strings.Contains(l.errOut.String(), "1 open, 0 B/s out, 0 B/s in, 10 kB in all") })
	stop()
	if !strings.HasSuffix(l.errOut.String(), "1 connections, 5.0 kB to "+annaUDID+", 5.0 kB from it\n") {
		t.Errorf("%q", l.errOut.String())
	}
}

func TestProxy(t *testing.T) {
	l := newLab(t)
	l.serveSocket()
	l.plug(ports{7: echo})
	code, out, errOut := l.run("proxy", "7", "9", "--", "sh", "-c",
		`test "$MUXCTL_PORT" = "$MUXCTL_PORT_7" && echo $MUXCTL_HOST $MUXCTL_PORT $MUXCTL_PORT_9 $MUXCTL_UDID; exit 37`)
	var host, udid string
	var port, other int
	if n, err := fmt.Sscan(out, &host, &port, &other, &udid); n != 4 || code != 37 || errOut != "" {
		t.Fatalf("proxy = %d, %q, %q, %v; want 37", code, out, errOut, err)
	}
	if host != "127.0.0.1" || udid != annaUDID || port == 0 || other == 0 || port == other {
		t.Errorf("environment: %q", out)
	}
	if c, err := net.Dial("tcp", fmt.Sprint(host, ":", port)); err == nil {
		c.Close()
		t.Error("the port outlives the command")
	}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"7 -- true", exitOK, ""},
		{annaUDID + " 7 -- false", 1, ""},
		{"7 -- sh -c kill_-9_$$", 128 + 9, ""},
		{"7 -- ./nonesuch", exitNoCommand, "correct the command"},
		{"7 -- /dev/null", exitCannotRun, "correct the command"},
		{"7 true", exitUsage, "after --"},
		{"7 --", exitUsage, "after --"},
		{"-- true", exitUsage, "no port"},
		{"7 x -- true", exitUsage, `"x"`},
		{"ffffffff 7 -- true", exitNoSuch, "no device"},
	} {
		args := strings.Fields("proxy " + tt.args)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "_", " ")
		}
		code, _, errOut := l.run(args...)
		if code != tt.code || !strings.Contains(errOut, tt.want) {
			t.Errorf("proxy %s = %d, %q; want %d, %q", tt.args, code, errOut, tt.code, tt.want)
		}
	}
}
