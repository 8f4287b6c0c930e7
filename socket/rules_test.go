package socket

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomuxd/plist"
)

// The rules that follow from what clients expect, by their number.
func TestClientRules(t *testing.T) {
	for i, tt := range []struct {
		name string
		test func(*testing.T)
	}{
		{"every readable frame is answered in time", ruleAnswered},
		{"tags are echoed, events have none", ruleTags},
		{"replies in XML, requests in XML or binary, records in any form", ruleForms},
		{"a Result has MessageType and Number, data replies neither", ruleNumbers},
		{"many requests a connection, in order, split or joined anywhere", ruleStream},
		{"after Listen no other request", ruleListening},
		{"entries complete or absent, USB first, ids never again", ruleEntries},
		{"24-character serial numbers are hyphenated", ruleSerials},
		{"Paired to listeners only", rulePaired},
		{"NetworkAddress as given", ruleNetworkAddress},
		{"the version line is the daemon's", nil},
		{"the socket is bound in place, mode 0666", testRecreation},
		{"TCP speaks the same protocol, on loopback unless allowed", ruleTCP},
	} {
		if tt.test != nil {
			t.Run(fmt.Sprintf("%d %s", i+1, tt.name), tt.test)
		}
	}
}

func ruleAnswered(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RecordTimeout = 20 * time.Millisecond; c.RecordCalls = 2 })
	r.records.hang = make(chan struct{})
	h := r.dial()
	for i, kind := range []string{"ReadBUID", "ReadPairRecord", "DeletePairRecord", "SavePairRecord"} {
		h.write(ask(uint32(i), kind, str("PairRecordID", udid24), data("PairRecordData", document(recordXML))))
		h.result(uint32(i), uint32(syscall.ETIMEDOUT))
	}
	close(r.records.hang) // the disk is back
	h.sync()
}

func ruleTags(t *testing.T) {
	r := newRig(t)
	id := r.attach(newFakeDevice())
	h := r.dial()
	for _, tag := range []uint32{0, 1, 1 << 31, 0xffffffff} {
		h.write(ask(tag, "Nonsense"))
		h.result(tag, 1)
		for _, kind := range []string{"ListDevices", "ListListeners", "ReadBUID"} {
			h.write(ask(tag, kind))
			if got := h.read(); got.tag != tag {
				t.Fatalf("%s: tag %d, want %d", kind, got.tag, tag)
			}
		}
	}
	r.reg.Paired(udid24) // h has not asked for events
	h.sync()
	h.listen(7)
	h.event("Attached", id) // checks for tag 0
}

