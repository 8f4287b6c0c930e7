// Command bench is the benchmark's part inside the virtual machine. It plugs
// virtual iPhones in, starts one daemon after the other, measures each as a
// client, and leaves all figures in a file:
//
//	bench -out FILE [OPTIONS]   the client, and the order of the runs
//	bench phone SPEED           the process of the virtual phones
//	bench null                  a daemon that only moves bytes, see null.go
//
// One run is one measure with one daemon, started for it and stopped after it.
// The runs of a measure follow each other with the daemons in turn, and the other
// way round in the next round, so that a machine which drifts hits all alike.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gomuxd/e2e/bench/result"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "phone":
		err = servePhones(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "null":
		err = serveNull()
	default:
		err = measureAll()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// scaled multiplies a timeout by the factor of the run.
func scaled(d time.Duration) time.Duration {
	if f, err := strconv.ParseFloat(os.Getenv("GOMUXD_TIMEOUT_FACTOR"), 64); err == nil && f > 0 {
		return time.Duration(float64(d) * f)
	}
	return d
}

// oneProcessor is for phone and client, which have one thing to do at a time: with two,
// Go's scheduler wakes a thread for each goroutine that becomes ready, to take it from
// the one that has just made it so, and the daemon waits for that.
func oneProcessor() { runtime.GOMAXPROCS(1) }

// measureAll makes all runs.
func measureAll() error {
	var (
		file     result.File
		measures = flag.String("measures", "", "names, with commas")
		speeds   = flag.String("speeds", "high", "high, super or both, with a comma")
		daemons  = flag.String("daemons", "", "c, ours, base, null, with commas")
		env      = flag.String("env", "", "NAME=VALUE, with commas, for our daemon")
		profile  = flag.String("profile", "", "cpu, block, mutex, syscalls or events: leave a profile in the directory of -out")
		out      = flag.String("out", "/out/bench.json", "`FILE` for the result")
	)
	flag.IntVar(&file.Options.Rounds, "rounds", 5, "how often")
	flag.IntVar(&file.Options.MiB, "mib", 16, "moved in each transfer")
	flag.Parse()
	file.Options.Measures = strings.Split(*measures, ",")
	file.Options.Speeds = strings.Split(*speeds, ",")
	file.Options.Daemons = strings.Split(*daemons, ",")
	if *env != "" {
		file.Options.Env = strings.Split(*env, ",")
	}
	oneProcessor()
	if err := prepare(); err != nil {
		return err
	}
	// Daemons inherit the limit: a thousand sessions are two thousand descriptors.
	limit := syscall.Rlimit{Cur: 65536, Max: 65536}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of descriptors: %w", err)
	}
	var err error
	if file.Machine.Kernel, file.Machine.C, err = versions(); err != nil {
		return err
	}
	for _, speed := range file.Options.Speeds {
		b := &bench{file: &file, speed: speed, profile: *profile}
		if err := b.measure(); err != nil {
			return err
		}
	}
	data, err := json.Marshal(&file)
	if err != nil {
		return err
	}
	return os.WriteFile(*out, data, 0o644)
}

// bench is all runs at one speed.
type bench struct {
	file    *result.File
	speed   string
	profile string
	phones  *phones
}

func (b *bench) measure() error {
	var err error
	if b.phones, err = startPhones(b.speed); err != nil {
		return err
	}
	// Those with fewer phones come first: phones once plugged in stay.
	var todo []measure
	for _, m := range measures {
		if slices.Contains(b.file.Options.Measures, m.name) {
			todo = append(todo, m)
		}
	}
	slices.SortStableFunc(todo, func(x, y measure) int { return x.phones - y.phones })
	fmt.Printf("%s speed, kernel %s\n", b.speed, b.file.Machine.Kernel)
	for len(todo) > 0 {
		n := 1
		for n < len(todo) && todo[n].phones == todo[0].phones {
			n++
		}
		if err := b.phones.call("Plug", todo[0].phones); err != nil {
			return err
		}
		if err := settle(); err != nil {
			return err
		}
		for round := range b.file.Options.Rounds {
			for _, m := range todo[:n] {
				daemons := slices.Clone(b.file.Options.Daemons)
				if round%2 == 1 {
					slices.Reverse(daemons)
				}
				for _, d := range daemons {
					if d != result.Null || m.null {
						b.run(m, d, round)
					}
				}
			}
		}
		todo = todo[n:]
	}
	return b.phones.stop()
}

// run makes one run and notes it.
func (b *bench) run(m measure, daemon string, round int) {
	begin := time.Now()
	values, err := b.once(m, daemon, round)
	r := result.Run{Speed: b.speed, Measure: m.name, Daemon: daemon, Round: round, Values: values}
	if err != nil {
		r.Values, r.Error = nil, err.Error()
	}
	r.Seconds = time.Since(begin).Seconds()
	b.file.Runs = append(b.file.Runs, r)
	fmt.Printf("%-5s round %d  %-12s %-4s %6.1f s  %s\n", b.speed, round+1, m.name, daemon, r.Seconds, brief(&r))
}

// once makes one run. What has gone wrong anywhere is its error.
func (b *bench) once(m measure, daemon string, round int) (values map[string][]float64, err error) {
	// What an earlier run has broken is not this one's.
	if err := b.phones.call("Verdict", struct{}{}); err != nil {
		fmt.Printf("between runs: %v\n", err)
	}
	var env []string
	if daemon == result.Ours {
		env = b.file.Options.Env
	}
	d, err := start(daemon, env, m.phones)
	if err != nil {
		return nil, err
	}
	r := &run{bench: b, d: d, values: make(map[string][]float64), round: round}
	r.note("serving", d.serving.Seconds()*1e3)
	profiled, err := b.startProfile(d, m.name)
	if err == nil {
		err = m.do(r)
	}
	if profiled != nil {
		err = errors.Join(err, profiled())
	}
	err = errors.Join(err, d.stop(), b.phones.call("Verdict", struct{}{}))
	return r.values, err
}

// brief is a run in one line.
func brief(r *result.Run) string {
	if r.Error != "" {
		return "FAILED: " + r.Error
	}
	var words []string
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range r.Values {
			if !yield(name) {
				return
			}
		}
	}) {
		if strings.HasPrefix(name, "share") {
			continue
		}
		for _, v := range r.Values[name] {
			words = append(words, fmt.Sprintf("%s=%.3g", name, v))
		}
	}
	return strings.Join(words, " ")
}
