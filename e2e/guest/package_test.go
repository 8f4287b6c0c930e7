//go:build guest

package guest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// Our packages, of which the second is the newer build.
const (
	firstDeb  = "/job/gomuxd_1.deb"
	secondDeb = "/job/gomuxd_2.deb"
)

// cDeb packs the C daemon's package again from what is installed of it, with the
// maintainer scripts of Debian.
func cDeb(t *testing.T) (file string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "usbmuxd")
	control := filepath.Join(root, "DEBIAN")
	does(t, os.MkdirAll(control, 0o755))
	list, err := tool("dpkg-query", "--listfiles", "usbmuxd")
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(list) {
		name = strings.TrimSpace(name)
		info, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // documentation, which this machine goes without
		}
		does(t, err, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755))
		if _, err := tool("cp", "-p", name, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	scripts, err := filepath.Glob("/var/lib/dpkg/info/usbmuxd.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		switch ext := filepath.Ext(s); ext {
		case ".preinst", ".postinst", ".prerm", ".postrm":
			if _, err := tool("cp", "-p", s, filepath.Join(control, ext[1:])); err != nil {
				t.Fatal(err)
			}
		}
	}
	status, err := tool("dpkg-query", "--status", "usbmuxd")
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(status) {
		if !strings.HasPrefix(line, "Status:") {
			kept = append(kept, line)
		}
	}
	does(t, os.WriteFile(filepath.Join(control, "control"), []byte(strings.TrimSpace(strings.Join(kept, ""))+"\n"), 0o644))
	file = root + ".deb"
	if _, err := tool("dpkg-deb", "--build", root, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// dpkg runs the package manager.
func dpkg(t *testing.T, args ...string) {
	t.Helper()
	out, err := tool("dpkg", args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("dpkg %s:\n%s", strings.Join(args, " "), out)
}

// mainPID is the process of the service, 0 if there is none.
func mainPID(t *testing.T) int {
	t.Helper()
	out, err := tool("systemctl", "show", "--property=MainPID", "--value", "usbmuxd.service")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(out)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// serving checks that the service runs a daemon of this version, by the user that
// the phones' device nodes belong to, and returns its process.
func serving(t *testing.T, version string) (pid int) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		if state, err := tool("systemctl", "is-active", "usbmuxd.service"); err != nil || state != "active" {
			return fmt.Errorf("the service is %s: %w", state, err)
		}
		return nil
	})
	pid = mainPID(t)
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || program != "/usr/sbin/usbmuxd" {
		t.Errorf("process %d runs %q, %v", pid, program, err)
	}
	if got, err := tool("/usr/sbin/usbmuxd", "--version"); err != nil || !strings.Contains(got, version) {
		t.Errorf("want version %s, got %q, %v", version, got, err)
	}
	owner, err := tool("ps", "-o", "user=", "-p", strconv.Itoa(pid))
	if err != nil || owner != "usbmux" {
		t.Errorf("the daemon is run by %q, %v", owner, err)
	}
	return pid
}

// verify checks that a package's files are as they were packed. This machine goes
// without documentation.
func verify(t *testing.T, name string) {
	t.Helper()
	out, err := tool("dpkg", "--verify", name)
	for line := range strings.Lines(out) {
		if !strings.Contains(line, " /usr/share/doc/") && !strings.Contains(line, " /usr/share/man/") {
			t.Errorf("dpkg --verify %s: %s, %v", name, line, err)
		}
	}
}

// installed checks that our package is in good order and alone.
func installed(t *testing.T) {
	t.Helper()
	verify(t, "gomuxd")
	if out, err := tool("dpkg-divert", "--list", "*usbmuxd*"); err != nil || out != "" {
		t.Errorf("diversions are left: %q, %v", out, err)
	}
	if out, _ := tool("dpkg-query", "--show", "--showformat=${db:Status-Status}", "usbmuxd"); out == "installed" {
		t.Error("the C daemon's package is still installed")
	}
	for _, unit := range []string{"usbmuxd.socket", "usbmuxd-control.socket", "usbmuxd.service"} {
		if out, err := tool("systemctl", "is-enabled", unit); err != nil || out != "enabled" {
			t.Errorf("%s is %q, %v", unit, out, err)
		}
	}
}

// marked checks that udev has marked a phone as others expect it.
func marked(t *testing.T, p *phone) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		out, err := tool("udevadm", "info", "--query=property", "--name="+node(t, p))
		for _, want := range []string{"USBMUX_SUPPORTED=1", "SYSTEMD_WANTS=usbmuxd.service", ":systemd:"} {
			if err == nil && !strings.Contains(out, want) {
				err = fmt.Errorf("want %s, got %s", want, out)
			}
		}
		return err
	})
	info, err := os.Stat(node(t, p))
	if err != nil {
		t.Fatal(err)
	}
	owner, err := tool("id", "-u", "usbmux")
	if uid := info.Sys().(*syscall.Stat_t).Uid; err != nil || owner != fmt.Sprint(uid) {
		t.Errorf("the device node is user %d's, want %s, %v", uid, owner, err)
	}
}

// underC waits until the C daemon lets clients use a phone. It may hang when it
// starts while udev is at work, and is then started anew.
func underC(t *testing.T, p *phone) {
	t.Helper()
	try := func() error {
		return repeat(30*time.Second, func() error {
			return says("SUCCESS: Validated", "idevicepair", "validate", "-u", p.UDID())(t, p)
		})
	}
	err := try()
	if err != nil {
		t.Logf("%v; the C daemon is known to hang after some starts, it is started anew", err)
		if _, err := tool("systemctl", "restart", "usbmuxd.service"); err != nil {
			t.Fatal(err)
		}
		err = try()
	}
	does(t, err)
}

