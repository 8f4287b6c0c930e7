package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomuxd/e2e"
)

// begin starts muxctl, gives its lines, and has it end well at the end of the test.
func begin(t *testing.T, r *e2e.Rig, args ...string) (cmd *exec.Cmd, out <-chan string, stop func()) {
	t.Helper()
	cmd = r.Command(context.WithoutCancel(t.Context()), "muxctl", args...) // its end is in order
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := follow(pipe)
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		for range lines {
		}
		if err := cmd.Wait(); err != nil || strings.Contains(errOut.String(), "DATA RACE") {
			t.Errorf("muxctl %v: %v\n%s", args, err, errOut.String())
		}
	})
	t.Cleanup(stop)
	return cmd, lines, stop
}

// place is where a line of muxctl forward says that it listens.
func place(t *testing.T, lines <-chan string) string {
	t.Helper()
	select {
	case line := <-lines:
		where, _, ok := strings.Cut(line, " -> ")
		if !ok {
			t.Fatalf("odd line %q", line)
		}
		return where
	case <-time.After(time.Minute):
		t.Fatal("no line within a minute")
	}
	return ""
}

// through sends data to an echo and returns what comes back of it.
func through(network, address string, data []byte) ([]byte, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- err
	}()
	got := make([]byte, len(data))
	_, err = io.ReadFull(c, got)
	return got, errors.Join(err, <-sent)
}

func TestForward(t *testing.T) {
	t.Parallel()
	r := start(t, e2e.Config{})
	unixPlace := filepath.Join(t.TempDir(), "echo")
	_, lines, stop := begin(t, r, "forward", ":7", unixPlace+":7", ":4")
	echo := place(t, lines)
	if got := place(t, lines); got != unixPlace {
		t.Fatalf("the second line is of %q", got)
	}
	nothing := place(t, lines)

	const parallel = 200
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() {
			network, address := "tcp", echo
			if i%2 == 1 {
				network, address = "unix", unixPlace
			}
			data := bytes.Repeat([]byte(fmt.Sprintf("%5d", i)), 20_000)
			if got, err := through(network, address, data); err != nil || !bytes.Equal(got, data) {
				t.Errorf("connection %d: the echo differs, %v", i, err)
			}
		})
	}
	wg.Wait()

	c, err := net.Dial("tcp", nothing)
	if err == nil {
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a port that nothing listens on: %v; want a reset", err)
	}

	phone(t, r, "unplug")
	until(t, "the phone is away", func() bool {
		got, err := through("tcp", echo, []byte("x"))
		return err != nil && string(got) != "x"
	})
	phone(t, r, "replug")
	until(t, "the phone is back", func() bool {
		got, err := through("tcp", echo, []byte("x"))
		return err == nil && string(got) == "x"
	})
	if err := errors.Join(r.Shutdown(), r.Launch()); err != nil {
		t.Fatal(err)
	}
	until(t, "the daemon is back, with the phone", func() bool {
		got, err := through("tcp", echo, []byte("x"))
		return err == nil && string(got) == "x"
	})
	stop()
	if _, err := net.Dial("tcp", echo); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the end: %v; want a refusal", err)
	}
}

// until waits for what only polling shows.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	r := start(t, e2e.Config{})
	cmd := r.Command(t.Context(), "muxctl", "proxy", "7", "--", "sh", "-c",
		`trap 'echo told; exit 9' TERM; echo port $MUXCTL_PORT; while :; do sleep 0.05; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the command says nothing")
	}
	port, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "port "))
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if got, err := through("tcp", address, []byte("hello")); err != nil || string(got) != "hello" {
		t.Errorf("echo = %q, %v", got, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != "told" {
		t.Errorf("the command was not told of the signal: %q", lines.Text())
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Errorf("muxctl ended with %v; want the command's exit code, 9", err)
	}
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the end: %v; want a refusal", err)
	}
}
