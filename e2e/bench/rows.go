package main

import (
	"fmt"

	"gomuxd/e2e/bench/result"
)

// row is one line of the table: a figure of all daemons, and what ours should be.
type row struct {
	section string
	label   string
	unit    string
	keys    []string // measure.value; several are the mean of them, but for largest
	largest bool
	more    bool // more is better

	// Targets, 0 for none. All that are set must hold, but
	// being near the limit makes up for the ratio.
	ratio float64 // ours to C's, at least if more is better, else at most
	goal  float64 // a ratio beyond it that would be welcome
	limit string  // key of the most that there can be; limitShare of it is enough
	most  float64 // ours
	least float64 // ours
}

// limitShare is how near to the limit is near enough.
const limitShare = 0.8

// none is what counts as no allocation per MiB: a few of the start in many.
const none = 0.05

var rows = makeRows()

func makeRows() []row {
	var all []row
	speed := map[string][3]float64{"down": {2.4, 2.3, 2.1}, "up": {1.4, 1.6, 1.7}, "echo": {1.7, 2, 2.3}}
	cost := map[string]float64{"down": 0.30, "up": 0.42, "echo": 0.35}
	ways := []string{"down", "up", "echo"}
	for _, way := range ways {
		for i, n := range []int{1, 8, 64} {
			all = append(all, row{section: "Throughput", label: fmt.Sprintf("%s, %s", way, many(n, "session")), unit: "MiB/s",
				keys: []string{fmt.Sprintf("%s.mibs/%d", way, n)}, more: true, ratio: speed[way][i],
				limit: fmt.Sprintf("%s.limit/%d", way, n)})
		}
	}
	for _, way := range ways {
		all = append(all, row{section: "Daemon's processor time", label: way + ", mean of 1, 8, 64 sessions", unit: "s/GiB",
			keys: []string{way + ".cpu/1", way + ".cpu/8", way + ".cpu/64"}, ratio: cost[way]})
	}
	for _, way := range ways {
		all = append(all, row{section: "Daemon's processor time", label: way + ", context switches, mean", unit: "/MiB",
			keys: []string{way + ".switches/1", way + ".switches/8", way + ".switches/64"}})
	}
	for _, n := range []int{1, 4, 16, 32} {
		r := row{section: "Many phones", label: many(n, "phone") + " of 32, down, sum", unit: "MiB/s",
			keys: []string{fmt.Sprintf("farm.mibs/%d", n)}, more: true}
		if n >= 16 {
			r.ratio = 2
		}
		all = append(all, r)
	}
	for _, n := range []int{4, 16, 32} {
		r := row{section: "Many phones", label: fmt.Sprintf("%d phones, farthest from the mean", n), unit: "%",
			keys: []string{fmt.Sprintf("farm.unfair/%d", n)}}
		if n >= 16 {
			r.most = 10
		}
		all = append(all, r)
	}
	return append(all,
		row{section: "Latency", label: "connect, p50", unit: "ms", keys: []string{"connect.connect.p50"}, ratio: 1, goal: 0.7},
		row{section: "Latency", label: "connect, p99", unit: "ms", keys: []string{"connect.connect.p99"}, ratio: 1, goal: 0.7},
		row{section: "Latency", label: "connect beside 8 busy sessions, p50", unit: "ms", keys: []string{"busyconnect.connect.p50"}},
		row{section: "Latency", label: "connect beside 8 busy sessions, p99", unit: "ms", keys: []string{"busyconnect.connect.p99"}},
		row{section: "Latency", label: "64 bytes there and back, p50", unit: "ms", keys: []string{"roundtrip.roundtrip.p50"}, ratio: 0.8},
		row{section: "Latency", label: "64 bytes there and back, p99", unit: "ms", keys: []string{"roundtrip.roundtrip.p99"}, ratio: 0.8},
		row{section: "Latency", label: "daemon's processor time for a connect", unit: "ms", keys: []string{"connect.cpu"}},
		row{section: "Latency", label: "daemon's processor time there and back", unit: "ms", keys: []string{"roundtrip.cpu"}},
		row{section: "Requests and events", label: "ListDevices, 1 phone", unit: "/s", keys: []string{"list.persecond"}, more: true},
		row{section: "Requests and events", label: "ListDevices, 32 phones", unit: "/s", keys: []string{"farm.persecond"}, more: true},
		row{section: "Requests and events", label: "first to last of 100 listeners", unit: "ms", keys: []string{"replug.fanout"}},
		row{section: "Requests and events", label: "plug to listed", unit: "ms", keys: []string{"replug.plugged"}},
		row{section: "Requests and events", label: "unplug to told", unit: "ms", keys: []string{"replug.unplugged"}},
		row{section: "Requests and events", label: "start to serving, 1 phone", unit: "ms", keys: []string{"idle.serving"}},
		row{section: "Requests and events", label: "start to serving, 32 phones", unit: "ms", keys: []string{"farm.serving"}},
		row{section: "Beside what is stuck", label: "loss beside a stuck client", unit: "%", keys: []string{"stuckclient.loss"}, most: 5},
		row{section: "Beside what is stuck", label: "loss beside a stuck phone", unit: "%", keys: []string{"stuckphone.loss"}, most: 5},
		row{section: "Beside a client that floods", label: "of their fair share, 8 others get, down", unit: "%", keys: []string{"flood.share/down"}, more: true, least: 90},
		row{section: "Beside a client that floods", label: "of their fair share, 8 others get, up", unit: "%", keys: []string{"flood.share/up"}, more: true, least: 90},
		row{section: "Memory and rest", label: "peak RSS, start", unit: "MB", keys: []string{"idle.rss.start"}},
		row{section: "Memory and rest", label: "peak RSS, idle", unit: "MB", keys: []string{"idle.rss"}, most: 10},
		row{section: "Memory and rest", label: "peak RSS, 1,000 idle sessions", unit: "MB", keys: []string{"sessions.rss"}, most: 20},
		row{section: "Memory and rest", label: "peak RSS, 64 busy sessions", unit: "MB",
			keys: []string{"down.rss/64", "up.rss/64", "echo.rss/64"}, largest: true, ratio: 1},
		row{section: "Memory and rest", label: "wake-ups, idle", unit: "/s", keys: []string{"idle.wakeups"}, most: 1},
		row{section: "Memory and rest", label: "allocations, in one process", unit: "/MiB", keys: []string{"allocations.permib"}, most: none},
	)
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// target is what the row asks of our daemon, in words.
func (r *row) target() string {
	sign := "≤"
	if r.more {
		sign = "≥"
	}
	switch {
	case r.ratio > 0 && r.goal > 0:
		return fmt.Sprintf("%s %.1f×, goal %.1f×", sign, r.ratio, r.goal)
	case r.ratio > 0 && r.limit != "":
		return fmt.Sprintf("%s %.1f× or %.0f %% of limit", sign, r.ratio, 100*limitShare)
	case r.ratio > 0:
		return fmt.Sprintf("%s %.3g×", sign, r.ratio)
	case r.most == none:
		return "0"
	case r.most > 0:
		return fmt.Sprintf("≤ %g %s", r.most, r.unit)
	case r.least > 0:
		return fmt.Sprintf("≥ %g %s", r.least, r.unit)
	}
	return ""
}

// judge says whether our daemon reaches the target; "" if there is none, or no
// figure to judge by.
func (r *row) judge(ours, limit, ratio figure) string {
	if !ours.is() || r.target() == "" {
		return ""
	}
	if ours.failed > 0 {
		return "missed" // a figure that only some runs have reached is none
	}
	ok := true
	if r.most > 0 {
		ok = ours.median <= r.most
	}
	if r.least > 0 {
		ok = ok && ours.median >= r.least
	}
	if r.ratio > 0 {
		if !ratio.is() {
			return ""
		}
		reached := ratio.median <= r.ratio
		if r.more {
			reached = ratio.median >= r.ratio
		}
		near := limit.is() && ours.median >= limitShare*limit.median
		ok = ok && (reached || near)
	}
	switch {
	case !ok:
		return "missed"
	case r.goal > 0 && ratio.median <= r.goal:
		return "ok, goal reached"
	}
	return "ok"
}

// daemons are all, in the order of plots.
var daemons = []string{result.C, result.Base, result.Ours, result.Null}
