//go:build guest

package guest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

const checkCode = "471108"

// deed is what the person at the hardware check does when it prints these words.
type deed struct {
	words string
	do    func(t *testing.T, p *phone, check *os.Process) (typed []string)
}

// tapAt waits for the dialog and answers it.
func tapAt(t *testing.T, p *phone, tap func() error) {
	ctx, cancel := context.WithTimeout(context.Background(), scaled(2*time.Minute))
	defer cancel()
	_, err := p.Wait(ctx, func(s virtualphone.State) bool { return s.Dialog == virtualphone.TrustDialog })
	if err == nil {
		err = tap()
	}
	if err != nil {
		t.Error(err)
	}
}

func plugAt(t *testing.T, p *phone) {
	if _, err := p.Plug(); err != nil {
		t.Error(err)
	}
}

var enter = []string{""}

// obedient is a person who does as told.
var obedient = []deed{
	{"has a usbmuxd of its own", func(*testing.T, *phone, *os.Process) []string { return []string{"y"} }},
	{"Unplug every", func(_ *testing.T, p *phone, _ *os.Process) []string { p.Unplug(); return nil }},
	{"Unlock the iPhone and plug", func(t *testing.T, p *phone, _ *os.Process) []string { plugAt(t, p); return nil }},
	{"Lock the iPhone", func(t *testing.T, p *phone, _ *os.Process) []string {
		if err := p.Lock(); err != nil {
			t.Error(err)
		}
		return enter
	}},
	{"Unlock the iPhone. It then asks", func(t *testing.T, p *phone, _ *os.Process) []string {
		if err := p.Unlock(checkCode); err != nil {
			t.Error(err)
		}
		return nil
	}},
	{`Tap "Don't Trust"`, func(t *testing.T, p *phone, _ *os.Process) []string { tapAt(t, p, p.TapDontTrust); return nil }},
	{"it then may ask anew", func(t *testing.T, p *phone, _ *os.Process) []string { p.Unplug(); plugAt(t, p); return nil }},
	{`Tap "Trust"`, func(t *testing.T, p *phone, _ *os.Process) []string {
		tapAt(t, p, p.TapTrust)
		if p.State().Dialog == virtualphone.NoDialog {
			return nil // it wants no passcode
		}
		return enter
	}},
	{"Now type the passcode", func(t *testing.T, p *phone, _ *os.Process) []string {
		if err := p.EnterPasscode(checkCode); err != nil {
			t.Error(err)
		}
		return nil
	}},
	{"Pull the cable", func(_ *testing.T, p *phone, _ *os.Process) []string { p.Unplug(); return nil }},
	{"Plug the iPhone in again", func(t *testing.T, p *phone, _ *os.Process) []string { plugAt(t, p); return nil }},
	{"May an experiment be made", func(*testing.T, *phone, *os.Process) []string { return []string{"y"} }},
}

// hardwareCheck runs the check with a person who does the first of the deeds
// that fits, and returns its exit code and the report.
func hardwareCheck(t *testing.T, p *phone, deeds []deed, env []string, args ...string) (exit int, report string) {
	t.Helper()
	settled(t, p) // a phone that appears later would count as plugged in when asked for
	file := filepath.Join(t.TempDir(), "report.md")
	cmd := exec.Command("/job/hardware", append([]string{"--daemon", "/job/gomuxd", "--limit", scaled(2 * time.Minute).String(), "-o", file}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var screen strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&screen, lines.Text())
		if !strings.HasPrefix(lines.Text(), " -> ") {
			continue
		}
		// The prompt is out; the program may wait for its answer a moment later.
		for _, d := range deeds {
			if strings.Contains(lines.Text(), d.words) {
				for _, line := range d.do(t, p, cmd.Process) {
					if _, err := io.WriteString(in, line+"\n"); err != nil {
						t.Error(err)
					}
				}
				break
			}
		}
	}
	_ = cmd.Wait() // the exit code tells
	b, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the screen:\n%s\nthe report:\n%s", &screen, b)
		}
	})
	return cmd.ProcessState.ExitCode(), string(b)
}

// row finds a line of a report.
func row(t *testing.T, report, name string) (verdict, value string) {
	t.Helper()
	for line := range strings.Lines(report) {
		if cells := strings.Split(line, "|"); len(cells) == 5 && strings.TrimSpace(cells[2]) == name {
			return strings.TrimSpace(cells[1]), strings.TrimSpace(cells[3])
		}
	}
	t.Errorf("no line %q in the report", name)
	return "", ""
}

