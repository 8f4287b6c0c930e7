package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds the start and the end of a program on a slow and busy machine.
const patience = time.Minute

// process is a program that runs until it is told to end.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	err    error         // how it ended
}

// launch starts a program and waits until lines of its output have satisfied ready
// so many times, which may be none. All lines go to log, too.
func launch(cmd *exec.Cmd, log io.Writer, ready func(line string) bool, times int) (*process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout // one pipe for both
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	there := make(chan struct{})
	if times == 0 {
		close(there)
	}
	go func() { // ends with the program; exited tells
		defer close(p.exited)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(log, lines.Text())
			if times > 0 && ready(lines.Text()) {
				if times--; times == 0 {
					close(there)
				}
			}
		}
		p.err = cmd.Wait()
	}()
	select {
	case <-there:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("%s ended: %v", cmd.Path, p.err)
	case <-time.After(patience):
		p.kill()
		return nil, fmt.Errorf("%s was not ready within %v", cmd.Path, patience)
	}
}

// stop asks the program to end, and fails unless it ends well.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.cmd.Process.Signal(syscall.SIGABRT) // with all stacks in the log
		<-p.exited
		return fmt.Errorf("%s did not stop within %v", p.cmd.Path, patience)
	}
	if p.err != nil {
		return fmt.Errorf("%s ended with %w", p.cmd.Path, p.err)
	}
	return nil
}

// kill ends the program at once, as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// logbook keeps what programs have printed.
type logbook struct {
	mu   sync.Mutex // guards all below
	text strings.Builder
	copy io.Writer // nil for none
}

// Write implements io.Writer.
func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if l.copy != nil {
		return l.copy.Write(b)
	}
	return len(b), nil
}

// String is all of it.
func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
