package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
)

var (
	errHelp    = errors.New("help requested")
	errVersion = errors.New("version requested")
)

// options is the command line.
type options struct {
	config string         // the configuration file that was named, else empty
	check  bool           // only check the configuration
	ask    syscall.Signal // only send this to the running daemon; 0: no
	phone  phoneOptions   // of the virtual phone; empty in the shipped daemon

	changes []func(*settings) // what the options set, in their order
	dir     string            // the working directory, when they were given
}

// flags returns the flag set that fills o. Names and letters are those of the
// daemon that this one replaces.
func (o *options) flags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("usbmuxd", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}

	change := func(f func(*settings)) { o.changes = append(o.changes, f) }
	// on is an option without a value, value one with.
	on := func(name, short, usage string, f func() error) {
		flags.BoolFuncP(name, short, usage, func(v string) error {
			if v != "true" {
				return errors.New("takes no value")
			}
			return f()
		})
	}
	set := func(name, short, usage string, f func(*settings)) {
		on(name, short, usage, func() error { change(f); return nil })
	}
	value := func(name, short, usage string, check func(v string) error, f func(*settings, string)) {
		flags.FuncP(name, short, usage, func(v string) error {
			if err := check(v); err != nil {
				return err
			}
			change(func(s *settings) { f(s, v) })
			return nil
		})
	}

	on("help", "h", "print this and exit", func() error { return errHelp })
	on("version", "V", "print the version and exit", func() error { return errVersion })
	set("verbose", "v", "say more; may be given several times", func(s *settings) {
		s.Log.Level = levels[min(slices.Index(levels, s.Log.Level)+1, len(levels)-1)]
	})
	set("foreground", "f", "stay in the foreground and log to standard error", func(s *settings) { s.Foreground = true })
	value("user", "U", "become `USER` once the sockets are open; without effect unless started by root", notEmpty,
		func(s *settings, v string) { s.User = v })
	set("disable-hotplug", "n", "after the start, look for phones only when another usbmuxd -n is started or on SIGUSR2",
		func(s *settings) { s.USB.Hotplug = false })
	set("enable-exit", "z", "obey usbmuxd --exit, which is SIGUSR1", func(s *settings) { s.EnableExit = true })
	set("no-preflight", "p", "do not talk to a phone when it appears: --trust-policy never; clients still can",
		func(s *settings) { s.Trust.Policy = string(trust.Never) })
	set("udev", "u", "as udev starts it: -n and -z", func(s *settings) { s.USB.Hotplug, s.EnableExit = false, true })
	set("systemd", "s", "as systemd starts it: -z and -f", func(s *settings) { s.EnableExit, s.Foreground = true, true })
	value("config-dir", "C", "keep pair records in `DIR` (default "+defaultRecords+")", notEmpty,
		func(s *settings, v string) { s.RecordDir = v })
	var sockets []string
	value("socket", "S", "listen on `ADDRESS`: a path, UNIX:/path, host:port, [v6]:port or tls:host:port; may be given several times (default "+defaultSocket+")",
		func(v string) error { sockets = append(sockets, v); return checkListen(v) },
		func(s *settings, _ string) { s.Listen = sockets })
	value("pidfile", "P", "lock `FILE` and write the process id to it, "+none+" for none (default "+defaultPidFile+")", notEmpty,
		func(s *settings, v string) { s.PidFile = v })
	on("exit", "x", "ask the running usbmuxd to exit if no phone is plugged in, and exit; it must have been started with -z",
		func() error { o.ask = syscall.SIGUSR1; return nil })
	on("force-exit", "X", "have the running usbmuxd exit, and exit", func() error { o.ask = syscall.SIGTERM; return nil })
	logfiles := 0
	value("logfile", "l", "append the log to `FILE`, not to the system's log or standard error",
		func(v string) error {
			if logfiles++; logfiles > 1 {
				return errors.New("is given twice")
			}
			return notEmpty(v)
		},
		func(s *settings, v string) { s.Log.File = v })

	flags.StringVar(&o.config, "config", "", "read `FILE` instead of "+defaultConfig)
	on("check-config", "", "say whether the configuration file and the options make sense, and exit", func() error { o.check = true; return nil })
	value("control", "", "listen for muxctl on the Unix socket `PATH`, "+none+" for none (default the first Unix socket's path with .control)",
		func(string) error { return nil }, func(s *settings, v string) { s.Control.Socket = v })
	value("control-group", "", "let members of `GROUP` use muxctl to trust, untrust and restore, beside root (default "+defaults().Control.Group+")", notEmpty,
		func(s *settings, v string) { s.Control.Group = v })
	value("trust-policy", "", "`[UDID=]POLICY`: auto pairs as soon as the owner allows it (default), ask waits for muxctl trust, never leaves it to clients",
		checkPolicyOption, func(s *settings, v string) { s.setPolicy(splitPolicy(v)) })
	value("supervisor", "", "pair with supervised phones by the identity in `FILE` (PKCS #12 or PEM)", notEmpty,
		func(s *settings, v string) { s.Trust.Supervisor = v })
	value("supervisor-password", "", "`FILE` with the password of the identity", notEmpty,
		func(s *settings, v string) { s.Trust.SupervisorPassword = v })
	o.phone.addFlags(flags)
	flags.SetNormalizeFunc(abbreviations)
	return flags
}

