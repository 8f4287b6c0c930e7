package e2e_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gomuxd/e2e"
)

// capture starts muxctl capture into a file, and returns once it has begun. stop ends
// it in good order and returns what it says at the end.
func capture(t *testing.T, r *e2e.Rig, args ...string) (file string, stop func() string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "phone.pcapng")
	cmd := r.Command(t.Context(), "muxctl", append([]string{"capture", "-w", file}, args...)...)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := follow(pipe)
	await(t, lines, "capturing")
	return file, func() string {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		var last string
		for line := range lines {
			last = line
		}
		if err := cmd.Wait(); err != nil || !strings.Contains(last, "packets") {
			t.Fatalf("muxctl capture ended with %v, %q", err, last)
		}
		return last
	}
}

// tshark runs Debian's tshark on a file, with its own settings alone.
func tshark(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(limit(t), "tshark", args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark %v: %v, %s", args, err, errOut.String())
	}
	return string(out)
}

// conversation is what tshark re-assembles of the first TCP connection of a file.
func conversation(t *testing.T, file string) (toPhone, fromPhone []byte) {
	t.Helper()
	out := tshark(t, "-r", file, "-q", "-z", "follow,tcp,raw,0")
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		digits, answer := strings.CutPrefix(line, "\t")
		b, err := hex.DecodeString(digits)
		if err != nil || digits == "" {
			continue // the frame around it
		}
		if answer {
			fromPhone = append(fromPhone, b...)
		} else {
			toPhone = append(toPhone, b...)
		}
	}
	return toPhone, fromPhone
}

// TestCapture records a transfer, and has tshark re-assemble what went each way.
func TestCapture(t *testing.T) {
	t.Parallel()
	r := start(t, e2e.Config{})
	_, lines, _ := begin(t, r, "forward", ":7")
	echo := place(t, lines)
	data := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)

	until(t, "the phone's name is known", func() bool {
		out, err := r.Muxctl(limit(t), "list")
		return err == nil && strings.Contains(out, "Virtual iPhone")
	})
	file, stop := capture(t, r, "--port", "7")
	if got, err := through("tcp", echo, data); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("the echo differs, %v", err)
	}
	if said := stop(); strings.Contains(said, "missing") {
		t.Fatalf("packets were dropped: %s", said)
	}
	to, from := conversation(t, file)
	if !bytes.Equal(to, data) || !bytes.Equal(from, data) {
		t.Errorf("tshark finds %d bytes to the phone and %d from it; want the %d that went both ways", len(to), len(from), len(data))
	}
	if bad := tshark(t, "-r", file, "-o", "tcp.check_checksum:TRUE", "-Y", "_ws.malformed || tcp.checksum.status == 0 || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || tcp.analysis.retransmission"); bad != "" {
		t.Errorf("tshark objects to\n%.2000s", bad)
	}
	if scale := tshark(t, "-r", file, "-Y", "tcp.flags.syn == 1", "-T", "fields", "-e", "tcp.options.wscale.shift", "-e", "tcp.dstport"); !strings.HasPrefix(scale, "8\t7\n8\t") {
		t.Errorf("the SYN and its answer have %q; want windows shifted by 8", scale)
	}
	if name := tshark(t, "-r", file, "-c", "1", "-T", "fields", "-e", "frame.interface_name"); name != "Virtual iPhone\n" {
		t.Errorf("the interface is named %q", name)
	}
}

// TestCaptureStopped has a capture that is not read while much goes by: the phone's
// data is not held up, and what is missing is told.
func TestCaptureStopped(t *testing.T) {
	t.Parallel()
	r := start(t, e2e.Config{})
	_, lines, _ := begin(t, r, "forward", ":7")
	echo := place(t, lines)
	file := filepath.Join(t.TempDir(), "phone.pcapng")
	cmd := r.Command(context.WithoutCancel(t.Context()), "muxctl", "capture", "-w", file)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	words := follow(said)
	await(t, words, "capturing")
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	data := make([]byte, 12<<20)
	rand.NewChaCha8([32]byte{2}).Read(data)
	if got, err := through("tcp", echo, data); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the echo differs, %v", err)
	}
	signal(syscall.SIGCONT)
	signal(syscall.SIGINT)
	await(t, words, "are missing, since the writing was too slow")
	for range words {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("muxctl: %v", err)
	}
	if first := tshark(t, "-r", file, "-Y", "tcp.dstport == 7 && tcp.flags.syn == 1"); first == "" {
		t.Error("the file does not begin with what came before the gap")
	}
}

