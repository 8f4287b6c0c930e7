package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"gomuxd/e2e/bench/result"
)

// line is a row of the table in words.
type line struct {
	section, label, c, base, ours, ratio, target, verdict, limit, null string
}

// lines are the rows that have been measured at a speed. The ratio is to the C
// daemon, or to the base where there is one.
func (t table) lines() []line {
	var all []line
	for i := range rows {
		r := &rows[i]
		c, base, ours, null := t.figure(r, result.C), t.figure(r, result.Base), t.figure(r, result.Ours), t.figure(r, result.Null)
		if c == (figure{}) && ours == (figure{}) {
			continue
		}
		limit := figure{}
		if r.limit != "" {
			limit = t.figure(&row{keys: []string{r.limit}}, result.Ours)
		}
		l := line{
			section: r.section, label: fmt.Sprintf("%s, %s", r.label, r.unit),
			c: c.String(), base: base.String(), ours: ours.String(), null: null.String(), limit: limit.String(),
			target: r.target(), verdict: r.judge(ours, limit, t.ratio(r, result.C)),
		}
		to := result.C
		if t.file.Options.Base != "" {
			to = result.Base
		}
		if ratio := t.ratio(r, to); ratio.is() {
			l.ratio = fmt.Sprintf("%.2f×", ratio.median)
		}
		all = append(all, l)
	}
	return all
}

// printTable prints the figures for people at a terminal.
func printTable(w io.Writer, file *result.File) {
	for _, speed := range tableSpeeds(file) {
		cells := [][]string{{speed, "C usbmuxd", "base", "ours", "ratio", "target", "", "limit", "null"}}
		section := ""
		for _, l := range (table{file, speed}).lines() {
			if l.section != section {
				section = l.section
				cells = append(cells, []string{section})
			}
			cells = append(cells, []string{"  " + l.label, l.c, l.base, l.ours, l.ratio, l.target, l.verdict, l.limit, l.null})
		}
		var widths [9]int
		for i := range cells {
			if file.Options.Base == "" && len(cells[i]) > 1 {
				cells[i] = slices.Delete(cells[i], 2, 3)
			}
			for k, c := range cells[i] {
				widths[k] = max(widths[k], utf8.RuneCountInString(c))
			}
		}
		fmt.Fprintln(w)
		for _, row := range cells {
			var b strings.Builder
			for i, c := range row {
				b.WriteString(c + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
			}
			fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
		}
	}
	fmt.Fprintln(w)
	for _, s := range errorList(file) {
		fmt.Fprintln(w, s)
	}
	fmt.Fprintf(w, "%.0f s in all; other programs had %.0f %% of the host's processors\n", file.Machine.Seconds, 100*file.Machine.Disturbed)
}

// inProcess is the speed of runs without a bus.
const inProcess = "in one process"

// tableSpeeds are the speeds that have a table of their own, in order.
func tableSpeeds(file *result.File) []string {
	speeds := file.Options.Speeds
	for _, r := range file.Runs {
		if r.Speed == inProcess {
			return append(speeds[:len(speeds):len(speeds)], inProcess)
		}
	}
	return speeds
}

// errorList tells of each run that has no figures.
func errorList(file *result.File) []string {
	var all []string
	for _, r := range file.Runs {
		if r.Error != "" {
			text, _, _ := strings.Cut(r.Error, "\n")
			all = append(all, fmt.Sprintf("no figure: %s, %s, %s speed, round %d: %s", r.Measure, title(r.Daemon), r.Speed, r.Round+1, text))
		}
	}
	return all
}

// title names a daemon.
func title(daemon string) string {
	switch daemon {
	case result.C:
		return "C usbmuxd"
	case result.Null:
		return "null"
	}
	return daemon
}
