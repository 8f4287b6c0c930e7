package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"gomuxd/control"
)

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a completion script for a shell",
		Long: `Completion prints a script that completes commands, flags, and the names and
UDIDs of devices. "make install" puts the scripts where the shells look.`,
		Example: `  source <(muxctl completion bash)
  muxctl completion zsh > /usr/share/zsh/site-functions/_muxctl
  muxctl completion fish > ~/.config/fish/completions/muxctl.fish`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			}
			return usagef("no completion for %q: bash, zsh or fish", args[0])
		},
	}
}

// hurry bounds what a key press may wait for.
const hurry = time.Second

// completeDevices offers what is plugged in.
func (a *app) completeDevices(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	defer cancel()
	devices, err := a.api().Devices(ctx)
	if err != nil {
		if s, err := a.socket(ctx, a.address); err == nil {
			defer s.Close()
			list, _ := s.ListDevices(ctx)
			for _, d := range list {
				devices = append(devices, control.Device{UDID: &d.UDID})
			}
		}
	}
	var all []cobra.Completion
	for _, d := range devices {
		if u := udidOf(d); u != "" {
			all = append(all, cobra.CompletionWithDesc(u, title(d)))
		} else {
			all = append(all, cobra.CompletionWithDesc(d.PortPath, title(d)))
		}
		if d.Name != "" && oneLine(d.Name) == d.Name {
			all = append(all, cobra.CompletionWithDesc(d.Name, modelText(d)))
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completeRecords offers phones that there is a record of, plugged in or not.
func (a *app) completeRecords(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	defer cancel()
	records, err := a.api().Records(ctx)
	if err != nil {
		return a.completeDevices(cmd, nil, "")
	}
	var all []cobra.Completion
	for _, r := range records {
		all = append(all, cobra.CompletionWithDesc(r.UDID, a.nameOf(ctx, a.api(), r.UDID)))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completeCopies offers records, then the earlier versions of one.
func (a *app) completeCopies(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeRecords(cmd, args, word)
	}
	ctx, cancel := context.WithTimeout(context.Background(), hurry)
	defer cancel()
	r, err := a.api().Record(ctx, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []cobra.Completion
	for _, c := range r.Copies {
		all = append(all, cobra.CompletionWithDesc(c.ID, c.Reason))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}