// TestCaptureBegunLate begins in mid-connection: what is re-assembled is what went
// since, and no SYN is made up.
func TestCaptureBegunLate(t *testing.T) {
	t.Parallel()
	r := start(t, e2e.Config{})
	_, lines, _ := begin(t, r, "forward", ":7")
	c, err := net.Dial("tcp", place(t, lines))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	exchange := func(text string) {
		t.Helper()
		got := make([]byte, len(text))
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
			t.Fatalf("echo = %q, %v", got, err)
		}
	}
	exchange("before")
	file, stop := capture(t, r, "-p", "7")
	exchange("after")
	stop()
	if to, from := conversation(t, file); string(to) != "after" || string(from) != "after" {
		t.Errorf("tshark finds %q and %q; want what went after the beginning", to, from)
	}
	if syn := tshark(t, "-r", file, "-Y", "tcp.flags.syn == 1"); syn != "" {
		t.Errorf("there is a SYN: %s", syn)
	}
}

// TestCaptureReplug records the phone's return, with the multiplexer's own packets and
// what is said to lockdownd, which is only in the file if root asks for it.
func TestCaptureReplug(t *testing.T) {
	t.Parallel()
	r := start(t, e2e.Config{})
	hidden, stopHidden := capture(t, r)
	open, stopOpen := capture(t, r, "--with-secrets")
	phone(t, r, "unplug")
	awaitAway(t, r)
	phone(t, r, "replug")
	awaitListed(t, r, 1)
	run(t, r, "DeviceName", "ideviceinfo", "-s")
	stopHidden()
	stopOpen()
	comments := tshark(t, "-r", hidden, "-T", "fields", "-e", "frame.comment", "-Y", "frame.comment")
	for _, want := range []string{"VERSION 2.0 to the device\nVERSION 2.0 from the device\nSETUP to the device\n"} {
		if !strings.Contains(comments, want) {
			t.Errorf("comments %q; want %q", comments, want)
		}
	}
	for file, shown := range map[string]bool{hidden: false, open: true} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("GetValue")) != shown {
			t.Errorf("what is said to lockdownd is in the file: %v; want %v", !shown, shown)
		}
		if cut := tshark(t, "-r", file, "-Y", "tcp.port == 62078 && frame.len > frame.cap_len"); (cut == "") != shown {
			t.Errorf("shown %v, cut packets:\n%.500s", shown, cut)
		}
	}
}

// TestCapturePiped has tshark read a capture while it is made, and go.
func TestCapturePiped(t *testing.T) {
	t.Parallel()
	r := start(t, e2e.Config{})
	_, lines, _ := begin(t, r, "forward", ":7")
	echo := place(t, lines)
	ctx, cancel := context.WithCancel(limit(t))
	defer cancel()
	from := r.Command(ctx, "muxctl", "capture", "-p", "7")
	to := exec.CommandContext(ctx, "tshark", "-l", "-i", "-", "-c", "3", "-T", "fields", "-e", "tcp.dstport")
	pipe, err := from.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	to.Stdin = pipe
	said, err := from.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := to.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	to.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := errors.Join(to.Start(), from.Start()); err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	await(t, follow(said), "capturing")
	if _, err := through("tcp", echo, []byte("x")); err != nil {
		t.Fatal(err)
	}
	seen := follow(out)
	await(t, seen, "7")
	for range seen {
	}
	if err := to.Wait(); err != nil {
		t.Errorf("tshark: %v", err)
	}
	// Nobody reads any more: the next packets tell muxctl.
	until(t, "muxctl has ended", func() bool {
		_, _ = through("tcp", echo, []byte("x"))
		return exited(from)
	})
	if err := from.Wait(); err != nil {
		t.Errorf("muxctl: %v", err)
	}
}

// exited reports whether a program has ended that nobody has waited for yet.
func exited(cmd *exec.Cmd) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	return err != nil || bytes.Contains(b, []byte(") Z "))
}
