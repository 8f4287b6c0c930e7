package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"gomuxd/socket/client"
)

// units are what a usbmuxd of the computer runs as: the C daemon has the first,
// which udev starts with every phone, ours has all.
var units = []string{"usbmuxd.service", "usbmuxd.socket", "usbmuxd-control.socket"}

// serviceLimit bounds each order to systemd.
const serviceLimit = time.Minute

// services keeps the computer's own usbmuxd away from the phone.
type services struct {
	systemd string // directory that is there where systemd runs

	masked []string // units that we hold back
	active []string // units to be started again
}

// unit is what systemd says of one.
type unit struct {
	name           string
	loaded, active bool
}

// find asks systemd for the units that are there and not held back by their
// owner.
func (s *services) find(ctx context.Context) ([]unit, error) {
	if _, err := os.Stat(s.systemd); err != nil {
		return nil, nil // another init: there is nothing that could be asked
	}
	var all []unit
	for _, name := range units {
		out, err := systemctl(ctx, "show", "--property=LoadState,ActiveState", name)
		if err != nil {
			return nil, err
		}
		u := unit{name: name}
		for line := range strings.Lines(out) {
			switch strings.TrimSpace(line) {
			case "LoadState=loaded":
				u.loaded = true
			case "ActiveState=active", "ActiveState=activating", "ActiveState=reloading":
				u.active = true
			}
		}
		if u.loaded {
			all = append(all, u)
		}
	}
	return all, nil
}

// hold stops the units and has systemd start none of them, whatever udev asks
// for. What it has done so far is undone by release, also if it fails.
func (s *services) hold(ctx context.Context, all []unit) error {
	for _, u := range all {
		s.masked = append(s.masked, u.name)
		if u.active {
			s.active = append(s.active, u.name)
		}
		// In /run, so that a reboot undoes it, should we not come to it.
		if _, err := systemctl(ctx, "mask", "--runtime", u.name); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return nil
	}
	_, err := systemctl(ctx, append([]string{"stop"}, s.masked...)...)
	return err
}

// release makes everything as it was before hold.
func (s *services) release(ctx context.Context) error {
	if len(s.masked) == 0 {
		return nil
	}
	_, err := systemctl(ctx, append([]string{"unmask", "--runtime"}, s.masked...)...)
	if err == nil && len(s.active) > 0 {
		_, err = systemctl(ctx, append([]string{"start"}, s.active...)...)
	}
	if err == nil {
		s.masked, s.active = nil, nil
	}
	return err
}

// systemctl gives an order to systemd and returns what it prints.
func systemctl(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// other is the process that serves the usbmuxd socket of the computer, if any.
func other(ctx context.Context, address string) (client.Peer, bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, address)
	if err != nil {
		return client.Peer{}, false
	}
	defer c.Close()
	p, _ := c.Peer()
	return p, true
}
