// Package result is what a run of the benchmark leaves: the figures of each
// measure, as taken, before any median.
package result

import "time"

// Daemons by name.
const (
	C    = "c"    // Debian's usbmuxd
	Ours = "ours" // this project's
	Base = "base" // this project's at another commit
	Null = "null" // what moves the bytes and does nothing else, see e2e/bench/guest
)

// File is the whole of one or several boots.
type File struct {
	Commit  string
	Date    time.Time
	Options Options
	Machine Machine
	Runs    []Run
}

// Options are how the runs were made.
type Options struct {
	Measures []string
	Daemons  []string
	Base     string   `json:",omitempty"` // commit of that daemon
	Env      []string `json:",omitempty"` // of ours, as NAME=VALUE
	Speeds   []string // of the bus: high, super
	Rounds   int
	MiB      int // moved in each transfer, by all sessions together
}

// Machine is where the runs were made.
type Machine struct {
	Host       string  // processor of the host
	Processors int     // of the guest
	Emulated   bool    // the guest's processors are QEMU's, not the host's
	Kernel     string  // of the guest
	C          string  // version of Debian's usbmuxd
	Seconds    float64 // from the first boot to the last end
	Disturbed  float64 // share of the host's processors that others used meanwhile
}

// Run is one measure, once, with a daemon started for it.
type Run struct {
	Speed   string
	Measure string
	Daemon  string
	Round   int
	Seconds float64 // start and stop of the daemon included

	// Values are the figures by name, several where the run took several.
	// A run with an error has none: a wrong byte, a failed transfer, a violation
	// of the protocol that the phone counted, a daemon that did not end well.
	Values map[string][]float64 `json:",omitempty"`
	Error  string               `json:",omitempty"`
}
