package doctor

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomuxd/control"
)

const (
	annasUDID = "00008110-000A1B2C3D4E5F60"
	oldUDID   = "0123456789abcdef0123456789abcdef01234567"
)

var now = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// world is a computer below a temporary directory.
type world struct {
	t    *testing.T
	root string
	o    Options
}

// newWorld makes a computer with one USB bus, udev with its rule, and a record
// directory; no phone, no daemon.
func newWorld(t *testing.T) *world {
	t.Helper()
	root := t.TempDir()
	w := &world{t: t, root: root, o: Options{
		SysRoot: root + "/sys", DevRoot: root + "/dev", ProcRoot: root + "/proc", RunRoot: root + "/run",
		EtcRoot: root + "/etc", LibRoot: root + "/usr/lib",
		Socket: root + "/run/usbmuxd", Control: root + "/run/usbmuxd.control", RecordDir: root + "/lockdown",
		Now: now, Timeout: 5 * time.Second,
	}}
	w.file("/sys/bus/usb/devices/usb1/idVendor", "1d6b\n")
	w.file("/run/udev/control", "")
	w.file("/usr/lib/udev/rules.d/39-usbmuxd.rules", "# usbmuxd\n")
	w.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nusbmux:x:140:46::/var/lib/usbmux:/bin/false\n")
	w.file("/etc/group", "root:x:0:\nplugdev:x:46:\n")
	w.file("/lockdown/SystemConfiguration.plist", "")
	w.chmod("/lockdown", 0o755)
	w.dir("/proc")
	w.dir("/dev")
	return w
}

func (w *world) dir(path string) {
	w.t.Helper()
	if err := os.MkdirAll(w.root+path, 0o755); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) file(path, text string) {
	w.t.Helper()
	w.dir(filepath.Dir(path))
	if err := os.WriteFile(w.root+path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.chmod(path, 0o644) // whatever the umask is
}

func (w *world) chmod(path string, mode os.FileMode) {
	w.t.Helper()
	if err := os.Chmod(w.root+path, mode); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) link(path, target string) {
	w.t.Helper()
	w.dir(filepath.Dir(path))
	_ = os.Remove(w.root + path)
	if err := os.Symlink(target, w.root+path); err != nil {
		w.t.Fatal(err)
	}
}

// descriptors of a device with one interface for each class, subclass and
// protocol given.
func descriptors(interfaces ...[3]byte) string {
	b := []byte{18, 1, 0, 2, 0, 0, 0, 64, 0xac, 0x05, 0xa8, 0x12, 2, 20, 1, 2, 3, 1}
	b = append(b, 9, 2, byte(9+9*len(interfaces)), 0, byte(len(interfaces)), 1, 0, 0xc0, 250)
	for i, class := range interfaces {
		b = append(b, 9, 4, byte(i), 0, 0, class[0], class[1], class[2], 0)
	}
	return string(b)
}

var (
	muxInterface = [3]byte{255, 254, 2}
	ncmInterface = [3]byte{2, 13, 0}
	hidInterface = [3]byte{3, 0, 0}
)

// plug puts a phone with a usbmux interface into a port; more attributes change
// it.
func (w *world) plug(port, product string, more map[string]string) {
	w.t.Helper()
	address := 4 + len(port)
	attrs := map[string]string{
		"idVendor": "05ac\n", "idProduct": product + "\n", "busnum": "1\n", "devnum": fmt.Sprintf("%d\n", address),
		"product": "iPhone\n", "serial": strings.ReplaceAll(annasUDID, "-", "") + "\n", "speed": "480\n",
		"bConfigurationValue": "4\n", "authorized": "1\n", "power/control": "on\n", "power/runtime_status": "active\n",
		"descriptors": descriptors(muxInterface),
	}
	for k, v := range more {
		attrs[k] = v
	}
	dir := "/sys/bus/usb/devices/" + port
	for k, v := range attrs {
		w.file(dir+"/"+k, v)
	}
	w.link(dir+"/driver", "../../../../bus/usb/drivers/usb")
	mux := dir + "/" + port + ":4.1"
	w.file(mux+"/bInterfaceClass", "ff\n")
	w.file(mux+"/bInterfaceSubClass", "fe\n")
	w.file(mux+"/bInterfaceProtocol", "02\n")
	w.file(fmt.Sprintf("/dev/bus/usb/001/%03d", address), "")
}

// run starts a program, which may have files open.
func (w *world) run(pid int, program string, open ...string) {
	w.t.Helper()
	dir := fmt.Sprintf("/proc/%d", pid)
	w.file(dir+"/comm", program+"\n")
	w.dir(dir + "/fd")
	for i, f := range open {
		w.link(fmt.Sprintf("%s/fd/%d", dir, 5+i), f)
	}
}

// listen has somebody answer on the socket of the clients, who says reply, or
// what a usbmuxd without devices says.
func (w *world) listen(reply []byte) {
	w.t.Helper()
	l, err := net.Listen("unix", w.o.Socket)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chmod(w.o.Socket, 0o666); err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	w.t.Cleanup(func() { l.Close(); <-done })
	go func() { // ended by Close
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c, reply)
			c.Close()
		}
	}()
}

