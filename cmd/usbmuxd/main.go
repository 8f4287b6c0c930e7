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
)

// version is what --version prints: X.Y.Z, with the commit as build metadata.
// Clients parse it as a semantic version. The linker sets it.
var version = "1.2.0"

// Exit codes of the daemon, as its predecessor's.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, usage())
		return exitOK
	case errors.Is(err, errVersion):
		fmt.Fprintf(stdout, "usbmuxd %s\n", version)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "usbmuxd: %v (usbmuxd --help lists the options)\n", err)
		return exitUsage
	}

	log := newLogger(opts.verbose)
	defer log.Sync() // fails on a terminal, where nothing is buffered

	// The first signal asks, a second one kills.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	context.AfterFunc(ctx, stop)

	if err := newDaemon(opts, log).run(ctx); err != nil {
		fmt.Fprintf(stderr, "usbmuxd: %v\n", err)
		return exitFailure
	}
	return exitOK
}
