package vm_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gomuxd/e2e/vm"
)

// e2eVariable asks for the tests that boot machines: "short" for the quick ones,
// "full" for all. make e2e sets it.
const e2eVariable = "GOMUXD_E2E"

// needVM skips a test that boots a machine where that is not wanted or cannot be.
func needVM(t *testing.T, full bool) {
	t.Helper()
	switch asked := os.Getenv(e2eVariable); {
	case testing.Short():
		t.Skip("boots a virtual machine, not with -short")
	case asked == "":
		t.Skip("boots a virtual machine: make e2e, or set " + e2eVariable + " to short or full")
	case full && asked != "full":
		t.Skip("takes long: make e2e, or set " + e2eVariable + " to full")
	}
	if err := vm.Available(); err != nil {
		t.Fatal(err)
	}
}

// guest runs guest tests in a new machine; what they leave is then in results.
// pattern and skip are regular expressions as go test takes them.
func guest(t *testing.T, flavour vm.Flavour, limit time.Duration, daemon, pattern, skip string, cycles int, results string) {
	t.Helper()
	machine(t, vm.Config{
		Flavour: flavour,
		Env:     map[string]string{"GUEST_DAEMON": daemon, "GUEST_CYCLES": fmt.Sprint(cycles)},
		Timeout: limit,
		Results: results,
	}, pattern, skip)
}

// machine is guest with more to say about the machine: cfg lacks the program.
func machine(t *testing.T, cfg vm.Config, pattern, skip string) {
	t.Helper()
	files, err := vm.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(files, cfg.Files)
	cfg.Files, cfg.Output = files, os.Stdout
	cfg.Command = []string{"./guest.test", "-test.v", "-test.run=" + pattern, "-test.skip=" + skip,
		fmt.Sprintf("-test.timeout=%v", vm.Scale(cfg.Timeout-time.Minute))}
	r, err := vm.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s flavour, booted in %.1f s, %.1f s in all", cfg.Flavour, r.Boot.Seconds(), r.All.Seconds())
	if r.ExitCode != 0 {
		t.Errorf("the guest tests ended with %d; the console is in %s", r.ExitCode, r.Console)
	}
}

// TestVMTools proves that client programs do the same through our daemon and
// through Debian's C daemon, on real kernel USB, and prints a table of both.
func TestVMTools(t *testing.T) {
	needVM(t, false)
	dirs := [2]string{t.TempDir(), t.TempDir()}
	for i, daemon := range []string{"c", "gomuxd"} {
		t.Run(daemon, func(t *testing.T) { guest(t, vm.Udev, 15*time.Minute, daemon, "^TestTools$", "^$", 100, dirs[i]) })
	}
	for _, speed := range []string{"high", "super"} {
		fmt.Printf("\n%-40s %18s %18s\n", speed+" speed, s", "C usbmuxd", "gomuxd")
		c, ours := steps(t, dirs[0], speed), steps(t, dirs[1], speed)
		for _, o := range ours {
			theirs := []string{"", "-", "-"} // left out
			if i := slices.IndexFunc(c, func(s []string) bool { return s[0] == o[0] }); i >= 0 {
				theirs = c[i]
			}
			fmt.Printf("%-40s %8s %9s %8s %9s\n", o[0], theirs[1], theirs[2], o[1], o[2])
		}
	}
}

// steps reads the lines that TestTools of the guest leaves: name, verdict, time.
func steps(t *testing.T, dir, speed string) [][]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "steps-"+speed+".tsv"))
	if err != nil {
		t.Error(err)
	}
	var all [][]string
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) == 3 {
			all = append(all, f)
		}
	}
	return all
}

// TestVMShort proves on the fast flavour, without udevd, that phones come, go,
// carry data, and come to trust this computer.
func TestVMShort(t *testing.T) {
	needVM(t, false)
	guest(t, vm.Fast, 10*time.Minute, "gomuxd", "^(TestReplugCycles|TestManyPhones|TestPacketSizes|TestTrust(FirstConnection|Unpaired|BelowMux))$", "^$", 5, "")
}

// TestVMGuest proves all that the guest tests say, with udevd and with systemd.
// TestTools is TestVMTools' part.
func TestVMGuest(t *testing.T) {
	needVM(t, true)
	for _, flavour := range []vm.Flavour{vm.Udev, vm.Systemd} {
		cycles := 100
		if flavour == vm.Systemd {
			cycles = 10
		}
		t.Run(string(flavour), func(t *testing.T) {
			guest(t, flavour, 90*time.Minute, "gomuxd", ".", "^TestTools$", cycles, "")
		})
	}
}

// TestVMControlGroup proves with the C daemon that the guest tests ask nothing
// of a daemon that the virtual phone makes impossible.
func TestVMControlGroup(t *testing.T) {
	needVM(t, true)
	guest(t, vm.Udev, 20*time.Minute, "c", "^(TestManyPhones|TestPacketSizes|TestOddPhones)$", "^$", 5, "")
}

// TestVMReboot proves that trust outlives restarts of the whole computer.
func TestVMReboot(t *testing.T) {
	needVM(t, true)
	dir := t.TempDir()
	machine(t, vm.Config{
		Flavour: vm.Udev,
		Timeout: 20 * time.Minute,
		Results: dir,
		Disk:    filepath.Join(dir, "disk"),
		Reboot:  true,
	}, "^TestHostReboot$", "^$")
	const boots = 3
	b, err := os.ReadFile(filepath.Join(dir, "boots"))
	if n := len(strings.Fields(string(b))); err != nil || n != boots {
		t.Errorf("want %d boots, got %d, %v", boots, n, err)
	}
}
