package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Exit codes for a command that did not run, and the first of those for one that a
// signal ended. Source: POSIX, Shell Command Language 2.8.2.
const (
	exitCannotRun = 126
	exitNoCommand = 127
	exitBySignal  = 128
)

func (a *app) proxyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "proxy [DEVICE] PORT... -- COMMAND [ARG...]",
		Short: "Run a command that reaches ports of a device",
		Long: `Proxy forwards free ports of this computer, on 127.0.0.1, to ports of the device,
runs a command and ends with it. The command finds in its environment
MUXCTL_HOST, 127.0.0.1; MUXCTL_PORT, the local port for the first PORT;
MUXCTL_PORT_n, the one for port n of the device; MUXCTL_UDID, the device's UDID.

A number up to 65535 is a PORT, so a device that is named by the beginning of its
UDID needs more digits. The device may be unplugged and come back.

Signals go on to the command. Its exit code is muxctl's: 128 and the signal's
number if a signal ended it, 127 if there is no such command, 126 if it cannot
be run.`,
		Example: `  muxctl proxy 22 -- sh -c 'ssh -p $MUXCTL_PORT mobile@$MUXCTL_HOST'
  muxctl proxy 00008110-001C 80 8100 -- ./test.sh`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault // perhaps of the command
			}
			return a.completeDevices(cmd, args, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			n := cmd.ArgsLenAtDash()
			if n < 0 || n == len(args) {
				return usagef("no command: give one after --")
			}
			args, command := args[:n], args[n:]
			var ref string
			if len(args) > 0 {
				if _, err := parsePort(args[0]); err != nil {
					ref, args = args[0], args[1:]
				}
			}
			if len(args) == 0 {
				return usagef("no port: give one of the device's before --")
			}
			var ports []uint16
			for _, arg := range args {
				port, err := parsePort(arg)
				if err != nil {
					return err
				}
				ports = append(ports, port)
			}
			// Before anything is waited for: a signal that comes now is the command's, too.
			signals := make(chan os.Signal, 16)
			signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT)
			defer signal.Stop(signals)
			f, err := a.newForwarder(cmd.Context(), ref)
			if err != nil {
				return err
			}
			f.quiet = true
			return a.runBeside(cmd.Context(), f, ports, command, signals)
		},
	}
}

// runBeside runs a command while f forwards the ports.
func (a *app) runBeside(ctx context.Context, f *forwarder, ports []uint16, command []string, signals <-chan os.Signal) error {
	env := []string{"MUXCTL_HOST=" + loopback, "MUXCTL_UDID=" + udidOf(f.phone)}
	for i, port := range ports {
		if err := f.listen(pair{"tcp", net.JoinHostPort(loopback, "0"), port}); err != nil {
			f.close()
			return err
		}
		local := strconv.Itoa(f.doors[i].Addr().(*net.TCPAddr).Port)
		if i == 0 {
			env = append(env, "MUXCTL_PORT="+local)
		}
		env = append(env, fmt.Sprintf("MUXCTL_PORT_%d=%s", port, local))
	}
	// The command decides when a signal ends it; until then it has its ports.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { f.run(ctx) })
	defer wg.Wait()
	defer cancel()

	child := exec.Command(command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = a.stdin, a.stdout, a.stderr
	child.Env = append(os.Environ(), env...)
	if err := child.Start(); err != nil {
		code := exitCannotRun
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			code = exitNoCommand
		}
		return codef(code, "run %s: %w: correct the command after --", command[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- child.Wait() }() // waited for below
	for {
		select {
		case s := <-signals:
			if !fromTerminal(s) {
				_ = child.Process.Signal(s)
			}
		case err := <-done:
			return passOn(err)
		}
	}
}

// fromTerminal reports whether a key press is the likely cause of a signal: then
// the terminal has sent it to the command as well.
func fromTerminal(s os.Signal) bool {
	switch s {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH:
	default:
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// passOn makes how the command ended muxctl's own end.
func passOn(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	status := exit.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return silent(exitBySignal + int(status.Signal()))
	}
	return silent(status.ExitStatus())
}
