package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

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
	return o, o.phone.validate()
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
