package socket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomuxd/plist"
)

// The rows of the reference's coverage table that concern the socket.
var conformance = []struct {
	row  string
	test func(*testing.T)
}{
	{"Plist Listen", testPlistListen},
	{"Binary Listen (v0)", testBinaryListen},
	{"Mixed versions on one socket", testMixedVersions},
	{"Unknown header version", testUnknownVersion},
	{"Oversize / undersize length", testLengths},
	{"Malformed XML, bplist, non-dict, no MessageType", testMalformed},
	{"Unknown MessageType / binary type", testUnknownRequests},
	{"Pipelined requests", testPipelined},
	{"Split header / byte-wise writes", testByteWise},
	{"One-write replies", testOneWrite},
	{"ListDevices", testListDevices},
	{"ListListeners", testListListeners},
	{"ReadBUID", testReadBUID},
	{"ReadPairRecord", testReadPairRecord},
	{"SavePairRecord", testSavePairRecord},
	{"DeletePairRecord", testDeletePairRecord},
	{"Record id validation", testRecordIDs},
	{"Connect ok", testConnectOK},
	{"Connect errors", testConnectErrors},
	{"Connect timeout", testConnectTimeout},
	{"Connect to hidden (preflighting) device", testConnectHidden},
	{"Command while listening/connecting", testCommandWhileBusy},
	{"Early payload before Result", testEarlyPayload},
	{"Unplug with open connections", testUnplug},
	{"Detached for never-visible device", testDetachedHidden},
	{"Paired event", testPaired},
	{"Back-pressure to device", testBackPressure},
	{"FIN / PSH from device", testDeviceFIN},
	{"Half-close by client", testHalfClose},
	{"Flush on device close", testFlush},
	{"TCP -S", testTCP},
	{"Socket re-creation", testRecreation},
	{"Wi-Fi / network devices", testNetworkDevice},
	{"Many clients", testManyClients},
}

func TestConformance(t *testing.T) {
	for _, tt := range conformance {
		t.Run(tt.row, tt.test)
	}
}

func testPlistListen(t *testing.T) {
	r := newRig(t)
	first := r.attach(newFakeDevice())
	h := r.dial()
	h.listen(5)
	h.event("Attached", first)
	info := usbInfo()
	info.UDID, info.Serial = udid40, udid40
	second := r.attachInfo(info, newFakeDevice())
	h.event("Attached", second)
	r.reg.Detach(first)
	h.event("Detached", first)
	if second <= first {
		t.Fatalf("ids %d and %d, want them to grow", first, second)
	}
}

func testBinaryListen(t *testing.T) {
	r := newRig(t)
	r.attach(newFakeDevice())
	h := r.dial()
	h.write(unhex(t, "10000000 00000000 03000000 01000000"))
	h.bytes("14000000 00000000 01000000 01000000 00000000")
	// 284 bytes: id, product id, 256 bytes of serial number, padding, location.
	h.bytes("1c010000 00000000 04000000 00000000 01000000 a812" +
		fmt.Sprintf("%x", udid24) + strings.Repeat("00", 256-len(udid24)) + "0000 04000100")
	r.reg.Paired(udid24)
	h.bytes("14000000 00000000 06000000 00000000 01000000")
	r.reg.Detach(1)
	h.bytes("14000000 00000000 05000000 00000000 01000000")
}

func testMixedVersions(t *testing.T) {
	r := newRig(t)
	id := r.attach(newFakeDevice())
	t.Run("binary Listen after a property list", func(t *testing.T) {
		h := r.dial()
		h.sync()
		h.write(unhex(t, "10000000 00000000 03000000 09000000"))
		h.result(9, 0)
		h.event("Attached", id)
	})
	t.Run("property list with version 0", func(t *testing.T) {
		h := r.dial()
		m := ask(8, "Nonsense")
		copy(m[4:8], word(0))
		h.write(m)
		h.result(8, 1)
	})
	t.Run("binary with version 1", func(t *testing.T) {
		h := r.dial()
		h.write(unhex(t, "10000000 01000000 63000000 09000000"))
		h.bytes("14000000 00000000 01000000 09000000 01000000")
	})
}