func ruleForms(t *testing.T) {
	r := newRig(t)
	id := r.attach(newFakeDevice())
	h := r.dial()
	binary := func(tag uint32, v map[string]any) {
		t.Helper()
		b, err := plist.MarshalBinary(v)
		if err != nil {
			t.Fatal(err)
		}
		h.write(appendPlist(nil, tag, b))
	}
	binary(1, map[string]any{"MessageType": "ListDevices"})
	if got := h.read(); !bytes.HasPrefix(got.payload, []byte("<?xml")) {
		t.Fatalf("got %q, want XML", got.payload)
	}
	binary(2, map[string]any{"MessageType": "Connect", "DeviceID": int64(id) + 5, "PortNumber": 32498})
	h.result(2, 2)

	record := map[string]any{
		"HostID": "A", "EscrowBag": []byte{0, 1, 2}, "Unknown": map[string]any{"Deep": []any{uint64(7), true}},
	}
	xml, err := plist.MarshalXML(record)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := plist.MarshalBinary(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []any{xml, bin, record} {
		delete(r.records.m, udid24)
		binary(3, map[string]any{"MessageType": "SavePairRecord", "PairRecordID": udid24, "PairRecordData": form})
		h.result(3, 0)
		var back map[string]any
		if err := plist.Unmarshal(r.records.m[udid24], &back); err != nil || fmt.Sprint(back) != fmt.Sprint(record) {
			t.Fatalf("stored %v (%v), want %v", back, err, record)
		}
		if b, ok := form.([]byte); ok && !bytes.Equal(r.records.m[udid24], b) {
			t.Fatal("the data was changed")
		}
	}
	_, inside, _ := strings.Cut(string(xml), "<dict>")
	inside, _, _ = strings.Cut(inside, "</plist>")
	h.write(ask(4, "SavePairRecord", str("PairRecordID", udid24), "<key>PairRecordData</key><dict>"+inside))
	h.result(4, 0)
}

func ruleNumbers(t *testing.T) {
	r := newRig(t)
	r.records.m[udid24] = []byte("record")
	h := r.dial()
	for kind, key := range map[string]string{
		"ListDevices": "DeviceList", "ListListeners": "ListenerList", "ReadBUID": "BUID", "ReadPairRecord": "PairRecordData",
	} {
		h.write(ask(1, kind, str("PairRecordID", udid24)))
		d := h.read().dict(t)
		if _, ok := d[key]; !ok || len(d) != 1 {
			t.Errorf("%s: %v, want %s only", kind, d, key)
		}
	}
	// With an Errno that knows nothing, an error is not success.
	if n := (&Server{cfg: Config{Errno: func(error) int { return 0 }}}).errno(errors.New("x")); n == 0 {
		t.Error("an error became Result 0")
	}
}

func ruleStream(t *testing.T) {
	r := newRig(t)
	h := r.dial()
	stream := bytes.Join([][]byte{ask(1, "ListDevices"), ask(2, "ReadBUID"), ask(3, "Nonsense")}, nil)
	for cut := 0; cut <= len(stream); cut += 7 {
		h.write(stream[:cut])
		h.write(stream[cut:])
		for tag := uint32(1); tag <= 3; tag++ {
			if got := h.read(); got.tag != tag {
				t.Fatalf("cut at %d: tag %d, want %d", cut, got.tag, tag)
			}
		}
	}
}

func ruleListening(t *testing.T) {
	r := newRig(t)
	for _, kind := range []string{"Listen", "Connect", "Nonsense"} {
		h := r.dial()
		h.listen(1)
		h.write(ask(2, kind))
		h.result(2, 1)
		h.eof()
	}
}

func ruleEntries(t *testing.T) {
	reg := NewRegistry()
	good := usbInfo()
	for name, spoil := range map[string]func(*Info){
		"no UDID":             func(i *Info) { i.UDID = "" },
		"UDID too long":       func(i *Info) { i.UDID = strings.Repeat("f", 256) },
		"UDID with a newline": func(i *Info) { i.UDID = "a\nb" },
		"serial in UTF-8":     func(i *Info) { i.Serial = "é" },
		"no product":          func(i *Info) { i.ProductID = 0 },
		"no transport":        func(i *Info) { i.Transport = 9 },
		"no address":          func(i *Info) { i.Transport = Network },
		"huge address":        func(i *Info) { i.Transport, i.NetworkAddress = Network, make([]byte, 201) },
	} {
		info := good
		spoil(&info)
		if id, err := reg.Attach(info, refusing{}); !errors.Is(err, ErrIncomplete) || id != 0 {
			t.Errorf("%s: Attach = %d, %v, want ErrIncomplete", name, id, err)
		}
	}
	if _, err := reg.Attach(good, nil); !errors.Is(err, ErrIncomplete) {
		t.Errorf("no device: Attach = %v, want ErrIncomplete", err)
	}
	seen := map[uint32]bool{}
	for range 100 {
		id, err := reg.Attach(good, refusing{})
		if err != nil || id == 0 || seen[id] {
			t.Fatalf("Attach = %d, %v", id, err)
		}
		seen[id] = true
		if _, err := reg.Attach(good, refusing{}); !errors.Is(err, ErrAttached) {
			t.Fatalf("second Attach = %v, want ErrAttached", err)
		}
		reg.Detach(id)
	}
	network, err := reg.Attach(networkInfo(), refusing{})
	if err != nil {
		t.Fatal(err)
	}
	reg.lastID = maxDeviceID - 1
	usb, err := reg.Attach(good, refusing{})
	if err != nil || usb != 1<<31-1 {
		t.Fatalf("last id %d, %v, want 2^31-1", usb, err)
	}
	good.UDID = udid40
	if _, err := reg.Attach(good, refusing{}); !errors.Is(err, ErrNoIDs) {
		t.Fatalf("Attach = %v, want ErrNoIDs", err)
	}
	if l := reg.Devices(); len(l) != 2 || l[0].ID != usb || l[1].ID != network {
		t.Fatalf("Devices = %+v, want USB before Network", l)
	}
}

func ruleSerials(t *testing.T) {
	for _, tt := range []struct{ udid, serial, wantUDID, wantSerial string }{
		{udid24, serial24, udid24, serial24},
		{serial24, serial24, udid24, serial24},
		{udid24, "", udid24, serial24},
		{udid40, udid40, udid40, udid40},
		{udid40, "", udid40, udid40},
	} {
		info, err := Info{UDID: tt.udid, Serial: tt.serial, ProductID: 1}.complete()
		if err != nil || info.UDID != tt.wantUDID || info.Serial != tt.wantSerial {
			t.Errorf("%q, %q: got %q, %q (%v)", tt.udid, tt.serial, info.UDID, info.Serial, err)
		}
	}
}

func rulePaired(t *testing.T) {
	r := newRig(t)
	id := r.attach(newFakeDevice())
	h, l := r.dial(), r.dial()
	l.listen(1)
	l.event("Attached", id)
	h.write(ask(6, "SavePairRecord", num("DeviceID", int64(id)), str("PairRecordID", udid24), data("PairRecordData", document(recordXML))))
	h.result(6, 0) // and no event here
	l.event("Paired", id)
	h.sync()
}

func ruleNetworkAddress(t *testing.T) {
	r := newRig(t)
	info := networkInfo()
	id := r.attachInfo(info, newFakeDevice())
	info.NetworkAddress[0] = 99 // the caller's to change
	h := r.dial()
	h.listen(1)
	p := h.event("Attached", id)["Properties"].(map[string]any)
	if got := p["NetworkAddress"].([]byte); len(got) != 128 || got[0] != 2 {
		t.Fatalf("got %x", got)
	}
}

func ruleTCP(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:27015", ":27015", "[::]:27015", "192.0.2.1:27015", "example.com:27015"} {
		if l, err := Listen(addr, 0); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("Listen(%q) = %v, %v, want ErrNotLoopback", addr, l, err)
		}
	}
	for _, port := range []string{"127.0.0.1", "localhost"} {
		l, err := net.Listen("tcp", port+":0") // a free port
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		if _, err := Listen(addr, 0); !errors.Is(err, ErrInUse) {
			t.Errorf("Listen on a taken port = %v, want ErrInUse", err)
		}
		l.Close()
		l, err = Listen(addr, 0)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}

