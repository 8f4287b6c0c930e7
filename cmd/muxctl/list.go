package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gomuxd/control"
)

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the devices that are plugged in",
		Long: `List shows every device that is plugged in, how it stands with trust, and what
to do next. With --json it prints an array of devices.

With a daemon that has no control socket, such as the C one, trust is unknown.`,
		Example: `  muxctl list
  muxctl list --json | jq -r '.[] | select(.trust == "trusted") | .udid'
  muxctl list --socket localhost:27015`,
		Aliases: []string{"ls"},
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			devices, err := a.devices(cmd.Context(), "trust, capacity and next steps are unknown")
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
				return nil
			}
			showList(a.stdout, devices, a.style())
			return nil
		},
	}
}

// column is one of a table. Those with a high drop go first when it is narrow.
type column struct {
	head  string
	drop  int
	least int // to which it is cut before others go; 0 is not at all
	cells []string
	paint func(row int) string
	width int
}

const (
	gap     = 2  // spaces between columns
	minNext = 28 // columns that a next step must have beside a row
	maxCell = 32 // columns of a cell
	minCell = 8  // columns to which a cell may be cut
)

// showList prints devices as a table that fits the terminal: next steps beside
// the rows if there is room, else below them; then columns are left out, and at
// last names cut.
func showList(w io.Writer, devices []control.Device, s style) {
	columns := []*column{
		{head: "NAME", least: 20}, {head: "MODEL", drop: 3}, {head: "IOS", drop: 2}, {head: "CAPACITY", drop: 5},
		{head: "CONNECTION", drop: 4}, {head: "TRUST"},
	}
	steps := make([]string, len(devices))
	for i, d := range devices {
		for c, text := range []string{title(d), modelText(d), d.Version, capacityText(d), d.Connection, trustText(d)} {
			columns[c].cells = append(columns[c].cells, cut(oneLine(text), maxCell))
		}
		if !settled(d) {
			steps[i] = oneLine(d.NextStep)
		}
	}
	columns[0].paint = func(int) string { return bold }
	columns[5].paint = func(row int) string { return hue(devices[row].Trust) }
	showTable(w, columns, "NEXT STEP", steps, s)
}

// showTable prints rows, and of each row a text that may be long.
func showTable(w io.Writer, columns []*column, noteHead string, notes []string, s style) {
	columns, beside := fit(columns, notes, s.width)
	left := 0
	for _, c := range columns {
		left += c.width + gap
	}
	line := func(cell func(*column) (text, paint string)) string {
		var b strings.Builder
		for _, c := range columns {
			text, paint := cell(c)
			b.WriteString(s.paint(paint, text))
			b.WriteString(strings.Repeat(" ", c.width-width(text)+gap))
		}
		return b.String()
	}
	head := line(func(c *column) (string, string) { return c.head, dim })
	if beside {
		head += s.paint(dim, noteHead)
	}
	fmt.Fprintln(w, strings.TrimRight(head, " "))
	for row, note := range notes {
		text := line(func(c *column) (string, string) {
			if c.paint != nil {
				return c.cells[row], c.paint(row)
			}
			return c.cells[row], ""
		})
		if !beside {
			fmt.Fprintln(w, strings.TrimRight(text, " "))
			for i, l := range wrap(note, s.width-4) {
				fmt.Fprintln(w, [2]string{"  → ", "    "}[min(i, 1)]+l)
			}
			continue
		}
		lines := wrap(note, s.width-left)
		if len(lines) == 0 {
			fmt.Fprintln(w, strings.TrimRight(text, " "))
		}
		for i, l := range lines {
			if i > 0 {
				text = strings.Repeat(" ", left)
			}
			fmt.Fprintln(w, text+l)
		}
	}
}

// fit sets the widths of the columns and leaves out those for which there is no
// room. Columns without anything in them go at once.
func fit(all []*column, notes []string, room int) (columns []*column, beside bool) {
	total := -gap
	for _, c := range all {
		c.width = 0
		for _, cell := range c.cells {
			c.width = max(c.width, width(cell))
		}
		if c.width == 0 && c.drop > 0 {
			continue
		}
		c.width = max(c.width, width(c.head))
		total += c.width + gap
		columns = append(columns, c)
	}
	longest := 0
	for _, n := range notes {
		longest = max(longest, width(n))
	}
	if longest > 0 && room-total-gap >= min(longest, minNext) {
		return columns, true
	}
	for _, c := range columns {
		if c.least > 0 && total > room && c.width > c.least {
			n := max(c.least, c.width-(total-room))
			total -= c.width - n
			c.narrow(n)
		}
	}
	for total > room {
		worst := 0
		for i, c := range columns {
			if c.drop > columns[worst].drop {
				worst = i
			}
		}
		if c := columns[worst]; c.drop > 0 {
			total -= c.width + gap
			columns = append(columns[:worst:worst], columns[worst+1:]...)
			continue
		}
		columns[0].narrow(max(minCell, columns[0].width-(total-room)))
		break
	}
	return columns, false
}

// narrow cuts cells to n columns.
func (c *column) narrow(n int) {
	c.width = n
	for i, cell := range c.cells {
		c.cells[i] = cut(cell, n)
	}
}

func modelText(d control.Device) string {
	for _, s := range []string{d.Model, d.Product, d.Class} {
		if s != "" {
			return s
		}
	}
	return ""
}

func capacityText(d control.Device) string {
	if d.Capacity == nil {
		return ""
	}
	return bytesText(*d.Capacity)
}

func trustText(d control.Device) string {
	if d.ExpiresInDays != nil && d.Trust == "expiring" {
		return d.Trust + " " + days(*d.ExpiresInDays)
	}
	return d.Trust
}
