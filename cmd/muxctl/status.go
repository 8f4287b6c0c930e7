package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gomuxd/control"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [DEVICE]",
		Short: "Show all about a device: facts, trust, the next step",
		Long: `Status shows what is known of one device, or of all that are plugged in. With
--json it prints one device, or without DEVICE an array.`,
		Example: `  muxctl status
  muxctl status "Anna's iPhone"
  muxctl status 00008110 --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeDevices,
		RunE: func(cmd *cobra.Command, args []string) error {
			const missing = "trust, capacity and traffic are unknown"
			if len(args) == 1 {
				d, err := a.device(cmd.Context(), args[0], missing)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(d)
				}
				showStatus(a.stdout, d, a.now(), a.style())
				return nil
			}
			devices, err := a.devices(cmd.Context(), missing)
			if err != nil {
				return err
			}
			if a.json {
				if devices == nil {
					devices = []control.Device{}
				}
				return a.printJSON(devices)
			}
			if len(devices) == 0 {
				fmt.Fprintln(a.stdout, "No iPhone or iPad is plugged in. If one is, run \"muxctl doctor\".")
			}
			for i, d := range devices {
				if i > 0 {
					fmt.Fprintln(a.stdout)
				}
				showStatus(a.stdout, d, a.now(), a.style())
			}
			return nil
		},
	}
}

// fact is one line of a sheet.
type fact struct{ key, value, paint string }

// showSheet prints facts below a title, long ones wrapped. Empty ones are left
// out.
func showSheet(w io.Writer, title string, facts []fact, s style) {
	fmt.Fprintln(w, s.paint(bold, title))
	column := 0
	for _, f := range facts {
		if f.value != "" {
			column = max(column, width(f.key)+1)
		}
	}
	for _, f := range facts {
		for i, line := range wrap(printable(f.value), s.width-column-3) {
			key := ""
			if i == 0 {
				key = f.key + ":"
			}
			fmt.Fprintln(w, "  "+s.paint(dim, pad(key, column))+" "+s.paint(f.paint, line))
		}
	}
}

func showStatus(w io.Writer, d control.Device, now time.Time, s style) {
	model := oneLine(d.Model)
	if p := oneLine(d.Product); p != "" && p != model {
		if model != "" {
			p = " (" + p + ")"
		}
		model += p
	}
	connection := []string{oneLine(d.Connection)}
	if t := speedText(d.Speed); t != "" {
		connection = append(connection, t)
	}
	if strings.HasPrefix(d.PortPath, "bus ") {
		connection = append(connection, oneLine(d.PortPath))
	} else if d.PortPath != "" {
		connection = append(connection, "port "+oneLine(d.PortPath))
	}
	state := d.Trust
	if !d.Since.IsZero() {
		state += ", " + ago(now.Sub(d.Since))
	}
	next := d.NextStep
	if settled(d) {
		next = ""
	}
	facts := []fact{
		{key: "UDID", value: udidOf(d)},
		{key: "Model", value: model},
		{key: systemName(d), value: d.Version},
		{key: "Capacity", value: capacityText(d)},
		{key: "Connection", value: strings.TrimPrefix(strings.Join(connection, ", "), ", ")},
		{key: "Trust", value: state, paint: hue(d.Trust)},
		{key: "Reason", value: d.Reason},
		{key: "Next step", value: next, paint: bold},
	}
	if d.ExpiresInDays != nil {
		facts = append(facts, fact{key: "Expires", value: days(*d.ExpiresInDays) + " if it is not used (an estimate)"})
	}
	if d.DeviceID != nil && d.Trust != unknownTrust {
		facts = append(facts, fact{key: "Traffic", value: fmt.Sprintf("%s, %s from the device, %s to it",
			plural(d.Sessions, "open connection"), bytesText(d.BytesIn), bytesText(d.BytesOut))})
	}
	if r := d.LastRecovery; r != nil {
		facts = append(facts, fact{key: "Recovery", value: recoveryText(*r, d.Recoveries, now)})
	}
	facts = append(facts, fact{key: "Code", value: d.Cause}) // for muxctl explain, and for reports
	showSheet(w, title(d), facts, s)
}

// recoveryText tells what was done last about a device that did not work.
func recoveryText(r control.Recovery, count uint64, now time.Time) string {
	what := map[string]string{
		control.ActionReopen: "opened anew", control.ActionReset: "reset over USB", control.ActionLeave: "left alone",
	}[r.Action]
	when := ago(now.Sub(r.Time))
	if rest, is := strings.CutPrefix(when, "for "); is {
		when = rest + " ago"
	}
	text := fmt.Sprintf("%s %s: %s", cmp.Or(what, r.Action), when, r.Reason)
	if count > 1 {
		text += fmt.Sprintf("; %d recoveries since it was plugged in", count)
	}
	if r.Next != "" {
		text += "; next: " + r.Next
	}
	return text
}

// systemName is what Apple calls the system of this class of device.
func systemName(d control.Device) string {
	switch d.Class {
	case "Watch":
		return "watchOS"
	case "AppleTV":
		return "tvOS"
	case "RealityDevice":
		return "visionOS"
	case "iPad":
		var major int
		if fmt.Sscanf(d.Version, "%d", &major); major >= 13 {
			return "iPadOS"
		}
	}
	return "iOS"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
