package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"gomuxd/access"
	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
	"gomuxd/socket"
)

const (
	defaultSocket  = "/var/run/usbmuxd"
	defaultPidFile = "/var/run/usbmuxd.pid"
	defaultRecords = "/var/lib/lockdown"

	noPidFile = "NONE" // value of --pidfile
)

var (
	errHelp    = errors.New("help requested")
	errVersion = errors.New("version requested")
)

// options is the command line.
type options struct {
	foreground  bool
	verbose     int
	noPreflight bool
	sockets     []string
	records     string
	pidFile     string
	control     string
	group       string
	policies    []string
	identity    string // file of the supervisor
	password    string // file of its password
	supervisor  *lockdown.Supervisor
	phone       phoneOptions // of the virtual phone; empty in the shipped daemon
}

// flags returns the flag set that fills o. Names and letters are those of the
// daemon that this one replaces.
func (o *options) flags() (fs *pflag.FlagSet, help, version *bool) {
	fs = pflag.NewFlagSet("usbmuxd", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	help = fs.BoolP("help", "h", false, "print this and exit")
	version = fs.BoolP("version", "V", false, "print the version and exit")
	fs.BoolVarP(&o.foreground, "foreground", "f", false, "stay in the foreground and log to standard error")
	fs.CountVarP(&o.verbose, "verbose", "v", "say more; may be given several times")
	fs.BoolVarP(&o.noPreflight, "no-preflight", "p", false, "do not talk to a phone when it appears; clients still can")
	fs.StringArrayVarP(&o.sockets, "socket", "S", nil, "listen on `ADDRESS`: a path, UNIX:/path, host:port or [v6]:port; may be given several times (default "+defaultSocket+")")
	fs.StringVarP(&o.records, "config-dir", "C", defaultRecords, "keep pair records in `DIR`")
	fs.StringVarP(&o.pidFile, "pidfile", "P", defaultPidFile, "lock `FILE` and write the process id to it; "+noPidFile+" for none")
	fs.StringVar(&o.control, "control", "", "listen for muxctl on the Unix socket `PATH`, "+noPidFile+" for none (default the first Unix socket's path with .control)")
	fs.StringVar(&o.group, "control-group", access.Group, "let members of `GROUP` use muxctl to trust, untrust and restore, beside root")
	fs.StringArrayVar(&o.policies, "trust-policy", nil, "`[UDID=]POLICY`: auto pairs as soon as the owner allows it (default), ask waits for muxctl trust, never leaves it to clients")
	fs.StringVar(&o.identity, "supervisor", "", "pair with supervised phones by the identity in `FILE` (PKCS #12 or PEM)")
	fs.StringVar(&o.password, "supervisor-password", "", "`FILE` with the password of the identity")
	o.phone.addFlags(fs)
	return fs, help, version
}

func parseOptions(args []string) (*options, error) {
	o := new(options)
	fs, help, version := o.flags()
	err := fs.Parse(args)
	switch {
	case err != nil:
		return nil, err
	case *help:
		return nil, errHelp
	case *version:
		return nil, errVersion
	case fs.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	for _, s := range o.sockets {
		if s == "" || strings.HasPrefix(s, "-") {
			return nil, fmt.Errorf("--socket wants an address, got %q", s)
		}
		if err := socket.CheckAddress(s); err != nil {
			return nil, err
		}
	}
	if len(o.sockets) == 0 {
		o.sockets = []string{defaultSocket}
	}
	for _, s := range []struct{ name, value string }{{"config-dir", o.records}, {"pidfile", o.pidFile}} {
		if s.value == "" {
			return nil, fmt.Errorf("--%s wants a path", s.name)
		}
	}
	if err := o.checkPolicies(); err != nil {
		return nil, err
	}
	if err := o.readSupervisor(); err != nil {
		return nil, err
	}
	return o, o.phone.validate()
}

// splitPolicy reads one --trust-policy.
func splitPolicy(s string) (udid string, p trust.Policy) {
	udid, policy, ok := strings.Cut(s, "=")
	if !ok {
		return "", trust.Policy(s)
	}
	return udid, trust.Policy(policy)
}

func (o *options) checkPolicies() error {
	for _, s := range o.policies {
		udid, p := splitPolicy(s)
		if p != trust.Auto && p != trust.Ask && p != trust.Never {
			return fmt.Errorf("--trust-policy wants auto, ask or never, got %q", s)
		}
		if strings.Contains(s, "=") {
			if err := pairrecord.ValidID(udid); err != nil {
				return fmt.Errorf("--trust-policy %q: %w", s, err)
			}
		}
	}
	return nil
}

// policy is that for the phone with this UDID, or for all others with "".
func (o *options) policy(udid string) trust.Policy {
	policy := trust.Auto
	if o.noPreflight {
		policy = trust.Never
	}
	named := false
	for _, s := range o.policies {
		switch id, p := splitPolicy(s); {
		case id == "" && !named:
			policy = p
		case id != "" && strings.EqualFold(id, udid):
			policy, named = p, true
		}
	}
	return policy
}

// controlSocket is the path of the control socket, "" for none, and whether it
// was asked for.
func (o *options) controlSocket() (path string, asked bool) {
	switch o.control {
	case noPidFile:
		return "", false
	case "":
		for _, s := range o.sockets {
			if path, ok := socket.UnixPath(s); ok {
				return path + ".control", false
			}
		}
		return "", false
	}
	return o.control, true
}

func (o *options) readSupervisor() error {
	if o.identity == "" {
		return nil
	}
	data, err := os.ReadFile(o.identity)
	if err != nil {
		return fmt.Errorf("--supervisor: %w", err)
	}
	password := ""
	if o.password != "" {
		b, err := os.ReadFile(o.password)
		if err != nil {
			return fmt.Errorf("--supervisor-password: %w", err)
		}
		password = strings.TrimRight(string(b), "\r\n")
	}
	if o.supervisor, err = lockdown.ParseSupervisor(data, password); err != nil {
		return fmt.Errorf("--supervisor %s: %w", o.identity, err)
	}
	return nil
}

func usage() string {
	var b strings.Builder
	b.WriteString("Usage: usbmuxd [OPTIONS]\n" +
		"Multiplexes connections to iPhones and iPads and serves the usbmuxd socket.\n\n")
	fs, _, _ := new(options).flags()
	fs.VisitAll(func(f *pflag.Flag) {
		value, text := pflag.UnquoteUsage(f)
		if f.Value.Type() == "bool" || f.Value.Type() == "count" {
			value = "" // the package's words for them only confuse
		}
		short := "    "
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		if f.Value.Type() == "string" && f.DefValue != "" {
			text += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&b, "  %s%-30s %s\n", short, strings.TrimSpace("--"+f.Name+" "+value), text)
	})
	return b.String()
}
