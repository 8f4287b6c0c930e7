//go:build guest

package guest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// step is one thing that people do with a phone.
type step struct {
	name string
	do   func(t *testing.T, p *phone) error
}

// says runs a client program that must succeed and print want.
func says(want, name string, args ...string) func(*testing.T, *phone) error {
	return func(*testing.T, *phone) error {
		out, err := tool(name, args...)
		if err == nil && !strings.Contains(out, want) {
			err = fmt.Errorf("%s %v: want %q, got %q", name, args, want, out)
		}
		return err
	}
}

// refuses runs a client program that must fail and print want.
func refuses(want, name string, args ...string) func(*testing.T, *phone) error {
	return func(*testing.T, *phone) error {
		out, err := tool(name, args...)
		if err == nil || !strings.Contains(out, want) {
			return fmt.Errorf("%s %v: want a failure with %q, got %q, %v", name, args, want, out, err)
		}
		return nil
	}
}

func listed(_ *testing.T, p *phone) error {
	return repeat(time.Minute, func() error {
		out, err := tool("idevice_id", "-l")
		if err == nil && out != p.UDID() {
			err = fmt.Errorf("idevice_id -l: want %s, got %q", p.UDID(), out)
		}
		return err
	})
}

func notListed(_ *testing.T, p *phone) error {
	return repeat(time.Minute, func() error {
		if all, err := devices(); err != nil || len(all) > 0 {
			return fmt.Errorf("want no phone, got %v, %v", all, err)
		}
		return nil
	})
}

// unplugStep is the first step with an unplug.
const unplugStep = "unplug: gone"

// steps are the demo's sequence and more, in order.
var steps = []step{
	{"phone is listed", listed},
	{"basic values without pairing", says("iPhone14,5", "ideviceinfo", "-s", "-k", "ProductType")},
	{"pairing waits for the dialog", refuses("accept the trust dialog", "idevicepair", "pair")},
	{"owner taps trust, enters passcode", func(_ *testing.T, p *phone) error {
		return errors.Join(p.TapTrust(), p.EnterPasscode("1234"))
	}},
	{"pairing", pairs},
	{"validation", says("SUCCESS: Validated", "idevicepair", "validate")},
	{"values over TLS", says("Virtual iPhone", "ideviceinfo", "-k", "DeviceName")},
	{"all values", says("UniqueDeviceID: "+udid(0), "ideviceinfo")},
	{"name", says("Virtual iPhone", "idevicename")},
	{"diagnostics", says("<key>GasGauge</key>", "idevicediagnostics", "diagnostics", "GasGauge")},
	{"system log", syslog},
	{"ifuse: 4 MiB there and back", ifuse},
	{"echo 1 MiB", func(t *testing.T, p *phone) error { return withID(p, func(id uint32) error { return echo(id, 1<<20) }) }},
	{unplugStep, func(t *testing.T, p *phone) error { p.Unplug(); return notListed(t, p) }},
	{"replug: back", func(t *testing.T, p *phone) error { p.replug(t); return listed(t, p) }},
	{"still trusted", says("SUCCESS: Validated", "idevicepair", "validate")},
	{"unpairing", says("SUCCESS: Unpaired", "idevicepair", "unpair")},
	{"no longer trusted", refuses("", "idevicepair", "validate")},
	{"owner denies", func(t *testing.T, p *phone) error {
		err := refuses("accept the trust dialog", "idevicepair", "pair")(t, p)
		return errors.Join(err, p.TapDontTrust(), refuses("denied the trust dialog", "idevicepair", "pair")(t, p))
	}},
	{"phone counts no violation", func(_ *testing.T, p *phone) error {
		if v := p.Violations(); v.Total() > 0 {
			return fmt.Errorf("%v %v", v, p.ViolationNotes())
		}
		return nil
	}},
}

// pairs runs idevicepair until it has paired. The C daemon, told by the phone of
// the tap, pairs at the same time with keys of its own, which may make the phone
// ask once more.
func pairs(_ *testing.T, p *phone) error {
	return repeat(30*time.Second, func() error {
		err := says("SUCCESS: Paired", "idevicepair", "pair")(nil, p)
		if err != nil && p.State().Dialog == virtualphone.TrustDialog {
			_ = p.TapTrust() // or the next round
		}
		if err != nil && p.State().Dialog == virtualphone.PasscodeDialog {
			_ = p.EnterPasscode("1234")
		}
		return err
	})
}

func withID(p *phone, do func(uint32) error) error {
	all, err := devices()
	if err == nil && all[p.UDID()] == 0 {
		err = fmt.Errorf("phone %s is not listed", p.UDID())
	}
	if err != nil {
		return err
	}
	return do(all[p.UDID()])
}

func ifuse(t *testing.T, _ *phone) error {
	mount := filepath.Join(t.TempDir(), "phone")
	if err := os.Mkdir(mount, 0o700); err != nil {
		return err
	}
	if _, err := tool("ifuse", mount); err != nil {
		return err
	}
	defer exec.Command("fusermount3", "-u", "-z", mount).Run() // if something has failed before
	data := bytes.Repeat([]byte("sixteen bytes..\n"), 1<<18)
	name := filepath.Join(mount, "Downloads", "file")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		return err
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, data) {
		return fmt.Errorf("want the %d bytes back, got %d, %v", len(data), len(got), err)
	}
	_, err = tool("fusermount3", "-u", mount)
	return err
}

// syslog reads a line of the phone's log while the phone writes it.
func syslog(t *testing.T, p *phone) error {
	ctx, cancel := context.WithTimeout(t.Context(), scaled(30*time.Second))
	defer cancel()
	cmd := exec.CommandContext(ctx, "stdbuf", "-oL", "idevicesyslog", "-u", p.UDID())
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // ended by the line above
	}()
	p.Logf("guest", "hello from the phone")
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "hello from the phone") {
			return nil
		}
	}
	return errors.New("idevicesyslog does not show the phone's line")
}

// TestTools proves that Debian's client programs do with a phone on real kernel
// USB, at both speeds, all that people do with them. It leaves a line for each
// step in /out, for the table of both daemons.
func TestTools(t *testing.T) {
	for _, speed := range []usbip.Speed{usbip.High, usbip.Super} {
		t.Run(speed.String(), func(t *testing.T) {
			start(t)
			p := attach(t, 0, virtualphone.Config{Passcode: "1234"}, usbip.Config{Speed: speed})
			var lines strings.Builder
			unplugged := false // the C daemon may hang from then on
			for _, s := range steps {
				unplugged = unplugged || s.name == unplugStep
				begin := time.Now()
				err := s.do(t, p)
				verdict := "ok"
				if err != nil && againstC() && unplugged {
					t.Logf("%s: %v; the C daemon is known to hang after an unplug, the rest is left out", s.name, err)
					fmt.Fprintf(&lines, "%s\thangs\t%.2f\n", s.name, time.Since(begin).Seconds())
					break
				}
				if err != nil {
					verdict = "FAILED"
					t.Errorf("%s: %v", s.name, err)
				}
				fmt.Fprintf(&lines, "%s\t%s\t%.2f\n", s.name, verdict, time.Since(begin).Seconds())
			}
			if err := os.WriteFile("/out/steps-"+speed.String()+".tsv", []byte(lines.String()), 0o644); err != nil {
				t.Error(err)
			}
		})
	}
}
