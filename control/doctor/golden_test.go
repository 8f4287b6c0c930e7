package doctor

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomuxd/lockdown/trust"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

// TestSituations plays whole situations from the tree to the terminal.
func TestSituations(t *testing.T) {
	for _, tt := range []struct {
		name     string
		world    func(*world)
		facts    func(*Facts)
		deciding string
		result   Result
	}{
		{
			name: "nothing-plugged-in", world: func(*world) {}, facts: func(f *Facts) { daemon(f) },
			deciding: CheckCable, result: Problem,
		},
		{
			name: "charging-only",
			world: func(w *world) {
				w.plug("1-2", "12a8", map[string]string{"descriptors": descriptors(hidInterface)})
			},
			facts: func(f *Facts) {
				d := anna(string(trust.ChargingOnly), "", "")
				d.UDID, d.DeviceID, d.Name = nil, nil, ""
				daemon(f, d)
			},
			deciding: CheckCharging, result: Problem,
		},
		{
			name: "recovery",
			world: func(w *world) {
				w.plug("1-2", "1281", map[string]string{
					"product": "Apple Mobile Device (Recovery Mode)\n", "descriptors": descriptors(),
					"serial": "CPID:8110 ECID:000A1B2C3D4E5F60 SRNM:[C39XK0AAAAAA]\n",
				})
			},
			facts: func(f *Facts) {
				d := anna(string(trust.Recovery), "", "")
				d.UDID, d.DeviceID, d.Name, d.Model = nil, nil, "", ""
				daemon(f, d)
			},
			deciding: CheckRecovery, result: Problem,
		},
		{
			name: "no-permission",
			world: func(w *world) {
				w.plug("1-2", "12a8", nil)
				if err := os.Remove(w.root + "/usr/lib/udev/rules.d/39-usbmuxd.rules"); err != nil {
					w.t.Fatal(err)
				}
			},
			facts: func(f *Facts) {
				daemon(f)
				f.Daemon.UID, f.Groups = 140, []int{46}
				f.USB[0].Node.Mode = 0o664
				f.Records.UID, f.Records.Owner = 140, "usbmux:plugdev"
			},
			deciding: CheckNode, result: Problem,
		},
		{
			name: "other-daemon",
			world: func(w *world) {
				w.plug("1-2", "12a8", nil)
				w.run(812, "usbmuxd", w.root+"/dev/bus/usb/001/007")
				w.link("/proc/812/exe", "/usr/sbin/usbmuxd")
				w.link("/sys/bus/usb/devices/1-2/1-2:4.1/driver", "../../../../../bus/usb/drivers/usbfs")
				w.file("/lockdown/"+annasUDID+".plist", "secret")
				w.listen(nil)
			},
			facts:    func(*Facts) {},
			deciding: CheckOtherDaemon, result: Problem,
		},
		{
			name:  "dialog-shown",
			world: func(w *world) { w.plug("1-2", "12a8", nil) },
			facts: func(f *Facts) {
				daemon(f, anna(string(trust.DialogShown), "The phone asks its owner whether to trust this computer", "Tap Trust on the phone and enter its passcode"))
			},
			deciding: CheckDialog, result: Problem,
		},
		{
			name:  "denied",
			world: func(w *world) { w.plug("1-2", "12a8", nil) },
			facts: func(f *Facts) {
				daemon(f, anna(string(trust.Denied), "Somebody tapped Don't Trust on the phone", "Pull the cable out and plug it in again, or run \"muxctl trust\""))
			},
			deciding: CheckDenial, result: Problem,
		},
		{
			name: "trusted",
			world: func(w *world) {
				w.plug("1-2", "12a8", nil)
				w.file("/lockdown/"+annasUDID+".plist", "secret")
				w.chmod("/lockdown/"+annasUDID+".plist", 0o600)
			},
			facts: func(f *Facts) {
				d := anna(string(trust.Trusted), "", "")
				d.ExpiresInDays = ptr(28)
				daemon(f, d)
				f.Daemon.Records = append(f.Daemon.Records, annasRecord())
				f.Records.Newest = annasRecord().Saved
			},
			result: OK,
		},
		{
			name:  "record-dir-unwritable",
			world: func(w *world) { w.plug("1-2", "12a8", nil) },
			facts: func(f *Facts) {
				daemon(f, anna(string(trust.DialogShown), "The phone asks its owner whether to trust this computer", "Tap Trust on the phone and enter its passcode"))
				f.Daemon.UID, f.Groups = 140, []int{46}
			},
			deciding: CheckRecordDir, result: Problem,
		},
		{
			name: "no-daemon", world: func(w *world) { w.plug("1-2", "12a8", nil) }, facts: func(*Facts) {},
			deciding: CheckSocket, result: Problem,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.world(w)
			f := w.gather()
			tt.facts(&f)
			r := Judge(f)
			if r.Deciding != tt.deciding || r.Result != tt.result {
				t.Errorf("want %s by %q, got %s by %q: %s", tt.result, tt.deciding, r.Result, r.Deciding, r.Verdict)
			}
			var b bytes.Buffer
			if err := Render(&b, r, Style{}); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", tt.name+".golden")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := b.String(); got != string(want) {
				t.Errorf("want\n%s\ngot\n%s", want, got)
			}
			for line := range strings.Lines(b.String()) {
				if n := columns(strings.TrimSuffix(line, "\n")); n > 80 {
					t.Errorf("%d columns: %q", n, line)
				}
			}
		})
	}
}
