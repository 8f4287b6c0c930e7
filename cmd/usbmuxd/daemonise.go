package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Go process cannot fork and go on, so the daemon starts itself again, in a
// session of its own, and waits for its word over a pipe:
//
//	parent ── starts itself ──▶ child: locks, listens, looks for phones
//	   │                          │
//	   ◀──── "0" and the end ─────┤ is up
//	   ◀──── "1 why" and the end ─┘ is not
//	exits with that code
//
// statusVariable tells the child which descriptor the pipe has.
const statusVariable = "USBMUXD_STATUS_FD"

// mustStay reports whether this process must not leave itself behind: it is to
// stay in the foreground, or whoever has started it waits for its end.
func (s *settings) mustStay() bool {
	return s.Foreground || os.Getpid() == 1 || os.Getppid() == 1 || activated()
}

// daemonise starts this program again with the same arguments and returns the
// exit code for this process: 0 once the other one is up.
func daemonise(args []string, stderr io.Writer) int {
	code, message, err := startChild(args)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "usbmuxd: cannot go to the background: %v; start it with --foreground\n", err)
		return exitFailure
	case message != "":
		fmt.Fprintln(stderr, message)
	}
	return code
}

func startChild(args []string) (code int, message string, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, "", err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return 0, "", err
	}
	defer read.Close()
	cmd := exec.Command(program, args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), statusVariable+"=3")
	cmd.ExtraFiles = []*os.File{write}
	cmd.Stderr = os.Stderr // until it is up: a crash must be seen
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// What a script has open is not for the daemon, which would hold its locks
	// and pipes for ever. Kernels before 5.11 cannot do that.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	err = cmd.Start()
	write.Close()
	if err != nil {
		return 0, "", err
	}
	word, err := io.ReadAll(read)
	if err != nil {
		return 0, "", err
	}
	number, message, _ := strings.Cut(string(bytes.TrimSpace(word)), " ")
	code, err = strconv.Atoi(number)
	if err != nil { // it has said nothing
		_ = cmd.Wait() // its state says more
		return 0, "", fmt.Errorf("the daemon ended before it was up: %v", cmd.ProcessState)
	}
	return code, message, nil
}

// status is the pipe to the process that has started this one and waits for its
// word; nil if nobody does.
type status struct{ pipe *os.File }

// inheritStatus takes the pipe over.
func inheritStatus() *status {
	fd, err := strconv.Atoi(os.Getenv(statusVariable))
	os.Unsetenv(statusVariable)
	if err != nil || fd <= unix.Stderr {
		return nil
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil
	}
	unix.CloseOnExec(fd)
	return &status{os.NewFile(uintptr(fd), "status")}
}

// tell says with which code, and message, the waiting process is to exit. Only
// the first word counts.
func (s *status) tell(code int, message string) {
	fmt.Fprintf(s.pipe, "%d %s", code, message) // it may have been killed
	s.pipe.Close()
}

// detach lets go of what belongs to whoever has started the daemon: the working
// directory and standard error, which becomes the log file if there is one.
func detach(log *os.File) error {
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if log == nil {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer null.Close()
		log = null
	}
	return unix.Dup3(int(log.Fd()), unix.Stderr, 0)
}
