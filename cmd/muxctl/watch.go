package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gomuxd/control"
)

func (a *app) watchCommand() *cobra.Command {
	var notify bool
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show devices coming, going and changing, as it happens",
		Long: `Watch prints a line for every device that is plugged in, and one for every change
of its name, its trust or what is to be done. With --json each event is a line,
also of other changes: its type (added, changed, removed), the device and the time.

With --notify it tells the desktop instead, by notifications that are raised when
a device waits for its owner, follow what is to be done, and go away when it is
done. More than five waiting devices share one notification. The user unit
muxctl-notify.service runs that.

A daemon that goes or is not there yet is waited for. Watch ends with SIGINT or
SIGTERM.`,
		Example: `  muxctl watch
  muxctl watch --json | jq -r '.type + " " + .device.name'
  systemctl --user enable --now muxctl-notify.service`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			show := a.showEvent
			if notify {
				n := newNotifier(a)
				if err := n.connect(ctx); err != nil {
					return err
				}
				defer n.close()
				show = n.event
			} else if !a.json {
				show = news(show)
			}
			err := a.watch(ctx, a.api(), show)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&notify, "notify", false, "tell the desktop, by notifications")
	return cmd
}

// maxBackoff is the longest pause before connecting to the daemon again.
const maxBackoff = 30 * time.Second

// watch calls fn for all devices and every change, across restarts of the
// daemon, until ctx ends or the daemon refuses.
func (a *app) watch(ctx context.Context, c api, fn func(control.Event) error) error {
	known := make(map[string]control.Device)
	wait, told := a.backoff, false
	for {
		var own error
		fresh := make(map[string]bool) // devices told on this connection, nil after ready
		err := c.Watch(ctx, func(e control.Event) error {
			wait = a.backoff
			if told {
				fmt.Fprintln(a.stderr, "muxctl: the daemon is back")
				told = false
			}
			for _, e := range merge(known, &fresh, e, a.now()) {
				if own = fn(e); own != nil {
					return own
				}
			}
			return nil
		})
		var answer *control.Error
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case own != nil:
			return own
		case errors.As(err, &answer) && answer.Code != control.CodeBusy && answer.Code != control.CodeSlow,
			exitCode(err) == exitForbidden:
			return err
		}
		if !told {
			fmt.Fprintf(a.stderr, "muxctl: %v; waiting for the daemon\n", printable(err.Error()))
			told = true
		}
		if !pause(ctx, wait) {
			return ctx.Err()
		}
		wait = min(2*wait, maxBackoff)
	}
}

// merge turns an event of one connection into what has changed since the last
// one. Each connection begins with all devices as added, then ready.
func merge(known map[string]control.Device, fresh *map[string]bool, e control.Event, now time.Time) []control.Event {
	if e.Type == control.Ready {
		var gone []control.Event
		for k, d := range known {
			if !(*fresh)[k] {
				delete(known, k)
				gone = append(gone, control.Event{Type: control.DeviceRemoved, Device: d, Time: now})
			}
		}
		*fresh = nil
		return gone
	}
	k := key(e.Device)
	if *fresh != nil {
		(*fresh)[k] = true
	}
	old, was := known[k]
	switch {
	case e.Type == control.DeviceRemoved:
		delete(known, k)
		return []control.Event{e}
	case !was:
		e.Type = control.DeviceAdded
	case *fresh != nil && old.Trust == e.Device.Trust && old.Reason == e.Device.Reason && old.Name == e.Device.Name:
		known[k] = e.Device
		return nil
	default:
		e.Type = control.DeviceChanged
	}
	known[k] = e.Device
	return []control.Event{e}
}

// news leaves out changes that would show as the line before: of the capacity
// or the time of last use, for example.
func news(show func(control.Event) error) func(control.Event) error {
	said := make(map[string]string)
	return func(e control.Event) error {
		k, line := key(e.Device), fmt.Sprintf("%q %q %q", title(e.Device), e.Device.Trust, e.Device.NextStep)
		switch {
		case e.Type == control.DeviceRemoved:
			delete(said, k)
		case e.Type == control.DeviceChanged && said[k] == line:
			return nil
		default:
			said[k] = line
		}
		return show(e)
	}
}

// showEvent prints an event as one line.
func (a *app) showEvent(e control.Event) error {
	if a.json {
		return a.printLine(e)
	}
	s := a.style()
	const at, kind = "15:04:05", 7
	d := e.Device
	text := oneLine(d.NextStep)
	if e.Type == control.DeviceRemoved || settled(d) {
		text = ""
	}
	head := e.Time.Local().Format(at) + "  " + pad(string(e.Type), kind) + "  "
	line := s.paint(dim, head) + s.paint(bold, title(d))
	left := width(head) + width(title(d))
	if e.Type != control.DeviceRemoved {
		line += "  " + s.paint(hue(d.Trust), d.Trust)
		left += 2 + width(d.Trust)
	}
	if text != "" && (s.width-left > 20 || !a.isTerminal(a.stdout)) {
		if a.isTerminal(a.stdout) {
			text = cut(text, s.width-left-2)
		}
		line += "  " + text
	}
	_, err := fmt.Fprintln(a.stdout, line)
	return err
}