// abbreviations lets a long option be shortened to any beginning that no other
// one has, as getopt does. The names of the daemon that this one replaces come
// first, so that what was unique with it still is.
func abbreviations(flags *pflag.FlagSet, name string) pflag.NormalizedName {
	var full []string
	exact := false
	flags.VisitAll(func(f *pflag.Flag) {
		exact = exact || f.Name == name
		if strings.HasPrefix(f.Name, name) {
			full = append(full, f.Name)
		}
	})
	if exact {
		return pflag.NormalizedName(name)
	}
	if old := slices.DeleteFunc(slices.Clone(full), func(n string) bool { return !slices.Contains(inherited, n) }); len(old) > 0 {
		full = old
	}
	if len(full) == 1 {
		name = full[0]
	}
	return pflag.NormalizedName(name)
}

// inherited are the long options of the daemon that this one replaces.
var inherited = []string{"help", "version", "verbose", "foreground", "user", "disable-hotplug", "enable-exit", "no-preflight",
	"udev", "systemd", "config-dir", "socket", "pidfile", "exit", "force-exit", "logfile"}

func notEmpty(v string) error {
	if v == "" {
		return errors.New("wants a value")
	}
	return nil
}

// parseOptions reads the command line. It returns errHelp or errVersion if that
// is asked for; any other error is about one option.
func parseOptions(args []string) (*options, error) {
	o := new(options)
	flags := o.flags()
	err := flags.Parse(args)
	var invalid *pflag.InvalidValueError
	switch {
	case errors.Is(err, errHelp):
		return nil, errHelp
	case errors.Is(err, errVersion):
		return nil, errVersion
	case errors.As(err, &invalid):
		return nil, fmt.Errorf("--%s %w", invalid.GetFlag().Name, errors.Unwrap(invalid))
	case err != nil:
		return nil, err
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.dir, err = os.Getwd(); err != nil {
		o.dir = "/"
	}
	switch {
	case flags.Changed("config") && o.config == "":
		return nil, errors.New("--config wants a value")
	case o.config != "" && !filepath.IsAbs(o.config):
		o.config = filepath.Join(o.dir, o.config) // it may be read again, elsewhere
	}
	return o, o.phone.validate()
}

// settings are the defaults, changed by the configuration file, by the
// environment, and by the options.
func (o *options) settings() (settings, error) {
	s := defaults()
	path := o.config
	if path == "" {
		path = defaultConfig
	}
	if err := s.readConfig(path); err != nil && (o.config != "" || !errors.Is(err, fs.ErrNotExist)) {
		return s, err
	}
	s.environment()
	for _, change := range o.changes {
		change(&s)
	}
	if !s.Foreground {
		s.absolute(o.dir)
	}
	return s, s.checkRemote()
}

// splitPolicy reads one --trust-policy.
func splitPolicy(s string) (udid, policy string) {
	udid, policy, ok := strings.Cut(s, "=")
	if !ok {
		return "", s
	}
	return udid, policy
}

func checkPolicyOption(v string) error {
	udid, policy := splitPolicy(v)
	if strings.Contains(v, "=") {
		if err := pairrecord.ValidID(udid); err != nil {
			return err
		}
	}
	return checkPolicy(policy)
}

func usage() string {
	var b strings.Builder
	b.WriteString("Usage: usbmuxd [OPTIONS]\n" +
		"Multiplexes connections to iPhones and iPads and serves the usbmuxd socket.\n\n")
	new(options).flags().VisitAll(func(f *pflag.Flag) {
		value, text := pflag.UnquoteUsage(f)
		if f.Value.Type() == "boolfunc" {
			value = "" // the package's word for it only confuses
		}
		short := "    "
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		left := fmt.Sprintf("  %s%-29s", short, strings.TrimSpace("--"+f.Name+" "+value))
		line := left
		for word := range strings.FieldsSeq(text) {
			if len(line)+1+len(word) > helpWidth {
				b.WriteString(line + "\n")
				line = strings.Repeat(" ", len(left))
			}
			line += " " + word
		}
		b.WriteString(line + "\n")
	})
	return b.String()
}

// helpWidth is how many columns --help has at most.
const helpWidth = 80
