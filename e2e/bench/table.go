package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gomuxd/e2e/bench/result"
)

// line is a row of the table in words.
type line struct {
	section, label, c, ours, ratio, target, verdict, null string
}

// lines are the rows that have been measured at a speed.
func (t table) lines() []line {
	var all []line
	for i := range rows {
		r := &rows[i]
		c, ours, null := t.figure(r, result.C), t.figure(r, result.Ours), t.figure(r, result.Null)
		if c == (figure{}) && ours == (figure{}) {
			continue
		}
		ratio := t.ratio(r, result.C)
		l := line{
			section: r.section, label: fmt.Sprintf("%s, %s", r.label, r.unit),
			c: c.String(), ours: ours.String(), null: null.String(),
			target: r.target(), verdict: r.judge(c, ours, null, ratio),
		}
		if ratio.is() {
			l.ratio = fmt.Sprintf("%.2f×", ratio.median)
		}
		all = append(all, l)
	}
	return all
}

// printTable prints the figures for people at a terminal.
func printTable(w io.Writer, file *result.File) {
	for _, speed := range tableSpeeds(file) {
		cells := [][]string{{speed, "C usbmuxd", "ours", "ratio", "target", "", "null"}}
		section := ""
		for _, l := range (table{file, speed}).lines() {
			if l.section != section {
				section = l.section
				cells = append(cells, []string{section})
			}
			cells = append(cells, []string{"  " + l.label, l.c, l.ours, l.ratio, l.target, l.verdict, l.null})
		}
		var widths [7]int
		for _, row := range cells {
			for i, c := range row {
				widths[i] = max(widths[i], utf8.RuneCountInString(c))
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
