package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomuxd/control"
	"gomuxd/hotplug"
)

// TestGatherAndJudge changes one thing in the tree of a computer with a phone
// and asks for what a check makes of it.
func TestGatherAndJudge(t *testing.T) {
	const dir = "/sys/bus/usb/devices/1-2"
	for _, tt := range []struct {
		name   string
		world  func(*world)
		id     string
		result Result
		found  string // part of Found
	}{
		{"phone", func(*world) {}, CheckCable, OK, "05ac:12a8"},
		{"no usb", func(w *world) { w.remove("/sys/bus/usb") }, CheckCable, Problem, "no USB at all"},
		{"not the one", func(w *world) { w.o.Device = "Bea's iPad" }, CheckCable, Problem, `"Bea's iPad" is not plugged in`},
		{"the one, abbreviated", func(w *world) { w.o.Device = "00008110-000a" }, CheckCable, OK, "iPhone"},
		{"the one, by port", func(w *world) { w.o.Device = "1-2" }, CheckCable, OK, "iPhone"},
		{"only a keyboard", func(w *world) {
			w.remove(dir)
			w.plug("1-3", "024f", map[string]string{"product": "Apple Keyboard\n", "descriptors": descriptors(hidInterface)})
		}, CheckCable, Problem, "Apple Keyboard at port 1-3"},
		{"not authorized", func(w *world) { w.file(dir+"/authorized", "0\n") }, CheckAuthorized, Problem, "refused"},
		{"authorized", func(*world) {}, CheckAuthorized, OK, ""},
		{"buttons only", func(w *world) { w.file(dir+"/descriptors", descriptors(hidInterface)) }, CheckCharging, Problem, "no data"},
		{"no interface", func(w *world) { w.file(dir+"/descriptors", descriptors()) }, CheckCharging, Problem, "no data"},
		{"data", func(*world) {}, CheckCharging, OK, ""},
		{"speed", func(*world) {}, CheckPort, OK, "480 Mbit/s, directly"},
		{"super speed", func(w *world) { w.file(dir+"/speed", "10000\n") }, CheckPort, OK, "10 Gbit/s"},
		{"slow", func(w *world) { w.file(dir+"/speed", "12\n") }, CheckPort, Note, "12 Mbit/s"},
		{"over current", func(w *world) {
			w.file("/sys/bus/usb/devices/usb1/1-0:1.0/usb1-port2/over_current_count", "3\n")
		}, CheckPort, Note, "cut the power 3 times"},
		{"over current behind a hub", func(w *world) {
			w.remove(dir)
			w.plug("1-4.3", "12a8", nil)
			w.file("/sys/bus/usb/devices/1-4/1-4:1.0/1-4-port3/over_current_count", "1\n")
		}, CheckPort, Note, "cut the power once"},
		{"over current, nothing there", func(w *world) {
			w.remove(dir)
			w.file("/sys/bus/usb/devices/usb1/1-0:1.0/usb1-port5/over_current_count", "7\n")
		}, CheckCable, Problem, "Port 1-5 has cut the power 7 times"},
		{"no over current", func(w *world) {
			w.file("/sys/bus/usb/devices/usb1/1-0:1.0/usb1-port2/over_current_count", "0\n")
		}, CheckPort, OK, "480 Mbit/s, directly"},
		{"unconfigured", func(w *world) { w.file(dir+"/bConfigurationValue", "\n") }, CheckPort, Note, "Nothing has configured"},
		{"hub", func(w *world) {
			w.remove(dir)
			w.file("/sys/bus/usb/devices/1-4/product", "USB2.1 Hub\n")
			w.plug("1-4.3", "12a8", nil)
		}, CheckPort, OK, "behind the hub USB2.1 Hub at port 1-4"},
		{"recovery", func(w *world) { w.file(dir+"/idProduct", "1281\n") }, CheckRecovery, Problem, "recovery mode"},
		{"dfu", func(w *world) { w.file(dir+"/idProduct", "1227\n") }, CheckRecovery, Problem, "DFU"},
		{"ordinary", func(*world) {}, CheckRecovery, OK, ""},
		{"direct mode", func(w *world) { w.file(dir+"/descriptors", descriptors(ncmInterface)) }, CheckMux, Problem, "without usbmux"},
		{"usbmux", func(*world) {}, CheckMux, OK, ""},
		{"no node", func(w *world) { w.remove("/dev/bus") }, CheckNode, Problem, "there is no /dev/bus/usb/001/007"},
		{"node for root, no rule", func(w *world) { w.remove("/usr/lib/udev") }, CheckNode, Note, "Only root"},
		{"node", func(*world) {}, CheckNode, OK, "crw-r--r--"},
		{"rule", func(*world) {}, CheckUdev, OK, "39-usbmuxd.rules"},
		{"no rule", func(w *world) { w.remove("/usr/lib/udev") }, CheckUdev, Note, "no udev rule"},
		{"no udev", func(w *world) { w.remove("/run/udev") }, CheckUdev, Note, "does not run here"},
		{"neither", func(w *world) { w.remove("/run/udev"); w.remove("/usr/lib/udev") }, CheckUdev, Note, "no rule for phones"},
		{"a daemon elsewhere", func(w *world) { w.run(900, "usbmuxd") }, CheckOtherDaemon, Note, "usbmuxd (pid 900)"},
		{"no daemon", func(*world) {}, CheckOtherDaemon, OK, ""},
		{"qemu", func(w *world) {
			w.run(901, "qemu-system-x86", w.root+"/dev/bus/usb/001/007")
			w.link(dir+"/1-2:4.1/driver", "/drivers/usbfs")
		}, CheckHolder, Problem, "qemu-system-x86 (pid 901)"},
		{"free", func(*world) {}, CheckHolder, OK, "No other program"},
		{"driver of the interface", func(w *world) { w.link(dir+"/1-2:4.1/driver", "/drivers/ipheth") }, CheckDriver, Problem, "ipheth"},
		{"driver of the device", func(w *world) { w.link(dir+"/driver", "/drivers/usbip-host") }, CheckDriver, Problem, "usbip-host"},
		{"driver for charging", func(w *world) { w.link(dir+"/driver", "/drivers/apple-mfi-fastcharge") }, CheckDriver, OK, ""},
		{"no driver", func(*world) {}, CheckDriver, OK, ""},
		{"suspend error", func(w *world) { w.file(dir+"/power/runtime_status", "error\n") }, CheckSuspend, Problem, "error"},
		{"asleep, nobody uses it", func(w *world) {
			w.file(dir+"/power/control", "auto\n")
			w.file(dir+"/power/runtime_status", "suspended\n")
		}, CheckSuspend, OK, "suspended"},
		{"awake", func(*world) {}, CheckSuspend, OK, "off"},
		{"no socket", func(*world) {}, CheckSocket, Problem, "There is no socket at /run/usbmuxd"},
		{"a file", func(w *world) { w.file("/run/usbmuxd", "") }, CheckSocket, Problem, "no socket"},
		{"no usbmuxd", func(w *world) { w.listen([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, CheckSocket, Problem, "gives no answer"},
		{"closes", func(w *world) { w.listen([]byte{}) }, CheckSocket, Problem, "gives no answer"},
		{"answers", func(w *world) { w.listen(nil) }, CheckSocket, OK, "answers: usbmuxd (pid 812"},
		{"only for some", func(w *world) { w.listen(nil); w.chmod("/run/usbmuxd", 0o660) }, CheckSocket, Note, "srw-rw----"},
		{"tcp", func(w *world) { w.o.Socket = "127.0.0.1:1" }, CheckSocket, Problem, "127.0.0.1:1"},
		{"bad address", func(w *world) { w.o.Socket = "host:none" }, CheckSocket, Problem, "host:none"},
		{"no control socket", func(*world) {}, CheckControl, Note, "no control socket"},
		{"control is a file", func(w *world) { w.file("/run/usbmuxd.control", "") }, CheckControl, Problem, "no socket"},
		{"no directory", func(w *world) { w.remove("/lockdown") }, CheckRecordDir, Note, "There is no /lockdown yet"},
		{"directory is a file", func(w *world) { w.remove("/lockdown"); w.file("/lockdown", "") }, CheckRecordDir, Problem, "no directory"},
		{"directory for all", func(w *world) { w.chmod("/lockdown", 0o777) }, CheckRecordDir, Note, "drwxrwxrwx"},
		{"directory", func(*world) {}, CheckRecordDir, OK, "drwxr-xr-x), 21 GiB free"},
		{"wide keys", func(w *world) { w.file("/lockdown/"+oldUDID+".plist", "") }, CheckKeys, Note, oldUDID},
		{"narrow keys", func(w *world) {
			w.file("/lockdown/"+oldUDID+".plist", "")
			w.chmod("/lockdown/"+oldUDID+".plist", 0o600)
		}, CheckKeys, OK, "1 pair record"},
		{"records without identity", func(w *world) {
			w.file("/lockdown/"+oldUDID+".plist", "")
			w.remove("/lockdown/SystemConfiguration.plist")
		}, CheckBUID, Problem, "no SystemConfiguration.plist"},
		{"record of the phone", func(w *world) { w.file("/lockdown/"+annasUDID+".plist", "") }, CheckRecord, OK, "There is a pair record"},
		{"no record", func(*world) {}, CheckRecord, OK, "no pair record"},
		{"clock never set", func(w *world) { w.o.Now = time.Unix(0, 0) }, CheckClock, Problem, "1970"},
		{"clock", func(*world) {}, CheckClock, OK, ""},
		{"trust without daemon", func(*world) {}, CheckTrust, Unknown, "Only the daemon"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.plug("1-2", "12a8", nil)
			tt.world(w)
			c, ok := check(Judge(w.gather()), tt.id)
			if !ok {
				t.Fatalf("no check %s", tt.id)
			}
			if c.Result != tt.result || !strings.Contains(c.Found, tt.found) {
				t.Errorf("want %s with %q, got %s: %s", tt.result, tt.found, c.Result, c.Found)
			}
			if c.Result == Problem && (c.Do == "" || c.Means == "") {
				t.Errorf("a problem without meaning or remedy: %+v", c)
			}
		})
	}
}

func (w *world) remove(path string) {
	w.t.Helper()
	if err := os.RemoveAll(w.root + path); err != nil {
		w.t.Fatal(err)
	}
}

// fakeActions describes a daemon; nobody asks it for more.
type fakeActions struct{ control.Actions }

func (fakeActions) Daemon(context.Context) control.Daemon {
	return control.Daemon{Version: "1.2.3", PID: 700, RecordDir: "/lockdown"}
}

func (fakeActions) Records(context.Context) ([]control.Record, error) { return nil, nil }

// TestGatherDaemon asks a real control server.
func TestGatherDaemon(t *testing.T) {
	w := newWorld(t)
	w.plug("1-2", "12a8", nil)
	hub := control.NewHub(control.Config{})
	hub.Put("1-2", anna("trusted", "", ""))
	server := control.NewServer(hub, fakeActions{}, control.Config{})
	l, err := net.Listen("unix", w.o.Control)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(l) }() // ended by Close
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	f := w.gather()
	if f.Daemon == nil || !f.Control.Answers {
		t.Fatalf("no daemon: %+v", f.Control)
	}
	if len(f.Daemon.Devices) != 1 || f.Daemon.Devices[0].Name != "Anna's iPhone" {
		t.Errorf("devices: %+v", f.Daemon.Devices)
	}
	if c, _ := check(Judge(f), CheckControl); c.Result != OK || !strings.Contains(c.Found, "version 1.2.3") {
		t.Errorf("control socket: %+v", c)
	}
}

// TestGatherPeer asks who listens.
func TestGatherPeer(t *testing.T) {
	w := newWorld(t)
	w.listen(nil)
	w.run(os.Getpid(), "doctor.test")
	f := Gather(t.Context(), w.o)
	if p := f.Socket.Peer; p == nil || p.PID != os.Getpid() || p.Program != "doctor.test" {
		t.Errorf("want this process, got %v", p)
	}
	if f.Socket.BUID != "30142955-444094379208051516" {
		t.Errorf("BUID %q", f.Socket.BUID)
	}
}

// TestGatherNeverFails looks at nothing, and for no time.
func TestGatherNeverFails(t *testing.T) {
	w := newWorld(t)
	f := Gather(cancelled(t), w.o)
	if len(f.Unseen) != 6 {
		t.Errorf("want 6 things unseen, got %+v", f.Unseen)
	}
	if c, _ := check(Judge(f), CheckCable); c.Result != Unknown {
		t.Errorf("a bus that was not looked at: %+v", c)
	}
	w.remove("")
	f = Gather(t.Context(), w.o)
	if r := Judge(f); r.Verdict == "" {
		t.Error("no verdict")
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"usb", "processes", "groups", "unseen", "rules", "devices", "files", "wide"} {
		if strings.Contains(string(b), fmt.Sprintf("%q:null", list)) {
			t.Errorf("%s is null in JSON", list)
		}
	}
}

// TestKinds compares our table of ids with package hotplug's.
func TestKinds(t *testing.T) {
	kinds := map[hotplug.Kind]Kind{hotplug.Mux: KindMux, hotplug.NoMux: KindNoMux, hotplug.Recovery: KindRecovery, hotplug.DFU: KindDFU, hotplug.Ignored: KindOther}
	root := t.TempDir()
	dir := filepath.Join(root, "sys/bus/usb/devices")
	want := make(map[string]Kind) // by port
	for n, iface := range [][3]byte{muxInterface, ncmInterface} {
		for i, id := range []string{
			"1222", "1223", "1226", "1227", "1228", "127f", "1280", "1281", "1283", "1284", "128f", "1290", "12a8", "12ab", "12af", "12b0", "12b1",
			"1900", "1901", "1904", "1905", "8600", "8601", "024f",
		} {
			port := fmt.Sprintf("%d-%d", n+1, i+1)
			want[port] = kind(id, []byte(descriptors(iface)))
			real := filepath.Join(root, "sys/devices", port)
			for name, text := range map[string]string{"idVendor": "05ac\n", "idProduct": id + "\n", "busnum": fmt.Sprintf("%d\n", n+1), "devnum": fmt.Sprintf("%d\n", i+1), "serial": "x\n", "descriptors": descriptors(iface)} {
				if err := os.MkdirAll(real, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(real, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../../../devices/"+port, filepath.Join(dir, port)); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := make(map[string]Kind)
	events := make(chan hotplug.Event)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { // ended by cancel
		done <- hotplug.New(hotplug.Config{SysRoot: root + "/sys", RunRoot: root, DevRoot: root, Poll: true}).Run(ctx, events)
	}()
	for e := range events {
		if e.Action == hotplug.Scanned {
			break
		}
		got[e.Device.Port] = kinds[e.Device.Kind]
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) && err != nil {
		t.Fatal(err)
	}
	for port, k := range want {
		g, ok := got[port]
		if !ok {
			g = KindOther
		}
		if g != k {
			id, _ := os.ReadFile(filepath.Join(root, "sys/devices", port, "idProduct"))
			t.Errorf("%s (port %s): hotplug says %s, we say %s", strings.TrimSpace(string(id)), port, g, k)
		}
	}
}
