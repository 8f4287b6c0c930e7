package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// explanation is what an error or state means.
type explanation struct {
	Name    string   `json:"name"`
	Codes   []string `json:"codes"` // numbers and other names
	Family  string   `json:"family"`
	Meaning string   `json:"meaning"`
	Remedy  string   `json:"remedy"`
}

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain CODE|NAME...",
		Short: "Explain an error or a trust state",
		Long: `Explain says what an error means and what to do: names of lockdownd and their
numbers as libimobiledevice prints them, results of usbmuxd, Apple's 0xE80000xx,
and the trust states of this project.`,
		Example: `  muxctl explain PasswordProtected
  muxctl explain -17
  muxctl explain 0xE8000065 dialog-shown`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all := []explanation{}
			var missed []string
			for _, query := range args {
				found := a.lookUp(strings.TrimSpace(query))
				if len(found) == 0 {
					missed = append(missed, query)
				}
				all = append(all, found...)
			}
			if isLine(args, missed) {
				if found := a.lookUp(strings.Join(args, " ")); len(found) > 0 {
					all, missed = found, nil
				}
			}
			for _, query := range missed {
				a.tellNearest(query)
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
					showSheet(a.stdout, oneLine(strings.Join(append([]string{e.Name}, e.Codes...), ", ")+" ("+e.Family+")"),
						[]fact{{key: "Means", value: e.Meaning}, {key: "Do", value: e.Remedy, paint: bold}}, a.style())
				}
			}
			if len(missed) > 0 {
				return silent(exitFailed)
			}
			return nil
		},
	}
}

// isLine reports whether arguments are "Result 3" or a line of a log without
// quotes, not queries some of which are misspelt.
func isLine(args, missed []string) bool {
	if len(missed) == 0 || len(args) == 1 {
		return false
	}
	if len(args) > 2 && 2*len(missed) > len(args) {
		return true
	}
	for _, word := range missed {
		switch strings.ToLower(strings.Trim(word, ":;,.!()[]")) {
		case "", "error", "code", "errorcode", "result", "status", "state", "number", "failed", "usbmuxd", "lockdownd", "lockdown":
		default:
			return false
		}
	}
	return true
}

func (a *app) tellNearest(query string) {
	line := fmt.Sprintf("muxctl: nothing is known of %q", oneLine(query))
	if near := a.nearest(query); len(near) > 0 {
		line += "; did you mean " + strings.Join(near, ", ") + "?"
	}
	fmt.Fprintln(a.stderr, line)
}

// protect puts a space before negative numbers after explain, which would else be
// taken for flags; the command takes it off.
func protect(args []string) []string {
	out := slices.Clone(args)
	i := slices.Index(out, "explain")
	for ; i >= 0 && i < len(out); i++ {
		if a := out[i]; len(a) > 1 && a[0] == '-' && '0' <= a[1] && a[1] <= '9' { // "-17", also "-17." of a log
			out[i] = " " + out[i]
		}
	}
	return out
}
