// Command bench measures this project's daemon and Debian's C usbmuxd side by
// side: in one boot of a virtual machine, with the same virtual phones and the
// same client, in turns. It prints a table, keeps all figures in dist/bench.json,
// and writes docs/benchmarks.md with its plots after a whole run:
//
//	make bench
//	make bench BENCH=throughput ROUNDS=3 SPEED=high
//	make bench BENCH=down PROFILE=cpu
//	make bench BENCH=throughput DAEMONS=base,ours BASE=HEAD~1
//
// It prints no figure for a run in which a byte was wrong, something failed, or
// the phone counted a violation of the protocol.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"gomuxd/e2e/bench/result"
)

// measures are the guest's by the names that -bench takes.
var measures = map[string][]string{
	"throughput": {"down", "up", "echo"},
	"latency":    {"connect", "busyconnect", "roundtrip"},
	"memory":     {"idle", "sessions"},
	"isolation":  {"stuckclient", "stuckphone", "flood"},
	"all": {"idle", "down", "up", "echo", "connect", "busyconnect", "roundtrip", "list", "sessions",
		"stuckclient", "flood", "replug", "stuckphone", "farm", "allocations"},
}

// atSuperSpeed are the measures of a whole run that are taken at super speed as well:
// only its packets' size differs, since the virtual controller is no faster.
var atSuperSpeed = slices.Concat(measures["throughput"], measures["latency"])

// expand makes names of measures of what -bench says.
func expand(names string) ([]string, error) {
	var all []string
	for name := range strings.SplitSeq(names, ",") {
		group, ok := measures[name]
		if !ok && slices.Contains(measures["all"], name) {
			group, ok = []string{name}, true
		}
		if !ok {
			return nil, fmt.Errorf("no measure %q; there are %s, and all, throughput, latency, memory, isolation for several",
				name, strings.Join(measures["all"], ", "))
		}
		for _, m := range group {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var (
		names   = flag.String("bench", "all", "what to measure, with commas")
		speeds  = flag.String("speed", "high,super", "of the bus")
		rounds  = flag.Int("rounds", 5, "how often each daemon is measured")
		mib     = flag.Int("mib", 16, "MiB that a transfer moves")
		daemons = flag.String("daemons", "c,ours,null", "whom to measure: c, ours, base, null")
		base    = flag.String("base", "", "`COMMIT` of the daemon called base")
		env     = flag.String("env", "", "NAME=VALUE, with commas, for our daemon alone, such as GODEBUG and GOGC")
		profile = flag.String("profile", "", "cpu, block, mutex or syscalls, or events of all processes: leave profiles of our daemon in dist/profile, and no table")
		dist    = flag.String("dist", "dist", "directory of the figures")
		docs    = flag.String("docs", "docs", "directory of benchmarks.md and its plots")
		render  = flag.Bool("render", false, "measure nothing, write benchmarks.md of the figures that are there")
	)
	flag.Parse()
	name := filepath.Join(*dist, "bench.json")
	if *render {
		file, err := load(name)
		if err != nil {
			return err
		}
		return write(*docs, file)
	}
	list, err := expand(*names)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*dist, 0o755); err != nil {
		return err
	}
	if slices.Contains(strings.Split(*daemons, ","), result.Base) != (*base != "") {
		return errors.New("-base and the daemon base go together")
	}
	job := job{
		options: result.Options{
			Measures: list, Daemons: strings.Split(*daemons, ","), Base: *base,
			Speeds: strings.Split(*speeds, ","), Rounds: *rounds, MiB: *mib,
		},
		env:     *env,
		profile: *profile,
		dist:    *dist,
	}
	file, err := job.run(ctx)
	if err != nil || *profile != "" {
		return err
	}
	if err := save(name, file); err != nil {
		return err
	}
	printTable(os.Stdout, file)
	if len(list) == len(measures["all"]) && *daemons == flag.Lookup("daemons").DefValue && *env == "" {
		if err := write(*docs, file); err != nil {
			return err
		}
	}
	return failures(file)
}

// failures is an error if any run of our own daemon, or of the null daemon, has
// failed. What the C daemon cannot do is its own affair, and shown.
func failures(file *result.File) error {
	var errs []error
	for _, r := range file.Runs {
		if r.Error != "" && r.Daemon != result.C {
			errs = append(errs, fmt.Errorf("%s, %s speed, round %d: %s", r.Measure, r.Speed, r.Round+1, r.Error))
		}
	}
	return errors.Join(errs...)
}

func load(name string) (*result.File, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	file := new(result.File)
	if err := json.Unmarshal(b, file); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return file, nil
}

func save(name string, file *result.File) error {
	b, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}