func testUnknownVersion(t *testing.T) {
	r := newRig(t)
	h := r.dial()
	h.write(unhex(t, "10000000 07000000 08000000 09000000"))
	h.bytes("14000000 00000000 01000000 09000000 06000000")
	m := ask(10, "ListDevices") // with a payload to skip
	copy(m[4:8], word(2))
	h.write(m)
	h.bytes("14000000 00000000 01000000 0a000000 06000000")
	h.write(ask(11, "ListDevices"))
	if got := h.read(); got.tag != 11 || got.version != 1 || got.message != msgPlist {
		t.Fatalf("got %+v, want a device list", got.header)
	}
	m = ask(12, "ListDevices") // sticky by now
	copy(m[4:8], word(2))
	h.write(m)
	h.result(12, 6)
}

// pad makes m, a property-list message, n bytes long.
func pad(m []byte, n int) []byte {
	payload := m[headerSize:]
	i := bytes.LastIndex(payload, []byte("</plist>"))
	fill := bytes.Repeat([]byte(" "), n-len(m))
	return appendPlist(nil, decodeHeader((*[16]byte)(m)).tag, bytes.Join([][]byte{payload[:i], payload[i:]}, fill))
}

func testLengths(t *testing.T) {
	r := newRig(t)
	t.Run("65536", func(t *testing.T) {
		h := r.dial()
		h.write(pad(ask(1, "Nonsense"), 65536))
		h.result(1, 1)
		h.write(ask(2, "Nonsense"))
		h.result(2, 1)
	})
	t.Run("65537", func(t *testing.T) {
		h := r.dial()
		h.write(pad(ask(1, "Nonsense"), 65537))
		h.result(1, 1)
		h.eof()
	})
	t.Run("15", func(t *testing.T) {
		h := r.dial()
		h.write(unhex(t, "0f000000 00000000 03000000 07000000"))
		h.bytes("14000000 00000000 01000000 07000000 01000000")
		h.eof()
	})
	t.Run("0 over TCP", func(t *testing.T) {
		h := r.dialTCP()
		h.write(unhex(t, "00000000 01000000 08000000 07000000"))
		h.result(7, 1)
		h.eof()
	})
	t.Run("another protocol", func(t *testing.T) {
		h := r.dialTCP()
		h.write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		if got := h.read(); !bytes.Equal(got.payload, word(1)) {
			t.Fatalf("got %+v %x, want Result 1", got.header, got.payload)
		}
		h.eof()
	})
	t.Run("16 without payload", func(t *testing.T) {
		h := r.dial()
		h.write(appendPlist(nil, 7, nil))
		h.result(7, 1)
		h.sync()
	})
	t.Run("cut short", func(t *testing.T) {
		h := r.dial()
		h.write(ask(1, "ListDevices")[:100])
		h.closeWrite()
		h.eof()
	})
}

func testMalformed(t *testing.T) {
	r := newRig(t)
	h := r.dial()
	for i, payload := range [][]byte{
		[]byte("<plist"), []byte("junk"), []byte("bplist00"), []byte("bplist00\xff\xff\xff\xff junk that is no table"),
		document("<array/>"), document("<string>Listen</string>"), document("<dict/>"),
		document("<dict><key>MessageType</key><integer>3</integer></dict>"),
		document("<dict><key>MessageType</key><array/></dict>"),
		document("<dict><key>MessageType</key></dict>"),
	} {
		tag := uint32(100 + i)
		h.write(appendPlist(nil, tag, payload))
		h.result(tag, 1)
	}
	h.write(ask(1, "ListDevices"))
	if got := h.read(); got.tag != 1 {
		t.Fatalf("got %+v, want a device list", got.header)
	}
}

func testUnknownRequests(t *testing.T) {
	r := newRig(t)
	h := r.dial()
	for _, kind := range []string{"00", "01", "04", "05", "06", "07", "09", "ff"} {
		h.write(unhex(t, "14000000 00000000 "+kind+"000000 05000000 01020304"))
		h.bytes("14000000 00000000 01000000 05000000 01000000")
	}
	for i, kind := range []string{"", "listen", "Result", "Attached", "Listen ", strings.Repeat("x", 10000)} {
		h.write(ask(uint32(i), kind))
		h.result(uint32(i), 1)
	}
}

