package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Commands are in the order in which they are needed.
func init() { cobra.EnableCommandSorting = false }

// maxHelp is how wide help is at most: longer lines are hard to read.
const maxHelp = 90

// help prints what a command does and how it is called, as wide as the terminal.
func (a *app) help(cmd *cobra.Command) {
	w, columns := cmd.OutOrStdout(), min(a.style().width, maxHelp)
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	prose(w, text, columns)
	fmt.Fprintln(w, "\nUsage:")
	usage := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		usage = cmd.CommandPath() + " COMMAND"
	}
	usage = strings.TrimSuffix(usage, " [flags]")
	fmt.Fprintln(w, "  "+usage+" [OPTION...]")
	for _, alias := range cmd.Aliases {
		fmt.Fprintln(w, "  "+cmd.Parent().CommandPath()+" "+alias)
	}
	var commands [][2]string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			commands = append(commands, [2]string{c.Name(), c.Short})
		}
	}
	pairs(w, "Commands", commands, columns)
	if cmd.Example != "" {
		fmt.Fprintln(w, "\nExamples:\n"+cmd.Example)
	}
	pairs(w, "Options", options(cmd.LocalFlags()), columns)
	pairs(w, "Options of every command", options(cmd.InheritedFlags()), columns)
	if !cmd.HasParent() {
		fmt.Fprintln(w, "\n"+exitCodes)
		fmt.Fprintln(w, "\nmuxctl COMMAND --help tells more of a command, \"man muxctl\" of all.")
	}
}

// exitCodes are those of errors.go.
const exitCodes = `Exit codes:
  0  done
  1  failed, or doctor found a problem, or explain nothing
  2  wrong usage
  3  no daemon answers
  4  no such device or record
  5  not permitted
  6  refused by the person at the phone, or by the phone
  7  timed out waiting`

// prose prints paragraphs.
func prose(w io.Writer, text string, columns int) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			fmt.Fprintln(w)
		}
		for _, l := range wrap(paragraph, columns) {
			fmt.Fprintln(w, l)
		}
	}
}

// pairs prints names and what they mean beside them.
func pairs(w io.Writer, head string, rows [][2]string, columns int) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintln(w, "\n"+head+":")
	left := 0
	for _, r := range rows {
		left = max(left, width(r[0]))
	}
	left += 4
	for _, r := range rows {
		name := pad("  "+r[0], left)
		for _, l := range wrap(r[1], columns-left) {
			fmt.Fprintln(w, name+l)
			name = pad("", left)
		}
	}
}

// options are the flags of a set and what they do.
func options(flags *pflag.FlagSet) (rows [][2]string) {
	flags.VisitAll(func(f *pflag.Flag) {
		value, usage := pflag.UnquoteUsage(f)
		name := "    --" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", --" + f.Name
		}
		if f.Value.Type() != "bool" && value != "" {
			name += " " + value
		}
		if !f.Hidden {
			rows = append(rows, [2]string{name, usage})
		}
	})
	return rows
}
