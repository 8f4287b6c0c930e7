package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gomuxd/hotplug"
)

// maxLogLines bounds how much of the daemon's log is in a report.
const maxLogLines = 2000

// text is the whole report, without secrets. err is why the run ended early.
func (c *check) text(begun time.Time, err error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Hardware check\n\n"+
		"UDIDs, serial numbers, addresses, host ids and names are replaced by tokens such as <udid-1>.\n\n")
	n := c.report.counts()
	fmt.Fprintf(&b, "- daemon: %s\n- computer: %s\n- phone: %s\n- %s, %.0f s: %d passed, %d failed, %d not tried\n",
		version(c.cfg.daemon), computer(c.cfg.sysRoot, c.onBusEver()), orUnknown(c.model), begun.UTC().Format(time.DateOnly), time.Since(begun).Seconds(), n[pass], n[fail], n[notTried])
	if err != nil {
		fmt.Fprintf(&b, "- ended early: %v\n", err)
	}
	b.WriteString("\n" + c.report.table())
	c.writeDescriptors(&b)
	c.writeTimeline(&b, begun)
	c.writeLog(&b)
	return c.secrets.Text(b.String())
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// version is what a daemon says of itself.
func version(daemon string) string {
	out, err := exec.Command(daemon, "--version").Output()
	if err != nil {
		return "does not run"
	}
	return strings.TrimSpace(string(out))
}

// computer is what matters of it: kernel, distribution, and the host controllers
// that phones have been at.
func computer(sys string, seen []onBus) string {
	words := []string{runtime.GOARCH}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		words = append(words, unix.ByteSliceToString(u.Sysname[:])+" "+unix.ByteSliceToString(u.Release[:]))
	}
	if b, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				words = append(words, strings.Trim(name, `"`))
			}
		}
	}
	for _, b := range seen {
		if driver := controller(sys, b.Device.Path); driver != "" && !slices.Contains(words, driver) {
			words = append(words, driver)
		}
	}
	return strings.Join(words, ", ")
}

// controller is the driver of the host controller that a device hangs on: that
// of the root hub's parent.
func controller(sys, path string) string {
	dir := filepath.Join(sys, path)
	for dir != sys && dir != "/" && !strings.HasPrefix(filepath.Base(dir), "usb") {
		dir = filepath.Dir(dir)
	}
	to, err := os.Readlink(filepath.Join(filepath.Dir(dir), "driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// onBusEver lists what phones the kernel has shown, one for each set of
// descriptors.
func (c *check) onBusEver() []onBus {
	var all []onBus
	known := make(map[string]bool)
	for _, e := range c.journal.all() {
		if b, ok := e.fact.(onBus); ok && b.Action == hotplug.Add && b.phone() && !known[string(b.descriptors)] {
			known[string(b.descriptors)] = true
			all = append(all, b)
		}
	}
	return all
}

func (c *check) writeDescriptors(b *strings.Builder) {
	for _, seen := range c.onBusEver() {
		fmt.Fprintf(b, "\n## Descriptors of %04x:%04x, %d configurations\n\n```\n%s\n%s```\n", seen.Device.Vendor, seen.Device.Product,
			configurations(seen.descriptors), describe(seen.descriptors), dump(seen.descriptors))
	}
}

// dump is hex in lines of 32 bytes.
func dump(data []byte) string {
	var b strings.Builder
	for len(data) > 0 {
		n := min(len(data), 32)
		b.WriteString(hex.EncodeToString(data[:n]) + "\n")
		data = data[n:]
	}
	return b.String()
}

// writeTimeline writes all facts but the log.
func (c *check) writeTimeline(b *strings.Builder, begun time.Time) {
	b.WriteString("\n## What happened when\n\n```\n")
	for _, e := range c.journal.all() {
		if _, ok := e.fact.(logged); !ok {
			fmt.Fprintf(b, "%9.3f %-8s %s\n", e.at.Sub(begun).Seconds(), e.fact.source(), strings.Join(strings.Fields(e.fact.String()), " "))
		}
	}
	b.WriteString("```\n")
}

// writeLog writes the daemon's log, or its end.
func (c *check) writeLog(b *strings.Builder) {
	var lines []string
	for _, e := range c.journal.all() {
		if l, ok := e.fact.(logged); ok {
			lines = append(lines, l.text)
		}
	}
	b.WriteString("\n## The daemon's log\n\n```\n")
	if left := len(lines) - maxLogLines; left > 0 {
		fmt.Fprintf(b, "(%d lines before these)\n", left)
		lines = lines[left:]
	}
	for _, l := range lines {
		b.WriteString(strings.ReplaceAll(l, "```", "'''") + "\n")
	}
	b.WriteString("```\n")
}

// writeReport writes a report for whoever has run this, under sudo or not.
func writeReport(name, text string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	uid, uerr := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, gerr := strconv.Atoi(os.Getenv("SUDO_GID"))
	if err == nil && uerr == nil && gerr == nil && os.Geteuid() == 0 {
		err = f.Chown(uid, gid)
	}
	return errors.Join(err, f.Close())
}
