// Command virtualphone drives a running virtual iPhone from a shell: it taps on
// its screen, locks it, pulls its cable, and waits for what it shows.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"gomuxd/virtualphone"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// socketVariable names the control socket when -s does not.
const socketVariable = "VIRTUALPHONE_SOCKET"

const help = `Usage: virtualphone [-s SOCKET] [--phone UDID] COMMAND [ARGUMENT]

       virtualphone attach [OPTIONS]
       virtualphone serve --bus SOCKET [OPTIONS]

Drives a running virtual iPhone through its control socket. The command attach
plugs new ones into this kernel instead, serve holds them for a daemon that
finds them at a socket; each has its own --help.

Commands:
  status                       what the phone shows and whom it trusts
  violations                   what the host did against the protocol; fails if
                               there is anything
  tap trust|dont-trust|dismiss answer the "Trust This Computer?" dialog
  passcode CODE|cancel         answer the passcode prompt that follows it, or a
                               backup's
  lock                         lock the screen
  unlock [CODE]                unlock it
  forget                       Reset Location & Privacy: forget all hosts
  reset network|all|location   the reset settings; network and all also reboot
  expire                       let all pairings lapse, as after 30 days unused
  erase                        Erase All Content and Settings; it is in setup
  finish-setup                 leave setup, in which it pairs without a dialog
  set-passcode CODE|off        change the passcode or take it away
  supervise FILE|off           let the holder of the certificate in a PEM file
                               pair unasked
  reboot                       restart; with a passcode it is then locked since
                               boot
  unplug [PACKETS]             pull the cable, or the one to be plugged in next,
                               now or once the host has sent so many more packets
  replug                       put it back in, pull it before
  wait dialog|passcode|gone|trusted|restricted|unplugged
                               block until that is so
  log TEXT                     add a line to the phone's system log
  content FILES MIB            what a backup of it holds
  restore-mode on|off          answer as a phone that is being restored

Commands for a phone that misbehaves; REQUEST is a name of lockdownd's, such as
Pair, or "*" for any, and always means each of them, not only the next:
  behavior NAME VALUE          how it treats pairing, see below
  fail REQUEST ERROR [always]  answer with an error name of Apple's
  silence REQUEST [always]     read it and answer nothing
  garbage REQUEST KIND [always]
                               answer nonsense; kinds are
%s
  heal [REQUEST]               end these three
  tls accept|abort|certificate hang up in the TLS handshake, or refuse the
                               host's certificate in it

Behaviors:
%s
Options:
`

// helpText is help with the lists that package virtualphone knows.
func helpText() string {
	const kindIndent = 31
	kinds := make([]string, 0, len(virtualphone.GarbageKinds()))
	for _, k := range virtualphone.GarbageKinds() {
		kinds = append(kinds, strings.Repeat(" ", kindIndent)+string(k))
	}
	var behaviors strings.Builder
	for _, s := range virtualphone.BehaviorSettings() {
		fmt.Fprintf(&behaviors, "  %s\n", s)
	}
	return fmt.Sprintf(help, strings.Join(kinds, "\n"), &behaviors)
}

