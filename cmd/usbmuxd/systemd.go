package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"gomuxd/control"
	"gomuxd/control/explain"
	"gomuxd/lockdown/trust"
)

// notifySystemd tells the service manager, if there is one.
func notifySystemd(log *zap.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot notify systemd", zap.Error(fmt.Errorf("%s: %w", state, err)))
	}
}

// watchdog ticks twice in the time within which the service manager wants to hear
// of this process: WatchdogSec= of systemd.service(5). Without one it is nil.
func watchdog(log *zap.Logger) (ticks <-chan time.Time, stop func()) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog is not fed", zap.Error(err))
	}
	if err != nil || limit == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(limit / 2)
	return t.C, t.Stop
}

// statusPause is the least time between two lines of status: phones that come and
// go must not keep the service manager busy.
const statusPause = time.Second

// tellStatus has `systemctl status` say how many phones there are and what they
// wait for, until ctx ends. A process that no service manager listens to returns
// at once.
func (d *muxd) tellStatus(ctx context.Context) error {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	for told := ""; ; {
		all, events := d.hub.Subscribe()
		if now := statusLine(all); now != told {
			notifySystemd(d.log, "STATUS="+now)
			told = now
		}
		select {
		case <-events.Events():
		case <-ctx.Done():
		}
		events.Close()
		select {
		case <-time.After(statusPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// statusLine is one line about all devices: how many are in each state, and what
// those wait for that wait. It names none: everybody may read it.
func statusLine(all []control.Device) string {
	if len(all) == 0 {
		return "No phone is plugged in."
	}
	numbers, waiting := make(map[string]int), make(map[string]string)
	for _, d := range all {
		numbers[d.Trust]++
		switch state := trust.State(d.Trust); state {
		case trust.Trusted, trust.Connecting, trust.NoLockdown, trust.Disabled:
		default:
			_, next := explain.State(state, explain.Facts{Class: d.Class, Version: d.Version, Cause: d.Cause})
			first, _, _ := strings.Cut(next, ". ")
			waiting[d.Trust] = strings.TrimSuffix(first, ".")
		}
	}
	states := slices.SortedFunc(maps.Keys(numbers), func(a, b string) int {
		return cmp.Or(cmp.Compare(numbers[b], numbers[a]), strings.Compare(a, b))
	})
	parts := make([]string, len(states))
	for i, s := range states {
		parts[i] = fmt.Sprintf("%d %s", numbers[s], s)
		if waiting[s] != "" {
			parts[i] += fmt.Sprintf(" (%s)", waiting[s])
		}
	}
	return "Plugged in: " + strings.Join(parts, ", ")
}