// TestPackage proves that our package takes the place of Debian's usbmuxd while a
// phone is plugged in and in use, is upgraded, and gives the place back, and that
// phones which trusted this computer before go on to: through all of it, and through
// what happens to a phone and to a service in months, none asks again.
func TestPackage(t *testing.T) {
	if _, err := os.Stat(firstDeb); err != nil || !systemd() {
		t.Skip("no packages, or no systemd to run them")
	}
	theirs := cDeb(t)
	forget(t)
	if _, err := tool("systemctl", "unmask", "--runtime", "usbmuxd.service"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("journalctl", "--no-pager", "-n", "60", "-u", "usbmuxd.service").CombinedOutput()
			t.Logf("the service's log:\n%s", out)
		}
		// As other tests want it.
		_, _ = tool("dpkg", "--purge", "gomuxd")
		_, err := tool("dpkg", "--install", theirs)
		_, merr := tool("systemctl", "mask", "--now", "--runtime", "usbmuxd.service")
		if err := errors.Join(err, merr); err != nil {
			t.Error(err)
		}
	})

	// Trusted under the C daemon, which udev starts.
	p := attach(t, 0, virtualphone.Config{Passcode: passcode}, usbip.Config{})
	does(t, listed(t, p))
	_, _ = tool("idevicepair", "pair") // the dialog appears, if it has not before
	tapTrust(t, p)
	does(t, pairs(t, p))
	underC(t, p)
	serving(t, "usbmuxd 1.1.1")
	asked := p.Stats().Dialogs
	hosts := fmt.Sprint(p.State().Hosts)

	// Ours over it, in the middle of a transfer.
	transfer := make(chan error, 1)
	go func() {
		transfer <- withID(p, func(id uint32) error {
			for {
				if err := echo(id, 1<<20); err != nil {
					return err
				}
			}
		})
	}()
	staysTrusted(t, p, func() { dpkg(t, "--install", firstDeb) })
	t.Logf("the transfer ended with: %v", <-transfer)
	first := serving(t, "usbmuxd 1.2.1")
	installed(t)
	marked(t, p)
	does(t, listed(t, p), says("SUCCESS: Validated", "idevicepair", "validate")(t, p), says("Virtual iPhone", "ideviceinfo", "-k", "DeviceName")(t, p))
	record(t, p)
	muxctl(t, nil, "doctor", p.UDID()) // fails if it finds a fault in what is installed
	startUPower(t)
	upowerKnows(t, 1)

	// The service's own restarts.
	restarted := func() {
		if _, err := tool("systemctl", "restart", "usbmuxd.service"); err != nil {
			t.Fatal(err)
		}
	}
	killed := func() {
		before := mainPID(t)
		does(t, syscall.Kill(before, syscall.SIGKILL))
		eventually(t, time.Minute, func() error {
			if pid := mainPID(t); pid == 0 || pid == before {
				return errors.New("the service is not back")
			}
			return nil
		})
	}
	wornOut(t, p, cycles(100), restarted, killed)

	// Another phone, which the C daemon has never seen.
	another := attach(t, 1, virtualphone.Config{Passcode: passcode}, usbip.Config{})
	becomeTrusted(t, another)
	upowerKnows(t, 2)

	// A newer build of ours over ours. The configuration is the administrator's.
	const config = "/etc/usbmuxd.conf"
	before, err := os.ReadFile(config)
	does(t, err, os.WriteFile(config, append(before, "# kept\n"...), 0o644))
	staysTrusted(t, p, func() { staysTrusted(t, another, func() { dpkg(t, "--install", secondDeb) }) })
	if second := serving(t, "usbmuxd 1.2.2"); second == first {
		t.Error("the daemon of before is still running")
	}
	if after, err := os.ReadFile(config); err != nil || !strings.HasSuffix(string(after), "# kept\n") {
		t.Errorf("the configuration file has changed: %v", err)
	}
	does(t, os.WriteFile(config, before, 0o644)) // else it differs from the packed one
	installed(t)
	upowerKnows(t, 2)

	// The C daemon's package once more.
	dpkg(t, "--remove", "gomuxd")
	if pid := mainPID(t); pid != 0 {
		t.Errorf("the service runs without a package: %d", pid)
	}
	dpkg(t, "--install", theirs)
	for _, p := range []*phone{p, another} { // its unit is started by a plug alone
		p.Unplug()
		p.replug(t)
	}
	underC(t, p)
	underC(t, another)
	serving(t, "usbmuxd 1.1.1")
	verify(t, "usbmuxd")

	// And ours, until it is purged, which takes no record along.
	staysTrusted(t, p, func() { dpkg(t, "--install", secondDeb) })
	staysTrusted(t, another, restarted)
	record(t, another)
	dpkg(t, "--purge", "gomuxd")
	for _, p := range []*phone{p, another} {
		if _, err := os.Stat(filepath.Join(recordDir, p.UDID()+".plist")); err != nil {
			t.Error(err)
		}
	}
	dialogs(t, p, asked)
	dialogs(t, another, 1)
	if now := fmt.Sprint(p.State().Hosts); now != hosts {
		t.Errorf("the phone trusted %s, now %s", hosts, now)
	}
}
