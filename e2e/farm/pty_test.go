package farm

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// typescript is what a program has written to its terminal.
type typescript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	pty     *os.File
	wide    bool
	changed chan struct{} // capacity 1
}

func (s *typescript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return s.text.Write(b)
}

// wait waits until a text comes, and forgets all before it and itself. Of a picture
// only what has changed is written, and all of it when the terminal changes its size:
// so it does now and then.
func (s *typescript) wait(t *testing.T, want string) {
	t.Helper()
	redraw := time.NewTicker(700 * time.Millisecond)
	defer redraw.Stop()
	for deadline := time.After(time.Minute); ; {
		s.mu.Lock()
		got := s.text.String()
		if i := strings.Index(got, want); i >= 0 {
			s.text.Next(i + len(want))
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		select {
		case <-s.changed:
		case <-redraw.C:
			s.wide = !s.wide
			size := unix.Winsize{Row: 24, Col: 80}
			if s.wide {
				size.Col++
			}
			if err := unix.IoctlSetWinsize(int(s.pty.Fd()), unix.TIOCSWINSZ, &size); err != nil {
				t.Fatal(err)
			}
		case <-deadline:
			t.Fatalf("%q does not come, but %q", want, got[max(0, len(got)-2000):])
		}
	}
}

// TestTop uses muxctl top on a terminal, before the real daemon.
func TestTop(t *testing.T) {
	if testing.Short() {
		t.Skip("a farm")
	}
	f := start(t, 12)
	await(t, f)
	pty, tty, err := Terminal(80, 24)
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	defer tty.Close()
	cmd := f.Command(context.Background(), "muxctl", "top")
	cmd.Env = append(cmd.Env, "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	seen := &typescript{pty: pty, changed: make(chan struct{}, 1)}
	go func() { // ends with the terminal
		b := make([]byte, 4096)
		for {
			n, err := pty.Read(b)
			_, _ = seen.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	press := func(keys string) {
		t.Helper()
		if _, err := pty.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	seen.wait(t, "12 phones")
	seen.wait(t, "Clara")
	press("/clara\r")
	seen.wait(t, "tapped Don't Trust")
	press("\x1b")
	seen.wait(t, "Front desk")
	press("/anna\r")
	seen.wait(t, f.Phones[0].UDID())
	press("c")
	seen.wait(t, "\x1b]52;c;"+base64.StdEncoding.EncodeToString([]byte(f.Phones[0].UDID()))+"\a")
	seen.wait(t, "Copied")
	f.Phones[0].Unplug()
	seen.wait(t, "11 phones")
	seen.wait(t, "No phone is like that")
	press("\x1b")
	seen.wait(t, "Front desk")
	press("/kiosk\r")
	seen.wait(t, "not-asked")
	press("t")
	seen.wait(t, "Kiosk 01 is asked")
	seen.wait(t, "trusted")
	if err := f.Shutdown(); err != nil {
		t.Fatal(err)
	}
	seen.wait(t, "No daemon")
	if err := f.Launch(); err != nil {
		t.Fatal(err)
	}
	seen.wait(t, "11 phones")
	press("q")
	seen.wait(t, "\x1b[?1049l") // the other screen is back
	if err := <-ended; err != nil {
		t.Errorf("muxctl top: %v", err)
	}
	if after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); err != nil || *after != *before {
		t.Errorf("the terminal is not as it was: %v", err)
	}
}