func answer(c net.Conn, reply []byte) {
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	head := make([]byte, 16)
	if _, err := io.ReadFull(c, head); err != nil {
		return
	}
	body := make([]byte, min(binary.LittleEndian.Uint32(head), 1<<16)-16)
	if _, err := io.ReadFull(c, body); err != nil {
		return
	}
	if reply != nil {
		_, _ = c.Write(reply)
		return
	}
	text := `<plist version="1.0"><dict><key>DeviceList</key><array/></dict></plist>`
	if strings.Contains(string(body), "ReadBUID") {
		text = `<plist version="1.0"><dict><key>BUID</key><string>30142955-444094379208051516</string></dict></plist>`
	}
	binary.LittleEndian.PutUint32(head, uint32(16+len(text)))
	_, _ = c.Write(append(head, text...))
}

// gather looks, and makes what it found the same on every computer.
func (w *world) gather() Facts {
	w.t.Helper()
	return w.settle(Gather(w.t.Context(), w.o))
}

// settle takes the place of the temporary directory, and who runs the test, out
// of facts.
func (w *world) settle(f Facts) Facts {
	w.t.Helper()
	b, err := json.Marshal(f)
	if err != nil {
		w.t.Fatal(err)
	}
	var out Facts
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(b), w.root, "")), &out); err != nil {
		w.t.Fatal(err)
	}
	nodes := []*Node{&out.Socket.Node, &out.Control.Node, &out.Records.Node}
	for i := range out.USB {
		nodes = append(nodes, &out.USB[i].Node)
	}
	for _, n := range nodes {
		if n.Exists {
			n.UID, n.GID, n.Owner = 0, 0, "root:root"
		}
	}
	if out.Records.FreeKnown {
		out.Records.Free = 21 << 30
	}
	if !out.Records.Newest.IsZero() {
		out.Records.Newest = now.AddDate(0, -1, 0)
	}
	if p := out.Socket.Peer; p != nil {
		*p = Process{PID: 812, Program: "usbmuxd", Path: "/usr/sbin/usbmuxd"}
	}
	return out
}

// daemon is one of ours that answers on both sockets.
func daemon(f *Facts, devices ...control.Device) {
	f.Control = ControlSocket{Node: Node{Path: "/run/usbmuxd.control", Exists: true, Mode: 0o666, Owner: "root:root"}, Accepts: true, Answers: true}
	f.Socket = Socket{
		Node:    Node{Path: "/run/usbmuxd", Exists: true, Mode: 0o666, Owner: "root:root"},
		Accepts: true, Answers: true, Peer: &Process{PID: 700, Program: "usbmuxd", Path: "/usr/sbin/usbmuxd"},
	}
	f.Daemon = &control.Daemon{
		Version: "1.0.0", PID: 700, Started: now.Add(-time.Hour), Sockets: []string{"/run/usbmuxd"}, Preflight: "auto",
		RecordDir: "/lockdown", BUID: "30142955-444094379208051516", Devices: devices, Records: []control.Record{},
	}
}

// anna is a phone as the daemon tells of it.
func anna(state, reason, next string) control.Device {
	return control.Device{
		DeviceID: ptr(uint32(3)), UDID: ptr(annasUDID), Name: "Anna's iPhone", Product: "iPhone14,5", Model: "iPhone 13",
		Version: "17.5", Class: "iPhone", Connection: control.ConnectionUSB, Speed: 480e6, PortPath: "1-2",
		Trust: state, Since: now, Reason: reason, NextStep: next,
	}
}

func annasRecord() control.Record {
	return control.Record{
		UDID: annasUDID, HostID: "11111111-2222-3333-4444-555555555555", SystemBUID: "30142955-444094379208051516", BUIDMatches: true,
		HasEscrowBag: true, WiFiAddress: "a4:b1:97:00:11:22", Saved: now.AddDate(0, -1, 0), LastUsed: ptr(now.AddDate(0, 0, -2)),
	}
}

// check gives the first check of an id.
func check(r Report, id string) (Check, bool) {
	for _, c := range r.Checks {
		if c.ID == id {
			return c, true
		}
	}
	return Check{}, false
}

// cancelled is a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
