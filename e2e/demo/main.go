// Command demo shows the daemon at work: Debian's libimobiledevice tools list,
// pair, query and transfer through it, with a virtual iPhone at the other end.
// It needs no phone and no USB, uses a socket and directories of its own, and
// leaves nothing behind. It exits non-zero if any step fails.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"gomuxd/e2e"
)

func main() {
	logFile := flag.String("log", "", "also write the daemon's log to `FILE`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *logFile); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, logFile string) (err error) {
	dir, err := os.MkdirTemp("", "gomuxd-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	fmt.Println("Building the daemon and a virtual iPhone ...")
	bin, err := e2e.Build(ctx, dir, false)
	if err != nil {
		return err
	}
	cfg := e2e.Config{Dir: dir, Passcode: "1234"}
	if logFile != "" {
		f, err := os.Create(logFile)
		if err != nil {
			return err
		}
		defer f.Close()
		cfg.Log = f
	}
	start := time.Now()
	rig, err := e2e.Start(bin, cfg)
	if err != nil {
		return err
	}
	s := &show{rig: rig, dir: dir}
	fmt.Printf("\nThe daemon (process %d) serves %s.\nA virtual iPhone is plugged in. All that follows is done by the tools that\npeople use every day, unchanged; only the socket's address is given to them.\n", rig.Pid(), rig.Socket)

	for _, step := range []func(context.Context) error{
		s.list, s.pair, s.query, s.files, s.sink, s.source, s.replug, s.untrust,
	} {
		if err = step(ctx); err != nil {
			break
		}
	}
	// Whatever happened: the phone's verdict, and an orderly stop.
	violations, verr := rig.Phone(context.WithoutCancel(ctx), "violations")
	stopErr := rig.Stop()
	if err == nil && verr != nil {
		err = verr
	}
	if err == nil {
		err = stopErr
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nThe daemon's log:\n%s", rig.Log())
		return err
	}
	fmt.Printf("\nSummary, after %.0f s:\n", time.Since(start).Seconds())
	for _, line := range s.summary {
		fmt.Println("  ok  " + line)
	}
	fmt.Printf("  ok  the phone counted the host's mistakes: %s\n", violations)
	fmt.Println("  ok  the daemon stopped cleanly; nothing is left behind")
	return nil
}

// show is the sequence of steps.
type show struct {
	rig     *e2e.Rig
	dir     string
	udid    string
	steps   int
	summary []string
}

// step announces a step in plain words.
func (s *show) step(title, words string) {
	s.steps++
	fmt.Printf("\n%d. %s\n   %s\n", s.steps, title, words)
}

func (s *show) done(format string, args ...any) {
	s.summary = append(s.summary, fmt.Sprintf(format, args...))
}

// tool runs a client program and prints what a person would see.
func (s *show) tool(ctx context.Context, name string, args ...string) (string, error) {
	fmt.Print("   $ ", name)
	for _, a := range args {
		fmt.Print(" ", a)
	}
	fmt.Println()
	out, err := s.rig.Run(ctx, name, args...)
	print3(out)
	return out, err
}

// phone is the person at the phone.
func (s *show) phone(ctx context.Context, what string, args ...string) error {
	fmt.Println("   (" + what + ")")
	_, err := s.rig.Phone(ctx, args...)
	return err
}

func (s *show) path(name string) string { return filepath.Join(s.dir, name) }