func testPipelined(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	h := r.dial()
	h.write(bytes.Join([][]byte{
		ask(0, "ListDevices"), ask(2, "ReadBUID"), ask(1, "Nonsense"),
		askConnect(4, 99, 1), askConnect(0xffffffff, id, 22), []byte("and the rest"),
	}, nil))
	for i, tag := range []uint32{0, 2} {
		if got := h.read(); got.tag != tag {
			t.Fatalf("reply %d has tag %d, want %d", i, got.tag, tag)
		}
	}
	h.result(1, 1)
	h.result(4, 2)
	h.result(0xffffffff, 0)
	if got := d.phone(t).recv(t, 12); string(got) != "and the rest" {
		t.Fatalf("the phone got %q", got)
	}
}

func testByteWise(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	for _, h := range []*host{r.dial(), r.dialTCP()} {
		for _, b := range bytes.Join([][]byte{
			ask(1, "Nonsense"), unhex(t, "10000000 07000000 08000000 09000000"), askConnect(2, id, 62078), []byte("abc"),
		}, nil) {
			h.write([]byte{b})
		}
		h.result(1, 1)
		h.result(9, 6)
		h.result(2, 0)
		if got := d.phone(t).recv(t, 3); string(got) != "abc" {
			t.Fatalf("the phone got %q", got)
		}
	}
}

func testOneWrite(t *testing.T) {
	// A pipe hands over what is written with one call, and no more.
	r := newRig(t)
	id := r.attach(newFakeDevice())
	mine, theirs := net.Pipe()
	r.srv.start(theirs, nil)
	t.Cleanup(func() { mine.Close() })
	_ = mine.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, 1<<20)
	whole := func(what string) {
		t.Helper()
		n, err := mine.Read(buf)
		if err != nil || n < headerSize || decodeHeader((*[16]byte)(buf)).length != uint32(n) {
			t.Fatalf("%s: %d bytes with one read (%v): %x", what, n, err, buf[:min(n, headerSize)])
		}
	}
	for _, kind := range []string{"ListDevices", "ListListeners", "ReadBUID", "ReadPairRecord", "Nonsense"} {
		if _, err := mine.Write(ask(1, kind)); err != nil {
			t.Fatal(err)
		}
		whole(kind)
	}
	if _, err := mine.Write(ask(1, "Listen")); err != nil {
		t.Fatal(err)
	}
	whole("Listen")
	whole("Attached")
	r.reg.Detach(id)
	whole("Detached")
}

func testListDevices(t *testing.T) {
	r := newRig(t)
	h := r.dial()
	list := func() []any {
		t.Helper()
		h.write(ask(6, "ListDevices"))
		got := h.read()
		d := got.dict(t)
		l, ok := d["DeviceList"].([]any)
		if got.tag != 6 || len(d) != 1 || !ok {
			t.Fatalf("got %+v %v, want DeviceList only", got.header, d)
		}
		return l
	}
	if l := list(); len(l) != 0 {
		t.Fatalf("got %v, want an empty array", l)
	}
	first := r.attach(newFakeDevice())
	for range 2 { // the second one from memory
		l := list()
		if len(l) != 1 {
			t.Fatalf("got %v, want one device", l)
		}
		e := l[0].(map[string]any)
		p := e["Properties"].(map[string]any)
		want := map[string]any{
			"ConnectionSpeed": uint64(480_000_000), "ConnectionType": "USB", "DeviceID": uint64(first),
			"LocationID": uint64(0x10004), "ProductID": uint64(0x12a8), "SerialNumber": udid24,
			"UDID": udid24, "USBSerialNumber": serial24,
		}
		if e["MessageType"] != "Attached" || e["DeviceID"] != uint64(first) || len(e) != 3 || fmt.Sprint(p) != fmt.Sprint(want) {
			t.Fatalf("got %v, want %v", e, want)
		}
	}
	r.reg.Detach(first)
	if l := list(); len(l) != 0 {
		t.Fatalf("got %v, want an empty array", l)
	}
	if second := r.attach(newFakeDevice()); second == first {
		t.Fatalf("id %d was given twice", first)
	}
	if l := list(); len(l) != 1 {
		t.Fatalf("got %v, want one device", l)
	}
}

