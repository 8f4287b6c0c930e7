//go:build guest

package guest_test

import (
	"os"
	"testing"
	"time"
	"unsafe"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// usbfsControl is USBDEVFS_CONTROL of linux/usbdevice_fs.h, on 64-bit machines.
const usbfsControl = 0xc0185500 // struct usbdevfs_ctrltransfer

// vendorIn does a request to the phone that is answered by one byte.
func (n usbfs) vendorIn(request byte, index uint16) (answer byte, err error) {
	arg := struct {
		kind, request        byte
		value, index, length uint16
		timeout              uint32 // ms
		data                 *byte
	}{kind: 0xc0, request: request, index: index, length: 1, timeout: 5000, data: &answer}
	return answer, n.ioctl(usbfsControl, unsafe.Pointer(&arg))
}

// TestOutsideModeSwitch proves that the daemon follows calmly when another
// program switches the USB mode of a phone that it drives: the phone is detached
// once and attached once, in the new mode where the policy keeps modes and back
// in the daemon's own otherwise, and another phone never notices.
func TestOutsideModeSwitch(t *testing.T) {
	skipC(t, "loses the phone at times when it leaves the bus")
	for _, tt := range []struct {
		name, env string
		after     int
	}{
		{"kept", "USBMUXD_DEFAULT_DEVICE_MODE=0", 3},
		{"switched back", "USBMUXD_DEFAULT_DEVICE_MODE=1", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := start(t, tt.env)
			p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
			other := attach(t, 1, virtualphone.Config{}, usbip.Config{})
			ids := visible(t, p, other)
			quiet, err := dial(ids[other.UDID()], virtualphone.EchoPort)
			if err != nil {
				t.Fatal(err)
			}
			defer quiet.Close()
			l := listen(t)
			for range 2 { // the phones that are there
				if ev, err := l.next(time.Minute); err != nil || ev.kind != "Attached" {
					t.Fatalf("want Attached, got %+v, %v", ev, err)
				}
			}

			f, err := os.OpenFile(node(t, p), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			const setMode = 0x52
			answer, err := usbfs{f}.vendorIn(setMode, 3)
			f.Close()
			if err != nil || answer != 0 {
				t.Fatalf("want the phone to agree, got %d, %v", answer, err)
			}

			if ev := l.await(t, "Detached", p); ev.device != ids[p.UDID()] {
				t.Fatalf("want device %d detached, got %d", ids[p.UDID()], ev.device)
			}
			ev := l.await(t, "Attached", p)
			if err := echo(ev.device, 100_000); err != nil {
				t.Error(err)
			}
			if p.gadget.Mode() != tt.after {
				t.Errorf("want mode %d, got %d", tt.after, p.gadget.Mode())
			}
			if err := echoOn(quiet, 100_000); err != nil {
				t.Errorf("the other phone's old connection: %v", err)
			}
			if now := visible(t, p, other); now[p.UDID()] != ev.device {
				t.Errorf("want device %d to stay, got %d", ev.device, now[p.UDID()])
			}
			calm(t, d)
		})
	}
}
