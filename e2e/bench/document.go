package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gomuxd/e2e/bench/result"
)

const preface = `Virtual phone only: the phone and the processors of these figures are virtual%s: seconds and MiB/s are those of this rig alone and say nothing of a real phone on a real bus; compare the daemons with each other, by the ratios.

# Benchmarks

`

const legend = `
%[1]d rounds; in each, every measure was taken with one daemon after the other, started for it and stopped after it, the other way round
in every second round. Figures are medians with the smallest and the largest in brackets; the ratio is ours to the C daemon's, the
median of the rounds' ratios. A transfer moved %[2]d MiB in all, and every byte was compared on arrival. A run with a wrong byte, a
failed request, or a violation of the protocol that the phone counted gives no figure. Down is from the phone, up to the phone, echo to
the phone and back, counted once. Daemons ran without pairing (-p) and with their normal log. On super speed the bus has packets of
1,024 bytes; the virtual controller is no faster for it. A client that floods moves bytes as the eight others do, connects and
leaves without pause, and asks for the devices without pause; a fair share is one ninth, by the bytes moved while all were at it.
Of many phones each moved 32 MiB; its distance from the mean is that of what it moved while all were at it. Phone and client are two
processes of Go's, with one of its processors each.

The limit is how fast the transfers through our daemon would have been if it had taken no processor time: what phone, client and
the rest of the kernel used, spread over all processors. The null daemon is the project's USB pipe and the client's socket, with a
sequence number, the phone's window and an ack for each segment between them, and nothing else: no turns, no queues, no limits, no
recovery. Its processor time is what reading, writing and the kernel's USB stack cost by themselves in a plain Go program.

`

// write writes benchmarks.md and its plots.
func write(dir string, file *result.File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := document(file)
	for _, speed := range file.Options.Speeds {
		for name, c := range (table{file, speed}).charts() {
			if err := os.WriteFile(filepath.Join(dir, plotName(name, speed)), []byte(c.svg()), 0o644); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(dir, "benchmarks.md"), []byte(text), 0o644)
}

func plotName(chart, speed string) string { return "bench-" + chart + "-" + speed + ".svg" }

// document is benchmarks.md.
func document(file *result.File) string {
	var b strings.Builder
	emulated := ""
	if file.Machine.Emulated {
		emulated = " (QEMU emulates the processors, many times slower than they are)"
	}
	fmt.Fprintf(&b, preface, emulated)
	m := &file.Machine
	fmt.Fprintf(&b, "Commit %s, %s. Host: %s; guest: %d processors, Linux %s, Debian's usbmuxd %s. %.0f minutes in all, in which other programs\nhad %.0f %% of the host's processors.\n",
		file.Commit, file.Date.Format("2 January 2006"), m.Host, m.Processors, m.Kernel, m.C, m.Seconds/60, 100*m.Disturbed)
	fmt.Fprintf(&b, legend, file.Options.Rounds, file.Options.MiB)
	for _, speed := range tableSpeeds(file) {
		t := table{file, speed}
		name := strings.ToUpper(speed[:1]) + speed[1:]
		if speed != inProcess {
			name += " speed"
		}
		fmt.Fprintf(&b, "## %s\n", name)
		charts := t.charts()
		for _, c := range []string{"throughput", "cpu", "latency", "farm"} {
			if charts[c] != nil {
				fmt.Fprintf(&b, "\n![%s](%s)\n", charts[c].title, plotName(c, speed))
			}
		}
		section := ""
		for _, l := range t.lines() {
			if l.section != section {
				section = l.section
				fmt.Fprintf(&b, "\n| %s | C usbmuxd | ours | ratio | target | | limit | null |\n|---|---|---|---|---|---|---|---|\n", section)
			}
			verdict := l.verdict
			if verdict == "missed" {
				verdict = "**missed**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", l.label, l.c, l.ours, l.ratio, l.target, verdict, l.limit, l.null)
		}
		t.shares(&b)
		b.WriteString("\n")
	}
	if errs := errorList(file); len(errs) > 0 {
		b.WriteString("## Runs without a figure\n\n")
		for _, e := range errs {
			b.WriteString("- " + strings.TrimPrefix(e, "no figure: ") + "\n")
		}
		b.WriteString("\n")
	}
	b.WriteString("## How to take them\n\n`make bench` takes all of this, sets up what it needs, and writes this page. For a part of it,\n" +
		"`make bench BENCH=throughput ROUNDS=3 SPEED=high` prints a table; `make bench BENCH=down PROFILE=cpu` leaves profiles in `dist/profile`.\n" +
		"`make bench-go` runs the benchmarks in one process, for benchstat.\n")
	return b.String()
}

// shares says who has used the processors in the transfers, in seconds per GiB.
func (t table) shares(b *strings.Builder) {
	began := false
	for _, way := range []string{"down", "up", "echo"} {
		for _, n := range []string{"1", "8", "64"} {
			for _, d := range daemons {
				value := func(name string) figure {
					return t.figure(&row{keys: []string{way + "." + name + "/" + n}}, d)
				}
				daemon := value("cpu")
				if !daemon.is() {
					continue
				}
				if !began {
					began = true
					b.WriteString("\nWhere the processors' time went, seconds per GiB (the rest of the kernel is what ran in none of the three processes):\n\n" +
						"| sessions | | daemon | phone | client | rest of the kernel | processors idle |\n|---|---|---|---|---|---|---|\n")
				}
				cells := []string{}
				for _, f := range []figure{daemon, value("share.phone"), value("share.client"), value("share.kernel")} {
					cells = append(cells, number(f.median))
				}
				fmt.Fprintf(b, "| %s, %s | %s | %s | %.0f %% |\n", way, n, title(d), strings.Join(cells, " | "), 100*value("share.idle").median)
			}
		}
	}
}