func testListListeners(t *testing.T) {
	r := newRig(t)
	h := r.dial() // client 0
	h.sync()
	one := r.dial() // client 1
	one.write(message(1, str("MessageType", "Listen")+str("BundleID", "com.example")+num("kLibUSBMuxVersion", 3)+str("ProgName", "a&amp;b\u0085")))
	one.result(1, 0)
	two := r.dial() // client 2
	two.write(message(1, str("MessageType", "Listen")+num("ProgName", 5)))
	two.result(1, 0)
	h.write(ask(6, "ListListeners"))
	got := h.read().dict(t)
	want := map[string]any{"ListenerList": []any{
		map[string]any{"Blacklisted": false, "BundleID": "com.example", "ConnType": uint64(0), "ID String": "1-a&b?", "ProgName": "a&b?", "kLibUSBMuxVersion": uint64(3)},
		map[string]any{"Blacklisted": false, "ConnType": uint64(0), "ID String": "2-unknown", "ProgName": "unknown", "kLibUSBMuxVersion": uint64(0)},
	}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
}

func testReadBUID(t *testing.T) {
	r := newRig(t)
	h := r.dial()
	h.write(ask(6, "ReadBUID"))
	if got := h.read(); got.tag != 6 || fmt.Sprint(got.dict(t)) != fmt.Sprint(map[string]any{"BUID": r.records.buid}) {
		t.Fatalf("got %+v %s", got.header, got.payload)
	}
	r.records.err = syscall.EROFS
	h.write(ask(7, "ReadBUID"))
	h.result(7, uint32(syscall.EROFS))
}

const recordXML = "<dict><key>HostID</key><string>A</string><key>WiFiMACAddress</key><string>b</string></dict>"

func testReadPairRecord(t *testing.T) {
	r := newRig(t)
	stored := []byte("exactly\x00these bytes\xff")
	r.records.m[udid24] = stored
	r.records.m["empty"] = nil
	h := r.dial()
	h.write(ask(1, "ReadPairRecord", str("PairRecordID", udid24)))
	if got := h.read().dict(t); len(got) != 1 || !bytes.Equal(got["PairRecordData"].([]byte), stored) {
		t.Fatalf("got %v, want the file's bytes only", got)
	}
	for i, tt := range []struct {
		args   string
		number uint32
	}{
		{str("PairRecordID", "missing"), 2},
		{str("PairRecordID", "empty"), 2},
		{"", 22},
		{num("PairRecordID", 5), 22},
	} {
		h.write(ask(uint32(i), "ReadPairRecord", tt.args))
		h.result(uint32(i), tt.number)
	}
}

func data(key string, b []byte) string {
	m, err := plist.MarshalXML(struct{ D []byte }{b})
	if err != nil {
		panic(err)
	}
	_, inside, _ := strings.Cut(string(m), "<data>")
	inside, _, _ = strings.Cut(inside, "</data>")
	return "<key>" + key + "</key><data>" + inside + "</data>"
}

func testSavePairRecord(t *testing.T) {
	r := newRig(t)
	h := r.dial()
	save := func(args ...string) uint32 {
		t.Helper()
		h.write(ask(6, "SavePairRecord", args...))
		return uint32(h.read().dict(t)["Number"].(uint64))
	}
	id := str("PairRecordID", udid24)
	xml := document(recordXML)
	if n := save(id, data("PairRecordData", xml)); n != 0 || !bytes.Equal(r.records.m[udid24], xml) {
		t.Fatalf("save = %d, stored %q", n, r.records.m[udid24])
	}
	for _, tt := range []struct {
		name   string
		args   string
		number uint32
	}{
		{"no id", data("PairRecordData", xml), 22},
		{"id is no string", num("PairRecordID", 1) + data("PairRecordData", xml), 22},
		{"no data", id, 22},
		{"data is a string", id + str("PairRecordData", "abcdefghij"), 22},
		{"seven bytes", id + data("PairRecordData", []byte("<plist>")), 22},
		{"junk", id + data("PairRecordData", []byte("this is no property list")), 22},
		{"array", id + data("PairRecordData", document("<array/>")), 22},
		{"missing directory", id + data("PairRecordData", xml), 2},
		{"disk full", id + data("PairRecordData", xml), 28},
		{"no permission", id + data("PairRecordData", xml), 13},
		{"unknown trouble", id + data("PairRecordData", xml), 2},
	} {
		switch tt.name {
		case "missing directory":
			r.records.err = &os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}
		case "disk full":
			r.records.err = fmt.Errorf("save: %w", syscall.ENOSPC)
		case "no permission":
			r.records.err = os.ErrPermission
		case "unknown trouble":
			r.records.err = errors.New("trouble")
		}
		if got := save(tt.args); got != tt.number {
			t.Errorf("%s: Result %d, want %d", tt.name, got, tt.number)
		}
	}
	r.records.err = nil
	t.Run("of the greatest size", func(t *testing.T) {
		head := ask(9, "SavePairRecord", id, data("PairRecordData", xml))
		m := pad(head, maxMessage)
		h.write(m)
		h.result(9, 0)
	})
}

