// Command muxctl is the operator's tool: it shows which devices are plugged in
// and how they stand with trust, asks for trust, ends it, and finds out why a
// device does not work. It talks to the daemon's control socket, and where the
// protocol allows to the socket of any usbmuxd.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gomuxd/control"
	"gomuxd/control/doctor"
	"gomuxd/socket/client"
)

// version is what --version prints. The linker sets it.
var version = "1.2.0"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	code := newApp().run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// app is the program without its process. Tests replace its fields.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	now            func() time.Time

	isTerminal   func(stream any) bool
	columns      func(stream any) int // 0 unknown
	readPassword func(prompt string) (string, error)

	open   func(path string) api
	socket func(ctx context.Context, addr string) (usbmuxd, error)
	bus    func(ctx context.Context, renewed chan<- struct{}) (bus, error)
	gather func(context.Context, doctor.Options) doctor.Facts

	lookUp  func(query string) []explanation
	nearest func(query string) []string

	patience time.Duration // for a phone or daemon that has gone, in trust
	lull     time.Duration // between looks at what tells nothing by itself
	grace    time.Duration // for a phone that still says no after asking again, to be replugged
	trial    time.Duration // for the daemon to try an imported record
	backoff  time.Duration // first pause before connecting again
	beat     time.Duration // between two looks at what goes through
	look     time.Duration // for an answer of the daemon
	act      time.Duration // for it to do something with a phone or the disk

	workFactor int // of scrypt, see workFactor

	control, address    string // flags
	json, noColor       bool
	started, sawNothing bool // a command has begun; the lack of a control socket was told
}

// api is what muxctl asks of the control socket.
type api interface {
	Devices(context.Context) ([]control.Device, error)
	Device(ctx context.Context, ref string) (control.Device, error)
	Watch(context.Context, func(control.Event) error) error
	Stats(context.Context) (control.Stats, error)
	Daemon(context.Context) (control.Daemon, error)
	Records(context.Context) ([]control.Record, error)
	Record(ctx context.Context, ref string) (control.Record, error)
	Trust(ctx context.Context, ref string, req control.TrustRequest) (control.Device, error)
	AskAgain(ctx context.Context, ref string) (control.Device, error)
	UntrustRecord(ctx context.Context, ref string) (control.UntrustResult, error)
	UntrustAll(context.Context) ([]control.UntrustResult, error)
	Restore(ctx context.Context, ref, copyID string) error
	Capture(ctx context.Context, ref string, req control.CaptureRequest, fn func(control.Captured) error) error
	Reset(ctx context.Context, ref string) (control.Device, error)
	Reopen(ctx context.Context, ref string) (control.Device, error)
	Mode(ctx context.Context, ref string, mode int) (control.Device, error)
}

func newApp() *app {
	return &app{
		stdin:        os.Stdin,
		stdout:       os.Stdout,
		stderr:       os.Stderr,
		env:          os.Getenv,
		now:          time.Now,
		isTerminal:   isTerminal,
		columns:      columns,
		readPassword: readPassword,
		open:         func(path string) api { return control.Dial(path) },
		socket: func(ctx context.Context, addr string) (usbmuxd, error) {
			c, err := client.Dial(ctx, addr)
			if err != nil {
				return nil, err // not a nil *Client in an interface
			}
			return c, nil
		},
		bus:        sessionBus,
		gather:     doctor.Gather,
		lookUp:     lookUp,
		nearest:    nearest,
		patience:   30 * time.Second,
		lull:       250 * time.Millisecond,
		grace:      time.Minute,
		trial:      5 * time.Second,
		backoff:    time.Second,
		beat:       time.Second,
		look:       10 * time.Second,
		act:        time.Minute,
		workFactor: workFactor,
	}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func columns(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil {
			return n
		}
	}
	return 0
}

// readPassword asks on the terminal, without echo, whatever stdin and stdout are.
func readPassword(prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errors.New("no terminal to ask for the passphrase on: give --passphrase-file FILE")
	}
	defer tty.Close()
	fmt.Fprint(tty, prompt)
	b, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	if err != nil {
		return "", fmt.Errorf("read the passphrase: %w; give --passphrase-file FILE instead", err)
	}
	return string(b), nil
}

// confirm asks a question on the terminal. Anything but yes is no.
func (a *app) confirm(question string) bool {
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	line, _ := bufio.NewReader(a.stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}

// run runs one command and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(protect(args))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !a.started {
		err = &usageError{err}
	}
	var u *usageError
	switch {
	case errors.As(err, &u):
		fmt.Fprintf(a.stderr, "muxctl: %v\nTry %s --help.\n", printable(err.Error()), cmd.CommandPath())
	case errors.Is(err, errSilent):
	default:
		fmt.Fprintf(a.stderr, "muxctl: %v\n", printable(a.advice(err)))
	}
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "muxctl",
		Short: "See and manage iPhones, iPads and their trust in this computer",
		Long: `muxctl shows which iPhones and iPads are plugged in and how they stand with
trust, asks for trust and ends it, keeps pair records safe, and finds out why a
device does not work.

A device is named by its UDID, the beginning of it (four characters or more),
its name, or the port it is in. Reading needs no rights; asking for trust,
ending it and pair records need root or membership of the group usbmux.`,
		Example: `  muxctl list
  muxctl trust
  muxctl status "Anna's iPhone"
  muxctl doctor`,
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.NoArgs,
		PersistentPreRun:  func(*cobra.Command, []string) { a.started = true },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return &usageError{errors.New("no command given: \"muxctl list\" is one to try")}
		},
	}
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { a.help(cmd) })
	root.SetVersionTemplate("muxctl {{.Version}}\n")
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	flags := root.PersistentFlags()
	flags.StringVar(&a.control, "control", "", "control socket at `PATH`; default $"+control.SocketEnv+", then that of the usbmuxd socket with "+control.Suffix+" at its end")
	flags.StringVar(&a.address, "socket", "", "usbmuxd socket at `ADDRESS`, a path, host:port or tls:host:port; default $"+client.AddressEnv+", then "+client.DefaultAddress)
	flags.BoolVar(&a.json, "json", false, "print JSON, for programs")
	flags.BoolVar(&a.noColor, "no-color", false, "print without colour, as with NO_COLOR")
	root.AddCommand(a.listCommand(), a.statusCommand(), a.trustCommand(), a.doctorCommand(), a.explainCommand(),
		a.untrustCommand(), a.watchCommand(), a.topCommand(), a.serveCommand(), a.recordsCommand(), a.resetCommand(), a.reopenCommand(), a.modeCommand(),
		a.forwardCommand(), a.proxyCommand(), a.captureCommand(), a.completionCommand())
	return root
}

// api returns the daemon's control socket.
func (a *app) api() api { return limited{a.open(a.controlPath()), a.look, a.act} }

// usbmuxd connects to the other socket.
func (a *app) usbmuxd(ctx context.Context) (usbmuxd, error) {
	s, err := within(ctx, a.look, func(ctx context.Context) (usbmuxd, error) { return a.socket(ctx, a.address) })
	if err != nil {
		return nil, err
	}
	return limitedSocket{s, a.look}, nil
}

func (a *app) controlPath() string {
	return cmp.Or(a.control, control.SocketPath(client.Address(a.address)))
}
