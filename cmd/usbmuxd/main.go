// Command usbmuxd multiplexes TCP connections to iPhones and iPads over USB and
// serves the usbmuxd socket, as a drop-in for the daemon of that name.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"
)

// version is what --version prints: X.Y.Z, with the commit as build metadata.
// Clients parse it as a semantic version. The linker sets it.
var version = "1.2.0"

// Exit codes of the daemon, as its predecessor's.
const (
	exitOK      = 0
	exitFailure = 1 // could not start or go on
	exitUsage   = 2 // a bad option or configuration file: it will be bad the next time, too
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	parent := inheritStatus()
	fail := func(code int, err error) int {
		message := fmt.Sprintf("usbmuxd: %v", err)
		if parent != nil {
			parent.tell(code, message)
		} else {
			fmt.Fprintln(stderr, message)
		}
		return code
	}
	opts, err := parseOptions(args)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, usage())
		return exitOK
	case errors.Is(err, errVersion):
		fmt.Fprintf(stdout, "usbmuxd %s\n", version)
		return exitOK
	case err != nil:
		return fail(exitUsage, fmt.Errorf("%w (usbmuxd --help lists the options)", err))
	}
	s, err := opts.settings()
	if err != nil {
		return fail(exitUsage, err)
	}
	switch {
	case opts.check:
		fmt.Fprintln(stdout, "usbmuxd: the configuration makes sense")
		return exitOK
	case opts.ask != 0:
		err = signalHolder(s.PidFile, opts.ask)
	case parent != nil:
		err = asSecond(&s, serve(opts, &s, parent))
	default:
		err = checkPidFile(s.PidFile)
		if err == nil && !s.mustStay() {
			return daemonise(args, stderr) // whose child locks
		}
		if err == nil {
			err = serve(opts, &s, nil)
		}
		err = asSecond(&s, err)
	}
	if err != nil {
		return fail(exitFailure, err)
	}
	if parent != nil {
		parent.tell(exitOK, "")
	}
	return exitOK
}

// asSecond has the daemon that is running already look for phones, if this one
// was started for that.
func asSecond(s *settings, err error) error {
	var held *heldError
	if errors.As(err, &held) && !s.USB.Hotplug {
		return held.signal(syscall.SIGUSR2)
	}
	return err
}

// serve runs the daemon to its end.
func serve(opts *options, s *settings, parent *status) error {
	// From before the pid file is locked, by which others find this process.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	signal.Ignore(syscall.SIGPIPE) // the reader of standard error may go
	// The first signal asks, a second one kills. One that comes as the daemon ends
	// by itself is the first.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	context.AfterFunc(ctx, stop)

	log, err := newLogging(s, parent == nil)
	if err != nil {
		return err
	}
	defer log.Sync() // fails on a terminal, where nothing is buffered

	d := newDaemon(opts, s, log.Logger)
	names := func(udid string) string { return d.known(udid).Identity.DeviceName }
	log.names.Store(&names)
	d.signals, d.setLevel, d.processors = signals, log.set, newProcessors()
	if parent != nil {
		d.up = func() {
			if err := detach(log.file); err != nil {
				log.Warn("still holds the terminal", zap.Error(err))
			}
			parent.tell(exitOK, "")
		}
	}
	err = d.run(ctx)
	if err != nil && parent != nil {
		log.Error("ended", zap.Error(err))
	}
	return err
}
