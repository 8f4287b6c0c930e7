package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// explanation is what an error or state means.
type explanation struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"` // numbers and other names
	Means   string   `json:"means"`
	Do      string   `json:"do"`
}

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain CODE|NAME...",
		Short: "Explain an error or a trust state",
		Long: `Explain says what an error means and what to do: names of lockdownd and their
numbers as libimobiledevice prints them, results of usbmuxd, Apple's 0xE80000xx,
and the trust states of this project.`,
		Example: `  muxctl explain PasswordProtected
  muxctl explain -- -17
  muxctl explain 0xE8000065 dialog-shown`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, missed := []explanation{}, false
			for _, query := range args {
				found := a.lookUp(query)
				if len(found) == 0 {
					missed = true
					a.tellNearest(query)
				}
				all = append(all, found...)
			}
			if a.json {
				if err := a.printJSON(all); err != nil {
					return err
				}
			} else {
				for i, e := range all {
					if i > 0 {
						fmt.Fprintln(a.stdout)
					}
					showSheet(a.stdout, oneLine(strings.Join(append([]string{e.Name}, e.Aliases...), ", ")),
						[]fact{{key: "Means", value: e.Means}, {key: "Do", value: e.Do, paint: bold}}, a.style())
				}
			}
			if missed {
				return silent(exitFailed)
			}
			return nil
		},
	}
}

func (a *app) tellNearest(query string) {
	line := fmt.Sprintf("muxctl: nothing is known of %q", oneLine(query))
	if near := a.nearest(query); len(near) > 0 {
		line += "; did you mean " + strings.Join(near, ", ") + "?"
	}
	fmt.Fprintln(a.stderr, line)
}
