package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"gomuxd/e2e/bench/result"
	"gomuxd/e2e/vm"
)

// job is a benchmark to run in a machine.
type job struct {
	options result.Options
	env     string // of our daemon
	profile string
	dist    string // where profiles go
}

// perBoot bounds one boot: it is many times what a whole run takes.
const perBoot = 90 * time.Minute

// run boots a machine for each speed, so that nobody else waits for all of it,
// and joins what they leave.
func (j *job) run(ctx context.Context) (*result.File, error) {
	dir, err := os.MkdirTemp("", "gomuxd-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var tags []string
	if j.profile != "" {
		tags = []string{"-tags", "profile"}
	}
	files := map[string]string{"bench": filepath.Join(dir, "bench"), "gomuxd": filepath.Join(dir, "gomuxd")}
	if err := build(ctx, files["bench"], "gomuxd/e2e/bench/guest"); err != nil {
		return nil, err
	}
	if err := build(ctx, files["gomuxd"], "gomuxd/cmd/usbmuxd", tags...); err != nil {
		return nil, err
	}
	if j.options.Base != "" {
		files["gomuxd-base"] = filepath.Join(dir, "gomuxd-base")
		if err := buildBase(ctx, files["gomuxd-base"], j.options.Base); err != nil {
			return nil, err
		}
	}
	all := &result.File{Options: j.options, Commit: commit(), Date: time.Now().UTC().Truncate(time.Second)}
	all.Machine.Host, all.Machine.Processors = processor(), 2
	all.Machine.Emulated = os.Getenv("GOMUXD_VM_ACCEL") == ""
	if j.profile != "" { // CopyFS replaces nothing
		if err := os.RemoveAll(filepath.Join(j.dist, "profile")); err != nil {
			return nil, err
		}
	}
	var seconds, disturbed float64
	for _, speed := range j.options.Speeds {
		out := filepath.Join(dir, "out-"+speed)
		list := j.options.Measures
		if len(list) == len(measures["all"]) && speed == "super" {
			list = atSuperSpeed
		}
		watch := &startWatch{Writer: os.Stdout}
		r, err := vm.Run(ctx, vm.Config{
			Flavour: vm.Udev,
			Files:   files,
			Command: []string{"./bench", "-out", "/out/bench.json", "-speeds", speed, "-measures", strings.Join(list, ","),
				"-daemons", strings.Join(j.options.Daemons, ","), "-env", j.env,
				"-rounds", strconv.Itoa(j.options.Rounds), "-mib", strconv.Itoa(j.options.MiB), "-profile", j.profile},
			Timeout: perBoot,
			Output:  watch,
			Results: out,
		})
		if err != nil {
			return nil, err
		}
		if r.ExitCode != 0 {
			return nil, fmt.Errorf("the guest ended with %d; the console is in %s", r.ExitCode, r.Console)
		}
		seconds += r.All.Seconds()
		disturbed += r.All.Seconds() * watch.others.share()
		one, err := load(filepath.Join(out, "bench.json"))
		if err != nil {
			return nil, err
		}
		all.Runs = append(all.Runs, one.Runs...)
		all.Options.Env = one.Options.Env
		all.Machine.Kernel, all.Machine.C = one.Machine.Kernel, one.Machine.C
		if j.profile != "" {
			if err := os.CopyFS(filepath.Join(j.dist, "profile"), os.DirFS(filepath.Join(out, "profile"))); err != nil {
				return nil, err
			}
		}
	}
	if slices.Contains(j.options.Measures, "allocations") && j.profile == "" {
		all.Runs = append(all.Runs, allocations(ctx))
	}
	all.Machine.Seconds, all.Machine.Disturbed = seconds, disturbed/max(seconds, 1)
	return all, nil
}

// allocations runs the daemon with phone and client in one process, and notes the
// largest number of allocations per MiB of all transfers.
func allocations(ctx context.Context) result.Run {
	r := result.Run{Speed: inProcess, Measure: "allocations", Daemon: result.Ours}
	begin := time.Now()
	out, err := exec.CommandContext(ctx, "go", "test", "-tags", "virtualphone", "-run", "xxx",
		"-bench", "^BenchmarkDaemon$", "-benchtime", "1s", "gomuxd/cmd/usbmuxd").CombinedOutput()
	r.Seconds = time.Since(begin).Seconds()
	if err != nil {
		r.Error = fmt.Sprintf("%v: %s", err, out)
		return r
	}
	most, found := 0.0, false
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if i := slices.Index(f, "allocs/MiB"); i > 0 {
			n, err := strconv.ParseFloat(f[i-1], 64)
			found = found || err == nil
			most = max(most, n)
		}
	}
	if !found {
		r.Error = fmt.Sprintf("no allocs/MiB in %s", out)
		return r
	}
	r.Values = map[string][]float64{"permib": {most}}
	return r
}

// build builds a program for the guest, which has libusb.
func build(ctx context.Context, file, pkg string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", file}, args...), pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// buildBase builds the daemon of another commit.
func buildBase(ctx context.Context, file, commit string) error {
	tree := file + ".tree"
	git := func(args ...string) error {
		if out, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := git("worktree", "add", "--detach", tree, commit); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, "./cmd/usbmuxd")
	cmd.Dir = tree
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build the daemon of %s: %w\n%s", commit, err, out)
	}
	return errors.Join(err, git("worktree", "remove", "--force", tree))
}

// commit is what is measured, as git names it.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// processor is the host's.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// startWatch begins to watch others when the guest says its first word: before
// that another machine may have had its turn.
type startWatch struct {
	io.Writer
	once   sync.Once
	others others
}

func (w *startWatch) Write(b []byte) (int, error) {
	w.once.Do(func() { w.others = newOthers() })
	return w.Writer.Write(b)
}

// others watches how much of the host's processors goes to programs that are not
// ours: a busy host makes figures that mean little.
type others struct{ busy, all, ours time.Duration }

func newOthers() others {
	var o others
	o.busy, o.all = hostTime()
	o.ours = ourTime()
	return o
}

// share is between 0 and 1, since newOthers.
func (o others) share() float64 {
	now := newOthers()
	if now.all == o.all {
		return 0
	}
	return max(0, float64((now.busy-o.busy)-(now.ours-o.ours))/float64(now.all-o.all))
}

// hostTime is the time of all processors: busy, and altogether.
func hostTime() (busy, all time.Duration) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	for i, f := range strings.Fields(string(line)) {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || i > 8 {
			continue
		}
		d := time.Duration(n) * time.Second / 100
		all += d
		if i != 4 && i != 5 { // idle, iowait
			busy += d
		}
	}
	return busy, all
}

// ourTime is that of this process and of the machines that have ended.
func ourTime() time.Duration {
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return total
}