const examples = `
Examples:
  virtualphone -s /tmp/phone.sock wait dialog --timeout 30s
  virtualphone -s /tmp/phone.sock tap trust
  virtualphone -s /tmp/phone.sock passcode 123456
  virtualphone -s /tmp/phone.sock behavior reject-answer PairingDialogResponsePending
  virtualphone -s /tmp/phone.sock silence '*' always
  VIRTUALPHONE_SOCKET=/tmp/phone.sock virtualphone status --json

Exit status: 0 done, 1 the phone refused or cannot be reached, 2 wrong usage.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its process: arguments, environment and streams in,
// exit code out.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "attach":
			return attach(ctx, args[1:], env, stdout, stderr)
		case "serve":
			return serve(ctx, args[1:], env, stdout, stderr)
		}
	}
	flags := pflag.NewFlagSet("virtualphone", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	socket := flags.StringP("socket", "s", env(socketVariable), "control `SOCKET` of the phone; default $"+socketVariable)
	phone := flags.String("phone", "", "`UDID` of the phone, needed when there are several")
	asJSON := flags.Bool("json", false, "print the answer as JSON")
	timeout := flags.Duration("timeout", 0, "how long wait may take; default without end")
	usage := func(err error) int {
		fmt.Fprintf(stderr, "virtualphone: %v\nTry virtualphone --help.\n", err)
		return exitUsage
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, helpText(), optionList(flags), examples)
		return exitOK
	case err != nil:
		return usage(err)
	case flags.NArg() == 0:
		return usage(errors.New("no command given"))
	case *timeout < 0:
		return usage(errors.New("the timeout is negative"))
	case *timeout > 0 && flags.Arg(0) != "wait":
		return usage(fmt.Errorf("--timeout is for wait, not for %s", flags.Arg(0)))
	}
	command, rest := flags.Arg(0), flags.Args()[1:]
	if command == "supervise" && len(rest) == 1 && rest[0] != "off" {
		certificates, err := os.ReadFile(rest[0])
		if err != nil {
			return usage(err)
		}
		rest[0] = string(certificates)
	}
	if err := virtualphone.CheckCommand(command, rest); err != nil {
		return usage(err)
	}
	if *socket == "" {
		return usage(fmt.Errorf("no control socket: give -s SOCKET or set %s", socketVariable))
	}
	m := virtualphone.ControlRequest{Phone: *phone, Command: command, Args: rest}
	if *timeout > 0 {
		m.Timeout = timeout.String()
	}
	a, err := virtualphone.Control(ctx, *socket, m)
	if err != nil {
		fmt.Fprintf(stderr, "virtualphone: %s\n", explain(err, *socket))
		return exitFailed
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(a); err != nil {
			fmt.Fprintf(stderr, "virtualphone: print: %v\n", err)
			return exitFailed
		}
	} else {
		show(stdout, command, a)
	}
	if command == "violations" && len(a.Violations) > 0 {
		return exitFailed
	}
	return exitOK
}

// explain adds what to do to errors of the socket.
func explain(err error, socket string) string {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return fmt.Sprintf("no control socket at %s: start a virtual phone there, or name another with -s", socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nobody answers at %s: the virtual phone has ended, start it again", socket)
	case errors.Is(err, syscall.EACCES):
		return fmt.Sprintf("no permission for %s: run as the user who started the virtual phone", socket)
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	return err.Error()
}

// show prints an answer for people.
func show(w io.Writer, command string, a virtualphone.ControlResponse) {
	switch command {
	case "status":
		if a.State != nil {
			a.Phones = append(a.Phones, *a.State)
		}
		if len(a.Phones) == 0 {
			fmt.Fprintln(w, "no phone")
		}
		for i, s := range a.Phones {
			if i > 0 {
				fmt.Fprintln(w)
			}
			showState(w, s)
		}
		if a.Stats != nil {
			fmt.Fprintf(w, "  connections  %d open, %d in all, %d refused\n", a.Stats.OpenConns, a.Stats.Connects, a.Stats.Refused)
			fmt.Fprintf(w, "  asked        %d Pair requests, %d dialogs: %d denied, %d timed out\n", a.Stats.PairRequests, a.Stats.Dialogs, a.Stats.Denials, a.Stats.DialogTimeouts)
			fmt.Fprintf(w, "  bytes        %d from the host, %d to it\n", a.Stats.OutBytes, a.Stats.InBytes)
		}
	case "violations":
		if len(a.Violations) == 0 {
			fmt.Fprintln(w, "none")
		}
		names := make([]string, 0, len(a.Violations))
		for name := range a.Violations {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Fprintf(w, "%-20s %d\n", name, a.Violations[name])
		}
		for _, note := range a.Notes {
			fmt.Fprintf(w, "  %s\n", note)
		}
	}
}

func showState(w io.Writer, s virtualphone.State) {
	plugged := "unplugged"
	if s.Plugged {
		plugged = "plugged in"
	}
	lock := "unlocked"
	switch {
	case s.LockedSinceBoot:
		lock = "locked since boot"
	case s.Locked:
		lock = "locked"
	case !s.PasscodeSet:
		lock = "no passcode"
	}
	if s.USBRestricted {
		lock += ", refuses USB"
	}
	if s.Setup {
		lock += ", in setup"
	}
	dialog := string(s.Dialog)
	if s.LastDialog != "" {
		dialog += ", the last one " + string(s.LastDialog)
	}
	hosts := "none"
	if len(s.Hosts) > 0 {
		hosts = strings.Join(s.Hosts, ", ")
	}
	fmt.Fprintf(w, "%s  %s (%s, iOS %s)\n", s.UDID, s.Name, s.ProductType, s.ProductVersion)
	fmt.Fprintf(w, "  cable        %s\n  lock         %s\n  dialog       %s\n  trusts       %s\n", plugged, lock, dialog, hosts)
}

// optionList describes flags without what only the package's users care for. The
// default of a socket is told in words, not as the variable has it now.
func optionList(flags *pflag.FlagSet) string {
	const noise, columns = "[=true|false]", 80
	flags.Lookup("socket").DefValue = ""
	return strings.ReplaceAll(flags.FlagUsagesWrapped(columns), noise, strings.Repeat(" ", len(noise)))
}
