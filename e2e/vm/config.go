package vm

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Flavour is how the guest starts up.
type Flavour string

// Flavours.
const (
	Fast    Flavour = "fast"    // a shell script as init, without udevd
	Udev    Flavour = "udev"    // the same, with udevd
	Systemd Flavour = "systemd" // all of systemd and udevd
)

// Config is one run of a program in a machine.
type Config struct {
	Flavour Flavour           // default Fast
	Files   map[string]string // host's files by their names in /job, where the program runs; executable
	Command []string          // the program and its arguments, e.g. ./guest.test -test.v
	Env     map[string]string
	Timeout time.Duration // for all from boot to end, times Factor; default 5 min
	Memory  int           // MiB, default 1536
	Output  io.Writer     // what the program prints, as it comes; nil = none
	Results string        // directory that becomes /out; "" = none

	// Disk is a file, made if it is not there, that the guest has as /dev/vdb and
	// that keeps what is written to it; "" = none.
	Disk string
	// Reboot lets the guest restart its kernel, after which the program is run once
	// more, with nothing left of before but Disk and /out. Without it, that ends
	// the machine.
	Reboot bool
}

// diskSize is the size of a new Config.Disk, in bytes; it takes only what is used.
const diskSize = 64 << 20

// Result is how the program ended.
type Result struct {
	ExitCode int           // of the program, at most 61
	Boot     time.Duration // from QEMU's start to the program's
	All      time.Duration
	Console  string // file with the guest's console if the program failed
}

// factorVariable names the factor of all timeouts, in host and guest.
const factorVariable = "GOMUXD_TIMEOUT_FACTOR"

// Factor is what timeouts are multiplied by: $GOMUXD_TIMEOUT_FACTOR, or 1.
// Timeouts are made for an emulated processor on a busy machine of two cores.
func Factor() float64 {
	if f, err := strconv.ParseFloat(os.Getenv(factorVariable), 64); err == nil && f > 0 {
		return f
	}
	return 1
}

// Scale multiplies d by Factor.
func Scale(d time.Duration) time.Duration { return time.Duration(float64(d) * Factor()) }

var fileName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

func (c *Config) validate() error {
	if c.Flavour == "" {
		c.Flavour = Fast
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Minute
	}
	if c.Memory == 0 {
		c.Memory = 1536
	}
	if c.Output == nil {
		c.Output = io.Discard
	}
	switch {
	case c.Flavour != Fast && c.Flavour != Udev && c.Flavour != Systemd:
		return fmt.Errorf("unknown vm flavour %q", c.Flavour)
	case len(c.Command) == 0:
		return fmt.Errorf("vm without a command")
	}
	for name := range c.Files {
		if !fileName.MatchString(name) || name == "job" {
			return fmt.Errorf("file name %q is not for a vm", name)
		}
	}
	return nil
}

// job is the shell script that the guest runs.
func (c *Config) job() string {
	var b strings.Builder
	for k, v := range c.Env {
		fmt.Fprintf(&b, "export %s=%s\n", k, quote(v))
	}
	fmt.Fprintf(&b, "export %s=%g\nexport PATH=/job:$PATH\nexec", factorVariable, Factor())
	for _, a := range c.Command {
		b.WriteString(" " + quote(a))
	}
	b.WriteString("\n")
	return b.String()
}

// quote makes one word of a shell script of s.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
