package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"gomuxd/control"
)

func (a *app) untrustCommand() *cobra.Command {
	var all, yes bool
	cmd := &cobra.Command{
		Use:   "untrust DEVICE | --all",
		Short: "End the trust between a device and this computer",
		Long: `Untrust has the device forget this computer and sets the pair record aside, from
where "muxctl records restore" can bring it back as long as the device remembers.

A pairing is a key in two halves. A device that is absent or locked keeps its half:
only it can throw that away. The daemon then finishes as soon as the device is here
and unlocked; until then this computer does not use the record.

The trust of a device that is lost for good ends on the device only:
Settings > General > Transfer or Reset > Reset > Reset Location & Privacy, after
which it asks again for every computer.`,
		Example: `  muxctl untrust "Anna's iPhone"
  muxctl untrust 00008110 --yes
  muxctl untrust --all`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRecords,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case all && len(args) > 0:
				return usagef("either a device or --all")
			case !all && len(args) == 0:
				return usagef("name a device, or give --all")
			}
			ctx, c := cmd.Context(), a.api()
			if all {
				return a.untrustAll(ctx, c, yes)
			}
			r, err := c.Record(ctx, args[0])
			if err != nil {
				return lacking(err, "ending trust")
			}
			name := a.nameOf(ctx, c, r.UDID)
			if !yes && a.isTerminal(a.stdin) && !a.confirm(fmt.Sprintf("End the trust between %s and this computer?", name)) {
				return codef(exitFailed, "nothing was changed: answer y, or give --yes")
			}
			result, err := c.UntrustRecord(ctx, r.UDID)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(result)
			}
			fmt.Fprintln(a.stdout, untrusted(name, result))
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "of every device that there is a pair record of")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask for confirmation")
	return cmd
}

func (a *app) untrustAll(ctx context.Context, c api, yes bool) error {
	records, err := c.Records(ctx)
	if err != nil {
		return lacking(err, "ending trust")
	}
	records = slices.DeleteFunc(records, func(r control.Record) bool { return r.SetAside })
	if len(records) > 0 && !yes {
		if !a.isTerminal(a.stdin) {
			return usagef("--all without a terminal to ask on needs --yes")
		}
		if !a.confirm(fmt.Sprintf("End the trust between %s and this computer?", plural(len(records), "device"))) {
			return codef(exitFailed, "nothing was changed: answer y, or give --yes")
		}
	}
	results, err := c.UntrustAll(ctx)
	if err != nil {
		return err
	}
	failed := false
	for _, r := range results {
		failed = failed || r.Error != ""
	}
	if a.json {
		if results == nil {
			results = []control.UntrustResult{}
		}
		if err := a.printJSON(results); err != nil {
			return err
		}
	} else {
		if len(results) == 0 {
			fmt.Fprintln(a.stdout, "There is no pair record: no device is trusted.")
		}
		for _, r := range results {
			if r.Error != "" {
				fmt.Fprintf(a.stderr, "muxctl: %s: %s\n", r.UDID, oneLine(r.Error))
				continue
			}
			fmt.Fprintln(a.stdout, untrusted(a.nameOf(ctx, c, r.UDID), r))
		}
	}
	if failed {
		return silent(exitFailed)
	}
	return nil
}

// untrusted says what became of both halves of a pairing.
func untrusted(name string, r control.UntrustResult) string {
	record := "there was no pair record here"
	if r.Record {
		record = "the pair record is set aside"
	}
	switch {
	case r.Phone:
		return fmt.Sprintf("%s has forgotten this computer; %s.", name, record)
	case r.Pending:
		return fmt.Sprintf("%s: %s. The device is absent or locked and keeps its half of the key; it is told to forget this computer as soon as it is here and unlocked.", name, record)
	}
	return fmt.Sprintf("%s: %s. The device had nothing to forget.", name, record)
}

// nameOf is what to call the phone with this UDID.
func (a *app) nameOf(ctx context.Context, c api, udid string) string {
	if d, err := c.Device(ctx, udid); err == nil && d.Name != "" {
		return title(d)
	}
	return udid
}