func testDeletePairRecord(t *testing.T) {
	r := newRig(t)
	r.records.m[udid24] = []byte("record")
	h := r.dial()
	for i, tt := range []struct {
		args   string
		number uint32
	}{
		{str("PairRecordID", udid24), 0},
		{str("PairRecordID", udid24), 2},
		{"", 22},
	} {
		h.write(ask(uint32(i), "DeletePairRecord", tt.args))
		h.result(uint32(i), tt.number)
	}
	r.records.err = syscall.EACCES
	h.write(ask(9, "DeletePairRecord", str("PairRecordID", udid24)))
	h.result(9, 13)
}

func testRecordIDs(t *testing.T) {
	r := newRig(t)
	h := r.dial()
	for i, id := range []string{"", "..", "../x", "a/b", "SystemConfiguration"} {
		h.write(ask(uint32(i), "SavePairRecord", str("PairRecordID", id), data("PairRecordData", document(recordXML))))
		h.result(uint32(i), 22)
	}
}

func testConnectOK(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain %v", plain), func(t *testing.T) { testConnection(t, plain) })
	}
}

func testConnection(t *testing.T, plain bool) {
	r := newRig(t)
	d := newFakeDevice()
	d.plain = plain
	d.dial = func(_ context.Context, p *phone) error { p.send([]byte("banner")); return nil }
	id := r.attach(d)
	h := r.dial()
	h.write(askConnect(3, id, 62078))
	h.result(3, 0)
	h.bytes(fmt.Sprintf("%x", "banner"))
	p := d.phone(t)
	if p.port != 62078 {
		t.Fatalf("dialled port %d, want 62078", p.port)
	}
	h.write([]byte("ping"))
	p.recv(t, 4)
	p.send([]byte("pong"))
	h.bytes(fmt.Sprintf("%x", "pong"))
	h.write([]byte("last words"))
	h.Close()
	p.awaitClosed(t)
	if got := p.recv(t, 10); string(got) != "last words" {
		t.Fatalf("the phone got %q", got)
	}

	h = r.dial()
	h.write(unhex(t, "18000000 00000000 02000000 02000000 01000000 F27E 0000"))
	h.bytes("14000000 00000000 01000000 02000000 00000000")
	if p := d.phone(t); p.port != 62078 {
		t.Fatalf("dialled port %d, want 62078", p.port)
	}
}

func testConnectErrors(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	refuse := true
	d.dial = func(_ context.Context, p *phone) error {
		if refuse {
			return errors.New("refused")
		}
		return nil
	}
	id := r.attach(d)
	h := r.dial()
	device, port := num("DeviceID", int64(id)), num("PortNumber", 32498)
	for i, tt := range []struct {
		name, args string
		number     uint32
	}{
		{"unknown id", num("DeviceID", 99) + port, 2},
		{"refused", device + port, 3},
		{"missing port", device, 1},
		{"missing id", port, 2},
		{"missing both", "", 2},
		{"unknown id and missing port", num("DeviceID", 99), 1},
		{"id is a string", str("DeviceID", "1") + port, 2},
		{"id is negative", num("DeviceID", -1) + port, 2},
		{"id beyond 32 bits", num("DeviceID", 1<<32+int64(id)) + port, 2},
		{"port is a string", device + str("PortNumber", "32498"), 3},
		{"port 0", device + num("PortNumber", 0), 3},
	} {
		h.write(ask(uint32(i), "Connect", tt.args))
		t.Log(tt.name)
		h.result(uint32(i), tt.number)
	}
	h.write(unhex(t, "14000000 00000000 02000000 02000000 01000000"))
	h.result(2, 1) // a short binary Connect, on a socket that speaks property lists
	refuse = false
	h.write(ask(50, "Connect", device, num("PortNumber", 0x7ef20000|32498)))
	h.result(50, 0)
	if p := d.phone(t); p.port != 62078 {
		t.Fatalf("dialled port %d, want 62078", p.port)
	}

	b := r.dial()
	refuse = true
	b.write(unhex(t, "18000000 00000000 02000000 02000000 01000000 F27E 0000"))
	b.bytes("14000000 00000000 01000000 02000000 03000000")
	b.write(unhex(t, "18000000 00000000 02000000 02000000 07000000 F27E 0000"))
	b.bytes("14000000 00000000 01000000 02000000 02000000")
	b.write(unhex(t, "15000000 00000000 02000000 02000000 01000000 F2"))
	b.bytes("14000000 00000000 01000000 02000000 01000000")
	// The two reserved bytes may be missing, and more may follow.
	refuse = false
	b.write(unhex(t, "1a000000 00000000 02000000 02000000 01000000 0016 0000 ffff"))
	b.bytes("14000000 00000000 01000000 02000000 00000000")
	if p := d.phone(t); p.port != 22 {
		t.Fatalf("dialled port %d, want 22", p.port)
	}
}

