package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// verdict is what came of one line of the report.
type verdict string

const (
	pass     verdict = "pass" // as it should be, or a habit of the phone that was measured
	fail     verdict = "fail"
	notTried verdict = "not tried"
)

// Lines of the report.
const (
	lineDescriptors   = "USB descriptors"
	linePlug          = "plug to listed"
	lineMode          = "USB mode"
	lineConfiguration = "configuration and endpoints"
	lineVersion       = "VERSION answered"
	lineSetup         = "SETUP taken"
	lineIdentity      = "lockdown answers before trust"

	lineLocked      = "locked: Pair refused"
	lineUnlock      = "unlocking raises the dialog"
	lineDialog      = "Pair raises the dialog"
	lineDeny        = "Don't Trust ends in denied"
	lineDenyNote    = "request_pair at Don't Trust"
	lineDenyAgain   = "Pair right after Don't Trust"
	lineSecond      = "second dialog for this computer"
	lineTapNote     = "request_pair at Trust"
	linePasscode    = "request_pair at the passcode"
	lineTrusted     = "trusted"
	lineSession     = "session and service by TLS"
	lineUp          = "file to the phone"
	lineDown        = "file back, the same bytes"
	lineBorderOut   = "packets that fill the last USB packet, to the phone"
	lineBorderIn    = "packets that fill the last USB packet, from the phone"
	lineRemoved     = "file removed"
	linePull        = "unplugged in mid-transfer"
	lineReplug      = "replug to listed"
	lineStill       = "replug: trusted without a dialog"
	lineSwitch      = "USB mode 3 and back to 1"
	lineJoined      = "two packets in one USB transfer"
	lineForgotten   = "phone forgets this computer again"
	lineLargestIn   = "largest packet from the phone"
	lineLargestOut  = "largest packet to the phone"
	lineWindow      = "window of the phone"
	lineAcks        = "acknowledgements of the phone"
	lineTogether    = "packets joined or split by the phone"
	lineRecovered   = "USB transfers repeated"
	lineComplaints  = "complaints of the daemon"
	lineServiceBack = "service as it was before"
)

// line is one line of the report.
type line struct {
	name    string
	verdict verdict // "" while nothing is known
	value   string
}

// report is what was found out, in the order of the steps.
type report struct{ lines []line }

// plan adds lines to the report that are still to be filled in.
func (r *report) plan(names ...string) {
	for _, n := range names {
		r.lines = append(r.lines, line{name: n})
	}
}

// set fills in a line, once: what came first stands.
func (r *report) set(name string, v verdict, format string, args ...any) {
	i := slices.IndexFunc(r.lines, func(l line) bool { return l.name == name })
	if i < 0 {
		panic("no such line: " + name)
	}
	if r.lines[i].verdict == "" {
		r.lines[i].verdict, r.lines[i].value = v, fmt.Sprintf(format, args...)
	}
}

// open lists those of the lines that are still to be filled in.
func (r *report) open(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return r.of(n).verdict != "" })
}

func (r *report) of(name string) line {
	for _, l := range r.lines {
		if l.name == name {
			return l
		}
	}
	return line{}
}

// counts says how many lines have each verdict.
func (r *report) counts() map[verdict]int {
	n := make(map[verdict]int)
	for _, l := range r.lines {
		n[l.verdict]++
	}
	return n
}

// table is the lines, for a file that is read as it is or as Markdown.
func (r *report) table() string {
	head := line{"what", "verdict", "measured"}
	wide, long := 0, 0
	for _, l := range append([]line{head}, r.lines...) {
		wide, long = max(wide, len(l.name)), max(long, len(l.verdict))
	}
	var b strings.Builder
	row := func(l line) {
		fmt.Fprintf(&b, "| %-*s | %-*s | %s |\n", long, l.verdict, wide, l.name, strings.ReplaceAll(l.value, "|", "/"))
	}
	row(head)
	fmt.Fprintf(&b, "|%s|%s|---|\n", strings.Repeat("-", long+2), strings.Repeat("-", wide+2))
	for _, l := range r.lines {
		row(l)
	}
	return b.String()
}

// seconds is a time as the report has it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// rate is bytes over time as the report has it.
func rate(bytes int64, d time.Duration) string {
	return fmt.Sprintf("%s in %.1f s, %.1f MiB/s", sizeText(bytes), d.Seconds(), float64(bytes)/(1<<20)/max(d.Seconds(), 1e-9))
}

// sizeText says a number of bytes as people do.
func sizeText(n int64) string {
	for _, u := range []struct {
		unit  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.bytes {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(u.bytes)), ".0") + " " + u.unit
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
