// Command demo tells the story of one iPhone's trust, from the first plug on: a
// person at the phone, muxctl and Debian's libimobiledevice tools beside it, all
// real programs but for the phone, which is virtual. It needs no USB, uses sockets
// and directories of its own, and leaves nothing behind. Every step is checked; it
// exits with 1 if one does not hold.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"gomuxd/e2e"
	"gomuxd/virtualphone"
)

func main() {
	logFile := flag.String("log", "", "also write the daemon's log to `FILE`")
	slow := flag.Bool("slow", false, "tell the trust story alone, with pauses to read, each step on a screen of its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *logFile, newScreen(*slow)); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

const passcode = "1234"

func run(ctx context.Context, logFile string, out *screen) error {
	dir, err := os.MkdirTemp("", "gomuxd-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // again, if the end is not reached

	if !out.slow {
		out.line("Building the daemon, muxctl and a virtual iPhone ...")
	}
	bin, err := e2e.Build(ctx, dir, false)
	if err != nil {
		return err
	}
	cfg := e2e.Config{Dir: dir, Passcode: passcode, Apart: true}
	if logFile != "" {
		f, err := os.Create(logFile)
		if err != nil {
			return err
		}
		defer f.Close()
		cfg.Log = f
	}
	begin := time.Now()
	rig, err := e2e.Start(bin, cfg)
	if err != nil {
		return err
	}
	if !out.slow {
		out.line("The phone is virtual and needs no USB. The daemon, muxctl and Debian's tools are the real ones.")
	}
	s := &show{screen: out, rig: rig, dir: dir}
	err = s.tell(ctx)
	if err == nil {
		err = s.flawless(ctx)
	}
	// Whatever happened, all is to end in good order.
	if stopErr := rig.Stop(); err == nil {
		err = stopErr
	} else {
		fmt.Fprintf(os.Stderr, "\nThe daemon's log:\n%s", rig.Log())
	}
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return err
	}
	s.end(time.Since(begin))
	return nil
}

// flawless fails if the phone has counted a mistake of its host.
func (s *show) flawless(ctx context.Context) error {
	out, err := s.rig.Phone(ctx, "violations")
	if err != nil {
		return fmt.Errorf("the phone counted mistakes of the daemon: %w: %s", err, out)
	}
	return nil
}

// dialogs is how often the phone has asked its owner.
func (s *show) dialogs(ctx context.Context) (uint64, error) {
	out, err := s.rig.Phone(ctx, "status", "--json")
	if err != nil {
		return 0, err
	}
	var a virtualphone.ControlResponse
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		return 0, err
	}
	if a.Stats == nil {
		return 0, fmt.Errorf("the phone tells no figures: %s", out)
	}
	return a.Stats.Dialogs, nil
}