func testConnectTimeout(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	d.dial = func(context.Context, *phone) error { return context.DeadlineExceeded } // the device's own limit
	id := r.attach(d)
	h := r.dial()
	h.write(askConnect(3, id, 1))
	h.result(3, 3)
	h.sync()
}

func testConnectHidden(t *testing.T) {
	// A device is shown and can be connected to at the same moment.
	r := newRig(t)
	h := r.dial()
	h.write(askConnect(3, 1, 62078))
	h.result(3, 2)
	d := newFakeDevice()
	h.connect(d, r.attach(d), 62078)
}

func testCommandWhileBusy(t *testing.T) {
	r := newRig(t)
	id := r.attach(newFakeDevice())
	t.Run("listening", func(t *testing.T) {
		for _, h := range []*host{r.dial(), r.dialTCP()} {
			h.listen(1)
			h.event("Attached", id)
			h.write(ask(2, "ListDevices"))
			h.result(2, 1)
			h.eof()
		}
	})
	t.Run("listening, binary", func(t *testing.T) {
		h := r.dial()
		h.write(unhex(t, "10000000 00000000 03000000 01000000 10000000 00000000 03000000 02000000"))
		h.bytes("14000000 00000000 01000000 01000000 00000000")
		h.read()
		h.bytes("14000000 00000000 01000000 02000000 01000000")
		h.eof()
	})
	t.Run("listening, bad length", func(t *testing.T) {
		h := r.dial()
		h.listen(1)
		h.event("Attached", id)
		h.write(unhex(t, "ffffffff 00000000 03000000 02000000"))
		h.result(2, 1)
		h.eof()
	})
	r.dial().sync() // the daemon lives
}

// gate makes dials wait until open is called or the context ends.
func (d *fakeDevice) gate() (dialling chan *phone, open func(error), cancelled chan struct{}) {
	dialling, cancelled = make(chan *phone, 16), make(chan struct{}, 16)
	opened := make(chan error, 16)
	d.dial = func(ctx context.Context, p *phone) error {
		dialling <- p
		select {
		case err := <-opened:
			return err
		case <-ctx.Done():
			cancelled <- struct{}{}
			return ctx.Err()
		}
	}
	return dialling, func(err error) { opened <- err }, cancelled
}

func testEarlyPayload(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	dialling, open, _ := d.gate()
	id := r.attach(d)
	for _, h := range []*host{r.dial(), r.dialTCP()} {
		h.write(askConnect(3, id, 1))
		<-dialling
		early := ask(4, "ListDevices") // looks like a request, but is payload
		h.write(early)
		h.write([]byte("more"))
		open(nil)
		h.result(3, 0)
		if got := d.phone(t).recv(t, len(early)+4); !bytes.Equal(got, append(early, "more"...)) {
			t.Fatalf("the phone got %q", got)
		}
	}
}

func testUnplug(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	l := r.dial()
	l.listen(1)
	l.event("Attached", id)
	open := r.dial()
	p := open.connect(d, id, 1)
	p.send([]byte("rest"))

	dialling, refuse, _ := d.gate()
	pending := r.dial()
	pending.write(askConnect(3, id, 2))
	<-dialling
	// As the daemon does it: first the connections, then the device.
	p.reset()
	refuse(errors.New("device gone"))
	r.reg.Detach(id)
	l.event("Detached", id)
	// By now the others have been told: what they got needs no wait.
	_ = open.SetReadDeadline(time.Now().Add(patience))
	if n := unread(rawConn(open.Conn)); n != 4 || !closedByPeer(rawConn(open.Conn)) {
		t.Errorf("Detached came before the EOF of an open connection (%d bytes)", n)
	}
	if unread(rawConn(pending.Conn)) == 0 {
		t.Error("Detached came before the Result of a pending connection")
	}
	open.bytes(fmt.Sprintf("%x", "rest"))
	open.eof()
	pending.result(3, 3)
	pending.write(askConnect(4, id, 2))
	pending.result(4, 2)
}

