package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

func (a *app) resetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reset DEVICE",
		Short: "Reset one device over USB, as if its cable had been pulled",
		Long: `Reset has the kernel reset one device on the bus, and no other: what helps a device
that is plugged in and answers nothing, without walking to it. Its connections end;
then the daemon opens it anew. Trust stays as it was.

It needs root, membership of the group usbmux, or a rule of the configuration that
says "mend". The daemon resets stuck devices by itself, twice in a row at most: see
"recovery" in usbmuxd.conf(5).`,
		Example: `  muxctl reset "Anna's iPhone"
  muxctl reset 00008110
  muxctl reset 1-2.3`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDevices,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.mend(cmd.Context(), args[0], "was reset", api.Reset)
		},
	}
}

func (a *app) reopenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reopen DEVICE",
		Short: "Let go of one device and open it anew, without a reset",
		Long: `Reopen has the daemon end its session with one device, let go of its USB interface,
and begin anew. Its connections end. It is gentler than reset, and helps where the
device is well and what the two know of each other is not.`,
		Example: `  muxctl reopen "Anna's iPhone"
  muxctl reopen 1-2.3`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDevices,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.mend(cmd.Context(), args[0], "was opened anew", api.Reopen)
		},
	}
}

// modes are the USB modes, by number.
var modes = []string{"keep", "tethering", "screen capture", "Ethernet to the device", "both Ethernets, iOS 16", "Ethernet alone, iOS 17"}

func (a *app) modeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "mode DEVICE keep|1|2|3|4|5",
		Short: "Switch one device to another USB mode",
		Long: `Mode sets what one device is asked to show of itself on USB until the daemon ends:
1 is the mode in which tethering works, 2 adds screen capture, 3 adds Ethernet to the
device, 4 has both Ethernets (iOS 16), 5 is Ethernet alone, without what muxctl and
others need (iOS 17). The device leaves the bus and comes back; its connections end.
With keep it is asked for nothing from now on, and stays as it is.

For good, write [device."UDID"] and mode = N into usbmuxd.conf.`,
		Example: `  muxctl mode "Anna's iPhone" 4
  muxctl mode 00008110 keep`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) != 1 {
				return a.completeDevices(cmd, args, word)
			}
			all := []cobra.Completion{cobra.CompletionWithDesc("keep", "ask for nothing")}
			for n, what := range modes[1:] {
				all = append(all, cobra.CompletionWithDesc(strconv.Itoa(n+1), what))
			}
			return all, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[1] == "keep" {
				return a.keep(cmd.Context(), args[0])
			}
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 1 || n >= len(modes) {
				return usagef("no USB mode %q: keep, or 1 to %d", args[1], len(modes)-1)
			}
			return a.mend(cmd.Context(), args[0], fmt.Sprintf("was asked for USB mode %d", n),
				func(c api, ctx context.Context, ref string) (control.Device, error) { return c.Mode(ctx, ref, n) })
		},
	}
}

// keep is the one order that ends no connection.
func (a *app) keep(ctx context.Context, ref string) error {
	d, err := a.api().Mode(ctx, ref, 0)
	if err != nil {
		return lacking(err, "the USB mode")
	}
	if a.json {
		return a.printJSON(d)
	}
	fmt.Fprintf(a.stdout, "%s stays in the USB mode it is in.\n", title(d))
	return nil
}

// mend has something done with one device, then waits until it can be used again.
func (a *app) mend(ctx context.Context, ref, done string, act func(api, context.Context, string) (control.Device, error)) error {
	c := a.api()
	before, err := c.Device(ctx, ref)
	if err == nil {
		_, err = act(c, ctx, before.PortPath)
	}
	if err != nil {
		return lacking(err, "this")
	}
	d, err := a.back(ctx, c, before)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(d)
	}
	fmt.Fprintf(a.stdout, "%s %s and is back: %s.\n", title(d), done, d.Trust)
	return nil
}

// back waits until a device that is being opened anew is there, with another id than
// before.
func (a *app) back(ctx context.Context, c api, before control.Device) (control.Device, error) {
	last := before
	short, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	for {
		err := c.Watch(short, func(e control.Event) error {
			if e.Type == control.Ready || e.Type == control.DeviceRemoved || e.Device.PortPath != before.PortPath {
				return nil
			}
			last = e.Device
			if used(last) && (before.DeviceID == nil || *last.DeviceID != *before.DeviceID) {
				return errDone
			}
			return nil
		})
		switch {
		case errors.Is(err, errDone):
			return last, nil
		case ctx.Err() != nil:
			return last, ctx.Err()
		case short.Err() != nil:
			return last, codef(exitTimeout, "%s has not come back within %v: %s; \"muxctl status %s\" shows what becomes of it, and if nothing does, pull its cable out and plug it in again",
				title(before), a.patience, last.Trust, before.PortPath)
		}
		select { // the daemon has gone, or ended the stream
		case <-short.Done():
		case <-time.After(a.backoff):
		}
	}
}

// used reports whether the daemon has a session with a device and has found out how
// it stands.
func used(d control.Device) bool {
	return d.DeviceID != nil && d.Trust != string(trust.Connecting)
}