func testRecreation(t *testing.T) {
	noLeaks(t)
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "usbmuxd")
	mode := func() os.FileMode {
		t.Helper()
		st, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Mode()
	}
	l, err := Listen("UNIX:"+path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if m := mode(); m != os.ModeSocket|0o666 {
		t.Errorf("mode %v, want 0666", m)
	}
	_, err = Listen(path, 0)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("Listen on an answered socket = %v, want path and pid", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the path is still there: %v", err)
	}

	// A stale socket, as a killed daemon leaves it.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	if l, err = Listen(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if m := mode(); m != os.ModeSocket|0o600 {
		t.Errorf("mode %v, want 0600", m)
	}
	// Somebody renames our socket and puts a file there.
	if err := os.Rename(path, path+".real"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Listen(path, 0); !errors.Is(err, ErrNotSocket) || !strings.Contains(err.Error(), path) {
		t.Errorf("Listen on a file = %v, want ErrNotSocket", err)
	}
	if b, err := os.ReadFile(path); string(b) != "mine" {
		t.Errorf("the file holds %q (%v)", b, err)
	}
	if _, err := Listen(filepath.Join(path+".missing", "usbmuxd"), 0); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "create the directory") {
		t.Errorf("Listen without directory = %v", err)
	}
}

// A socket whose owner is alive but too busy to accept is not stale.
func TestListenOnFullBacklog(t *testing.T) {
	noLeaks(t)
	path := filepath.Join(t.TempDir(), "usbmuxd")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := Listen(path, 0); !errors.Is(err, ErrInUse) {
		t.Errorf("Listen = %v, want ErrInUse", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket was touched: %v", err)
	}
}

func TestListenOnOtherSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := Listen(path, 0); !errors.Is(err, ErrInUse) {
		t.Errorf("Listen on a datagram socket = %v, want ErrInUse", err)
	}
	l, err := ListenAnywhere(filepath.Join(filepath.Dir(path), "own"), 0)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestErrnoOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{fmt.Errorf("save: %w", syscall.ENOSPC), 28},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, 30},
		{os.ErrNotExist, 2},
		{os.ErrPermission, 13},
		{os.ErrInvalid, 22},
		{errors.New("trouble"), 2},
	} {
		if got := errnoOf(tt.err); got != tt.want {
			t.Errorf("errnoOf(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}
