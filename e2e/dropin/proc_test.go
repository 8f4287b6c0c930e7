package dropin_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds what a daemon is waited for, on a slow and busy machine.
const patience = time.Minute

// proc is a daemon in the foreground.
type proc struct {
	b      *box
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	stderr buffer
	stdout buffer
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// await waits until a condition holds.
func (b *box) await(what string, holds func() bool) {
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.fail("waited in vain: %s", what)
		}
	}
}

// launch starts the daemon under test, changed by how.
func (b *box) launch(args []string, how ...func(*exec.Cmd)) *proc {
	return b.launchOf(daemonPath, args, how...)
}

func (b *box) launchOf(program string, args []string, how ...func(*exec.Cmd)) *proc {
	p := &proc{b: b, cmd: exec.Command(program, args...), exited: make(chan struct{})}
	p.cmd.Dir = workDir
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	for _, h := range how {
		h(p.cmd)
	}
	b.must(p.cmd.Start())
	b.procs = append(b.procs, p)
	go func() { // close waits
		defer close(p.exited)
		_ = p.cmd.Wait() // its state says more
	}()
	return p
}

// close ends what a body has left running.
func (b *box) close() {
	for _, p := range b.procs {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.exited
	}
}

// exits runs the daemon, which must end by itself, and notes how.
func (b *box) exits(args []string, how ...func(*exec.Cmd)) { b.exitsOf(daemonPath, args, how...) }

func (b *box) exitsOf(program string, args []string, how ...func(*exec.Cmd)) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = workDir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	for _, h := range how {
		h(cmd)
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		b.fail("%s %v does not end; it printed %q", program, args, stderr.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.fail("%w", err)
	}
	b.Said = stderr.String()
	b.note("exit %s", ending(cmd.ProcessState))
	b.note("prints %s", kind(stdout.String()))
	b.note("complains in %s", lines(stderr.String()))
}

// ending is an exit code, or a signal.
func ending(s *os.ProcessState) string {
	if ws := s.Sys().(syscall.WaitStatus); ws.Signaled() {
		return "by " + ws.Signal().String()
	}
	return strconv.Itoa(s.ExitCode())
}

var versionLine = regexp.MustCompile(`^usbmuxd \d+\.\d+\.\d+(\+[0-9A-Za-z.]+)?\n$`)

// kind is what a text on standard output is.
func kind(text string) string {
	switch {
	case text == "":
		return "nothing"
	case strings.HasPrefix(text, "Usage: usbmuxd [OPTIONS]\n"):
		return "the options"
	case versionLine.MatchString(text):
		return "a version"
	}
	return fmt.Sprintf("%q", text)
}

// lines counts those of a text on standard error, in words.
func lines(text string) string {
	switch strings.Count(text, "\n") {
	case 0:
		return "no line"
	case 1:
		return "one line"
	}
	return "several lines"
}

// serves starts the daemon in the foreground, and notes whether it serves the
// default socket; if not, how it ended, and the result is nil.
func (b *box) serves(args []string, how ...func(*exec.Cmd)) *proc {
	return b.servesAt("unix", socketPath, args, how...)
}

func (b *box) servesAt(network, address string, args []string, how ...func(*exec.Cmd)) *proc {
	p := b.launch(args, how...)
	up := false
	b.await("the daemon serves or ends", func() bool {
		up = answers(network, address) == nil
		return up || p.ended()
	})
	if !up {
		b.Said = p.stderr.String()
		b.note("exit %s", ending(p.cmd.ProcessState))
		b.note("complains in %s", lines(b.Said))
		return nil
	}
	b.note("serves")
	return p
}

// ended reports whether the daemon has ended.
func (p *proc) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// ends waits for the end, and notes it.
func (p *proc) ends() {
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.b.fail("the daemon does not end; it printed %q", p.stderr.String())
	}
	p.b.note("ends with %s", ending(p.cmd.ProcessState))
}

// gets sends a signal.
func (p *proc) gets(sig syscall.Signal) { p.b.must(p.cmd.Process.Signal(sig)) }

// goesOn notes that the daemon still serves.
func (p *proc) goesOn() {
	if p.ended() {
		p.b.note("ends with %s", ending(p.cmd.ProcessState))
		return
	}
	p.b.must(answers("unix", socketPath))
	p.b.note("goes on")
}

// says waits for a text in the daemon's log.
func (p *proc) says(alternatives ...string) {
	p.b.await(fmt.Sprintf("the log says %q, has %q", alternatives, p.stderr.String()), func() bool {
		for _, text := range alternatives {
			if strings.Contains(p.stderr.String(), text) {
				return true
			}
		}
		return false
	})
}

// answers asks for the devices, as clients do, and returns nil if there is an
// answer.
func answers(network, address string) error {
	c, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	const payload = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>MessageType</key><string>ListDevices</string></dict></plist>`
	message := binary.LittleEndian.AppendUint32(nil, uint32(16+len(payload)))
	message = binary.LittleEndian.AppendUint32(message, 1)
	message = binary.LittleEndian.AppendUint32(message, 8)
	message = binary.LittleEndian.AppendUint32(message, 1)
	if _, err := c.Write(append(message, payload...)); err != nil {
		return err
	}
	var head [16]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	reply := make([]byte, binary.LittleEndian.Uint32(head[:])-16)
	if _, err := io.ReadFull(c, reply); err != nil {
		return err
	}
	if !bytes.Contains(reply, []byte("DeviceList")) {
		return fmt.Errorf("answer to ListDevices: %s", reply)
	}
	return nil
}

// pid is the process id in a pid file.
func (b *box) pid(path string) int {
	text, err := os.ReadFile(path)
	b.must(err)
	n, err := strconv.Atoi(string(text))
	b.must(err)
	return n
}

// holder is the process that has a lock on the whole file, as fcntl tells; 0 for
// none.
func (b *box) holder(path string) int {
	f, err := os.Open(path)
	b.must(err)
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK}
	b.must(unix.FcntlFlock(f.Fd(), unix.F_GETLK, &l))
	if l.Type == unix.F_UNLCK {
		return 0
	}
	return int(l.Pid)
}

// file notes what a path is.
func (b *box) file(path string) {
	name := filepath.Base(path)
	st, err := os.Lstat(path)
	if err != nil {
		b.note("%s: none", name)
		return
	}
	owner := st.Sys().(*syscall.Stat_t)
	b.note("%s: %v %d:%d", name, st.Mode(), owner.Uid, owner.Gid)
}

// task reads the fields of interest of a process, or one of its threads.
func (b *box) task(dir string, fields ...string) (values []string) {
	text, err := os.ReadFile(filepath.Join(dir, "status"))
	b.must(err)
	for _, f := range fields {
		m := regexp.MustCompile(`(?m)^` + f + `:\s*(.*?)\s*$`).FindStringSubmatch(string(text))
		if m == nil {
			b.fail("no %s in %s", f, text)
		}
		values = append(values, strings.Join(strings.Fields(m[1]), " "))
	}
	return values
}

// gone waits until a process is no more.
func (b *box) gone(pid int) {
	b.await(fmt.Sprintf("process %d is gone", pid), func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}