// TestHardwareCheck is make hardware-check, with a virtual phone on kernel USB:
// all its lines pass.
func TestHardwareCheck(t *testing.T) {
	skipC(t, "is not what is checked")
	p := attach(t, 0, virtualphone.Config{Name: "Quentin's iPhone", Passcode: checkCode}, usbip.Config{})
	active := false
	if systemd() { // here the C daemon is a service, which udev starts with the phone
		if out, err := tool("systemctl", "unmask", "--runtime", "usbmuxd.service"); err != nil {
			t.Fatal(err, out)
		}
		t.Cleanup(func() {
			if out, err := tool("systemctl", "mask", "--now", "--runtime", "usbmuxd.service"); err != nil {
				t.Error(err, out)
			}
		})
		if out, err := tool("systemctl", "start", "usbmuxd.service"); err != nil {
			t.Fatal(err, out)
		}
		active = true
	}
	size := fmt.Sprintf("%dMiB", cycles(64))
	exit, report := hardwareCheck(t, p, obedient, nil, "--size", size)
	for line := range strings.Lines(report) {
		if strings.HasPrefix(line, "|") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if exit != 0 {
		t.Errorf("exit code %d, want 0", exit)
	}
	for _, l := range []struct{ name, words string }{
		{"USB descriptors", "05ac:12a8"},
		{"plug to listed", " s after the kernel"},
		{"USB mode", "initial"},
		{"configuration and endpoints", "of 512 bytes"},
		{"VERSION answered", "version 2.0"},
		{"locked: Pair refused", "PasswordProtected"},
		{"second dialog for this computer", "only after a replug"},
		{"request_pair at the passcode", "came"},
		{"trusted", " s after"},
		{"file to the phone", "MiB in"},
		{"file back, the same bytes", "MiB in"},
		{"file removed", ""},
		{"unplugged in mid-transfer", "Detached"},
		{"replug: trusted without a dialog", " s after"},
		{"USB mode 3 and back to 1", "mode 3: ncm"},
		{"two packets in one USB transfer", "it answered neither; afterwards all is as before"},
		{"phone forgets this computer again", ""},
		{"largest packet from the phone", "32764 bytes"},
		{"packets that fill the last USB packet, to the phone", "lengths to 512 tried"},
		{"packets that fill the last USB packet, from the phone", "lengths to 512 tried"},
		{"USB transfers repeated", "none"},
		{"complaints of the daemon", "none"},
	} {
		if verdict, value := row(t, report, l.name); verdict != "pass" || !strings.Contains(value, l.words) {
			t.Errorf("%s: want pass with %q, got %s with %q", l.name, l.words, verdict, value)
		}
	}
	for _, name := range []string{"packets that fill the last USB packet, to the phone", "packets that fill the last USB packet, from the phone"} {
		if _, value := row(t, report, name); strings.Contains(value, "; 0 ") {
			t.Errorf("%s: %s", name, value)
		}
	}
	for _, secret := range []string{p.UDID(), p.Serial(), "Quentin", "02:00:5e", "VIRT0PHONE01", "350000000000006", checkCode} {
		if strings.Contains(strings.ToLower(report), strings.ToLower(secret)) {
			t.Errorf("%q is in the report", secret)
		}
	}
	if hosts := p.State().Hosts; len(hosts) > 0 {
		t.Errorf("the phone still knows %v", hosts)
	}
	// The experiment is a violation for this phone, and nothing else was.
	if v := p.Violations(); v.BadLength != 1 || v.Total() != int(v.BadLength+v.TxSeqGap) {
		t.Errorf("violations %v %v, want one of the length", v, p.ViolationNotes())
	}
	p.ClearViolations()
	if verdict, value := row(t, report, "service as it was before"); active {
		out, err := tool("systemctl", "is-active", "usbmuxd.service")
		if verdict != "pass" || err != nil || out != "active" {
			t.Errorf("the service: %s, %s; it is %s, %v", verdict, value, out, err)
		}
	}
}

// TestHardwareCheckStopped is Ctrl-C while the phone is in another USB mode: it
// comes back in its first, and knows this computer no more.
func TestHardwareCheckStopped(t *testing.T) {
	skipC(t, "is not what is checked")
	p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	skip := func(*testing.T, *phone, *os.Process) []string { return []string{"s"} }
	exit, _ := hardwareCheck(t, p, append([]deed{
		{"Lock the iPhone", skip},
		{`Tap "Don't Trust"`, skip},
		{"go to the iPhone and back", skip},
		{"Pull the cable", skip},
		{"Unplug the iPhone.", skip},
		{"switched to another USB mode", func(t *testing.T, p *phone, check *os.Process) []string {
			eventually(t, time.Minute, func() error {
				if mode := p.gadget.Mode(); mode != 3 {
					return fmt.Errorf("mode %d", mode)
				}
				return nil
			})
			if err := check.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
			return nil
		}},
	}, obedient...), nil)
	if exit != 130 {
		t.Errorf("exit code %d, want 130", exit)
	}
	if mode := p.gadget.Mode(); mode != 1 {
		t.Errorf("the phone is in USB mode %d, want 1", mode)
	}
	if hosts := p.State().Hosts; len(hosts) > 0 {
		t.Errorf("the phone still knows %v", hosts)
	}
}

// TestHardwareCheckDiskFull is a disk that has no room for a pair record: the
// report says so.
func TestHardwareCheckDiskFull(t *testing.T) {
	skipC(t, "is not what is checked")
	p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	dir := t.TempDir()
	if out, err := tool("mount", "-t", "tmpfs", "-o", "size=64k", "none", dir); err != nil {
		t.Fatal(err, out)
	}
	t.Cleanup(func() {
		if out, err := tool("umount", dir); err != nil {
			t.Error(err, out)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	skip := func(*testing.T, *phone, *os.Process) []string { return []string{"s"} }
	no := func(*testing.T, *phone, *os.Process) []string { return enter }
	exit, report := hardwareCheck(t, p, append([]deed{{"Lock the iPhone", skip}, {"May an experiment be made", no}}, obedient...), []string{"TMPDIR=" + dir}, "--size", "1MiB")
	if exit != 1 {
		t.Errorf("exit code %d, want 1", exit)
	}
	if verdict, value := row(t, report, "trusted"); verdict != "fail" || !strings.Contains(value, "disk") {
		t.Errorf("trusted: want fail for the disk, got %s with %q", verdict, value)
	}
}