func testDetachedHidden(t *testing.T) {
	r := newRig(t)
	h := r.dial()
	h.listen(1)
	r.reg.Detach(1)
	r.reg.Detach(0)
	r.reg.Paired(udid24)
	if _, err := r.reg.Attach(Info{UDID: "incomplete"}, newFakeDevice()); !errors.Is(err, ErrIncomplete) {
		t.Fatalf("Attach = %v, want ErrIncomplete", err)
	}
	h.event("Attached", r.attach(newFakeDevice()))
}

func testPaired(t *testing.T) {
	r := newRig(t)
	id := r.attach(newFakeDevice())
	h, b := r.dial(), r.dial()
	h.listen(1)
	h.event("Attached", id)
	b.write(unhex(t, "10000000 00000000 03000000 01000000"))
	b.read()
	b.read()
	c := r.dial()
	save := func(udid string, more ...string) {
		t.Helper()
		c.write(ask(6, "SavePairRecord", append(more, str("PairRecordID", udid), data("PairRecordData", document(recordXML)))...))
		c.result(6, 0)
	}
	save(udid24)                                              // no id: no event
	save(udid24, num("DeviceID", 0))                          // nor with 0
	save(udid24, num("DeviceID", int64(id)+1))                // nor with another's
	save(strings.ToLower(udid24), num("DeviceID", int64(id))) // nor with another UDID
	save(serial24, num("DeviceID", int64(id)))                // nor with the raw serial number
	save(udid24, num("DeviceID", int64(id)))                  // but now
	r.reg.Detach(id)                                          // and nothing more
	h.event("Paired", id)
	h.event("Detached", id)
	b.bytes("14000000 00000000 06000000 00000000 01000000")
	b.bytes("14000000 00000000 05000000 00000000 01000000")
}

