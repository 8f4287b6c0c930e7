// Command hardware finds out how a real iPhone and this daemon get on. It guides
// a person with one iPhone through five minutes of plugging, tapping and waiting
// and writes a report, without anything that tells who the person is, to be
// attached to an issue. `make hardware-check` builds and runs it.
//
// It runs the real daemon on sockets and a record directory of its own and does
// the rest as any client does, so it needs no pairing that is there and leaves
// none. The computer's own usbmuxd is stopped for that time, after asking.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitPassed  = 0 // nothing failed
	exitFailed  = 1 // something did, or nothing could be checked
	exitUsage   = 2
	exitStopped = 130 // by Ctrl-C
)

// config is the command line, and what tests put in the place of the computer.
type config struct {
	daemon     string
	daemonArgs []string
	out        string
	size       int64         // of the file, bytes
	spare      int64         // that must be free beside it
	limit      time.Duration // for each thing that a person is asked to do
	grace      time.Duration // how late a notification may be

	temp     string // directory for temporary files, "" for the system's
	sysRoot  string // where sysfs is mounted
	systemd  string // directory that is there where systemd runs
	standard string // address of the computer's own usbmuxd, "" for none
}

func main() {
	// The first Ctrl-C ends the check in good order, a second one at once.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program without its process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cfg, err := parse(args, stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitPassed
		}
		fmt.Fprintf(stderr, "hardware: %v\n", err)
		return exitUsage
	}
	return hardware(ctx, cfg, stdin, stdout)
}

func parse(args []string, stderr io.Writer) (*config, error) {
	cfg := &config{spare: spare, grace: 2 * time.Second}
	flags := flag.NewFlagSet("hardware", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.daemon, "daemon", beside("usbmuxd"), "the daemon's `PROGRAM`")
	flags.Func("daemon-arg", "pass `ARG` on to the daemon, too; may be given several times", func(s string) error {
		cfg.daemonArgs = append(cfg.daemonArgs, s)
		return nil
	})
	flags.StringVar(&cfg.out, "o", time.Now().Format("hardware-check-20060102-1504.md"), "write the report to `FILE`")
	size := flags.String("size", "1GiB", "send a file of `SIZE` both ways: a number with KiB, MiB or GiB")
	flags.DurationVar(&cfg.limit, "limit", time.Minute, "how long to wait for each thing that you are asked to do")
	flags.StringVar(&cfg.sysRoot, "sys", "/sys", "where sysfs is mounted")
	flags.StringVar(&cfg.systemd, "systemd", "/run/systemd/system", "`DIR` that is there where systemd runs")
	flags.StringVar(&cfg.standard, "standard", "/var/run/usbmuxd", "`SOCKET` of a usbmuxd that might take the iPhone; none if empty")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	var err error
	switch cfg.size, err = parseSize(*size); {
	case err != nil:
		return nil, err
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case cfg.limit < time.Second:
		return nil, fmt.Errorf("--limit %v is too short for a person", cfg.limit)
	}
	return cfg, nil
}

// beside is a program in the directory of this one.
func beside(name string) string {
	self, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(self), name)
}

// parseSize reads "64MiB".
func parseSize(s string) (int64, error) {
	for unit, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if digits, ok := strings.CutSuffix(s, unit); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			if err == nil && n > 0 && n <= 1<<40/bytes {
				return n * bytes, nil
			}
		}
	}
	return 0, fmt.Errorf("--size wants 1KiB to 1024GiB, got %q", s)
}

// hardware makes a check and writes its report.
func hardware(ctx context.Context, cfg *config, stdin io.Reader, stdout io.Writer) int {
	begun := time.Now()
	c := &check{cfg: cfg, journal: newJournal(), secrets: newRedactor(os.Getenv), services: services{systemd: cfg.systemd}}
	c.person = newPerson(c.journal, stdin, stdout, cfg.limit)
	c.person.print("This takes five minutes, an iPhone, its cable, and its passcode. Ctrl-C ends it and leaves\n" +
		"iPhone and computer as they were.\n")
	if os.Geteuid() != 0 {
		c.person.print("Without root the daemon may not be allowed to open the iPhone.\n")
	}
	var err error
	if c.dir, err = newDir(cfg.temp); err != nil {
		c.person.print("hardware: %v\n", err)
		return exitFailed
	}
	watching, stop := context.WithCancel(ctx)
	err = c.run(watching)
	c.leave()
	stop()
	c.watchers.Wait()
	c.concludeWire()

	if err != nil && ctx.Err() == nil {
		c.person.print("\nNothing could be checked: %v\n", err)
	}
	text := c.text(begun, err)
	if werr := writeReport(cfg.out, text); werr != nil {
		c.person.print("\n%s\nThe report could not be written: %v. It is printed above.\n", text, werr)
		return exitFailed
	}
	n := c.report.counts()
	c.person.print("\n%d passed, %d failed, %d not tried. The report is in %s.\n"+
		"What tells who you are was taken out of it; look it through and attach it to an issue of gomuxd.\n", n[pass], n[fail], n[notTried], cfg.out)
	switch {
	case ctx.Err() != nil:
		return exitStopped
	case n[fail] > 0 || err != nil || c.udid == "":
		return exitFailed
	}
	return exitPassed
}