func testBackPressure(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	h := r.dial()
	p := h.connect(d, id, 1)
	const total = 4 << 20
	sent := bytes.Repeat([]byte("0123456789abcdef"), total/16)
	p.send(sent)
	// The client does not read; others are served all the same.
	p.await(t, "a first part taken", func() bool { return len(p.down) < total })
	o := r.dial()
	q := o.connect(d, id, 2)
	q.send([]byte("hello"))
	o.bytes(fmt.Sprintf("%x", "hello"))
	got := make([]byte, total)
	for n := 0; n < total; {
		m, err := h.Read(got[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	if !bytes.Equal(got, sent) {
		t.Fatal("bytes differ")
	}
}

func testDeviceFIN(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	for name, dial := range map[string]func() *host{"unix": r.dial, "tcp": r.dialTCP} {
		t.Run(name, func(t *testing.T) {
			h := dial()
			p := h.connect(d, id, 1)
			p.send([]byte("bye"))
			p.end()
			h.bytes(fmt.Sprintf("%x", "bye"))
			h.eof() // but the client may still send
			h.write([]byte("still here"))
			p.recv(t, 10)
			h.Close()
			p.awaitClosed(t)
		})
		t.Run(name+", then unplugged", func(t *testing.T) {
			d := newFakeDevice()
			info := usbInfo()
			info.UDID = udid40
			id := r.attachInfo(info, d)
			h := dial()
			p := h.connect(d, id, 1)
			p.end()
			h.eof()
			r.reg.Detach(id)
			p.awaitClosed(t)
		})
		t.Run(name+", after the client's", func(t *testing.T) {
			h := dial()
			p := h.connect(d, id, 1)
			h.closeWrite()
			p.await(t, "CloseWrite", func() bool { return p.half })
			p.end()
			h.eof()
			p.awaitClosed(t)
		})
	}
}

func testFlush(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	for name, dial := range map[string]func() *host{"unix": r.dial, "tcp": r.dialTCP} {
		t.Run(name, func(t *testing.T) {
			h := dial()
			p := h.connect(d, id, 1)
			sent := bytes.Repeat([]byte("x"), 1<<20)
			p.send(sent)
			p.reset()
			h.write([]byte("to nobody")) // unread input must not cut the rest off
			n := 0
			buf := make([]byte, 1<<16)
			for n < len(sent) {
				m, err := h.Read(buf)
				if err != nil {
					t.Fatalf("after %d bytes: %v", n, err)
				}
				n += m
			}
			h.eof()
			p.awaitClosed(t)
		})
	}
}

func testTCP(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	h := r.dialTCP()
	h.write(ask(1, "ListDevices"))
	over := h.read()
	u := r.dial()
	u.write(ask(1, "ListDevices"))
	if at := u.read(); at.header != over.header || !bytes.Equal(at.payload, over.payload) {
		t.Fatalf("TCP and Unix clients get different lists:\n%s\n%s", over.payload, at.payload)
	}
	l := r.dialTCP()
	l.listen(1)
	l.event("Attached", id)
	p := h.connect(d, id, 22)
	p.send([]byte("SSH-2.0\r\n"))
	h.bytes(fmt.Sprintf("%x", "SSH-2.0\r\n"))
}

func testNetworkDevice(t *testing.T) {
	r := newRig(t)
	nd, ud := newFakeDevice(), newFakeDevice()
	network := r.attachInfo(networkInfo(), nd)
	usb := r.attach(ud)
	if network == usb {
		t.Fatalf("both have id %d", usb)
	}
	if _, err := r.reg.Attach(networkInfo(), nd); !errors.Is(err, ErrAttached) {
		t.Fatalf("Attach of the same again = %v, want ErrAttached", err)
	}
	h := r.dial()
	h.write(ask(1, "ListDevices"))
	list := h.read().dict(t)["DeviceList"].([]any)
	if len(list) != 2 {
		t.Fatalf("got %v, want two entries", list)
	}
	first, second := list[0].(map[string]any), list[1].(map[string]any)
	p := second["Properties"].(map[string]any)
	if first["DeviceID"] != uint64(usb) || second["DeviceID"] != uint64(network) {
		t.Fatalf("got %v, want USB before Network", list)
	}
	if p["ConnectionType"] != "Network" || p["SerialNumber"] != udid24 || len(p["NetworkAddress"].([]byte)) != 128 || p["InterfaceIndex"] != uint64(3) {
		t.Fatalf("got %v", p)
	}
	// Each id leads to its own device.
	np := h.connect(nd, network, 62078)
	r.dial().connect(ud, usb, 62078)

	l := r.dial()
	l.listen(2)
	l.event("Attached", usb)
	l.event("Attached", network)
	b := r.dial() // the binary form cannot tell them apart
	b.write(unhex(t, "10000000 00000000 03000000 01000000"))
	b.read()
	if got := b.read(); !bytes.Equal(got.payload[:4], word(usb)) {
		t.Fatalf("binary listener got device %x", got.payload[:4])
	}
	r.reg.Paired(udid24)
	l.event("Paired", usb)
	b.bytes("14000000 00000000 06000000 00000000" + fmt.Sprintf("%x", word(usb)))
	np.reset()
	r.reg.Detach(network)
	l.event("Detached", network)
}

func testManyClients(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	const n = 300
	hosts := make([]*host, n)
	for i := range hosts {
		hosts[i] = r.dial()
		switch i % 3 {
		case 0:
			hosts[i].write(ask(uint32(i), "Listen"))
		case 1:
			hosts[i].write(askConnect(uint32(i), id, uint16(i)))
		default:
			hosts[i].write(ask(uint32(i), "ListDevices"))
		}
	}
	for i, h := range hosts {
		if i%3 == 2 {
			if got := h.read(); got.tag != uint32(i) {
				t.Fatalf("client %d got %+v", i, got.header)
			}
			continue
		}
		h.result(uint32(i), 0)
	}
	for range n / 3 {
		p := d.phone(t)
		h := hosts[p.port]
		h.write([]byte("to the phone"))
		p.recv(t, 12)
		p.send([]byte("and back"))
		h.bytes(fmt.Sprintf("%x", "and back"))
		p.reset()
		h.eof()
	}
	r.reg.Detach(id)
	for i := 0; i < n; i += 3 {
		hosts[i].event("Attached", id)
		hosts[i].event("Detached", id)
	}
}
