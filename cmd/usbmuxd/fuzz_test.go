package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"gomuxd/access"
	"gomuxd/control"
	"gomuxd/hotplug"
	"gomuxd/mux/muxtest"
	"gomuxd/pairrecord"
	"gomuxd/socket"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

const (
	fuzzGood    = "00008110-000A111122220001" // a phone as it should be
	fuzzHostile = "00008110-000A111122220002" // one that says what the input says
)

// FuzzDaemon runs the whole daemon, less USB and the kernel's sockets, with clients,
// an operator and a phone that do what the input says, all at once; hours pass in no
// time. In the end another client must find a healthy phone beside them, whose bytes
// are right and which has nothing to complain of; records are where records go; and
// everything stops.
func FuzzDaemon(f *testing.F) {
	f.Add([]byte("\x06\x08\x0f\x01\x00\x01\x00\x00\x01\x00\x07\x10\x0b\x0d")) // plug, VERSION, a Connect, SYN+ACK
	f.Add([]byte("\x06\x0f\x0d\x00\x01\x08\x0d\x02\x01\x20hello\x0a\x01\x02\x03\x04\x05\x06\x0c\x40\x07\x0d"))
	f.Add([]byte("\x00\x00\x01\x00\x01\x04\x00\x06\x0f\x0d\x07\x0d\x06\x0d\x0e\x00\x0e\x01\x0e\x02\x03\x00"))
	f.Add([]byte("\x06\x09\x14\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x0d"))
	f.Add([]byte("\x00\x03\x02\x03\x20GET /v1/devices HTTP/1.1\r\nHost: x\r\n\r\n\x04\x03\x0c\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4096 {
			return
		}
		dir, err := os.MkdirTemp(memory(), "fuzz")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		records, err := pairrecord.Open(dir, pairrecord.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer records.Close()
		d := newDaemon(new(options), set("--trust-policy", fuzzGood+"=never"), zap.NewNop())
		srv := socket.NewServer(d.registry, socket.Config{Records: clientRecords{records, d.hear, d.used}, Errno: pairrecord.Errno})
		// What waits for the kernel must do so outside of the bubble. It begins to with
		// the first listener.
		none := newPassage()
		none.Close()
		if err := srv.Serve(none, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			p := newPlay(t, srv, d, records)
			for script := in; len(script) > 0; {
				script = p.step(script)
			}
			p.end()
		})
		checkNames(t, dir)
	})
}

// memory is a directory in memory, if there is one.
func memory() string {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// checkNames asserts that nothing but records and what belongs to them is in the
// directory.
func checkNames(t *testing.T, dir string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		id, record := strings.CutSuffix(e.Name(), ".plist")
		switch {
		case e.IsDir() && (e.Name() == ".replaced" || e.Name() == ".used" || e.Name() == ".untrusted"):
		case record && (id == "SystemConfiguration" || pairrecord.ValidID(id) == nil):
		default:
			t.Errorf("%s is in the directory of records", e)
		}
	}
}

// passage is a listening socket in memory. The kernel knows nobody at its ends.
type passage struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPassage() *passage { return &passage{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *passage) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *passage) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *passage) Addr() net.Addr { return &net.UnixAddr{Name: "passage", Net: "unix"} }

func (l *passage) dial() net.Conn {
	mine, theirs := net.Pipe()
	l.conns <- theirs
	return mine
}

// fuzzPlay is a daemon and those around it, in a bubble.
type fuzzPlay struct {
	t         *testing.T
	d         *muxd
	ctx       context.Context
	stop      context.CancelFunc
	srv       *socket.Server
	operators *control.Server
	clients   *passage
	control   *passage
	serving   sync.WaitGroup

	good   *virtualphone.Phone
	cable  *virtualphone.Cable
	guests [4]net.Conn // the last one is an operator

	mu      sync.Mutex     // guards the rest: the hostile phone
	phone   *muxtest.Phone // of the latest claim
	plugged bool
	eager   bool     // answers VERSION and SYN by itself
	syns    []uint16 // ports of the host that have called and got no answer
	dst     uint16   // which port was called last
	tx      uint16
}

func newPlay(t *testing.T, srv *socket.Server, d *muxd, records *pairrecord.Store) *fuzzPlay {
	d.records = records
	p := &fuzzPlay{t: t, d: d, srv: srv, clients: newPassage(), control: newPassage()}
	d.open = p.open
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.operators = control.NewServer(d.hub, &operator{d: d, records: records, started: time.Now()}, control.Config{
		Peer: func(net.Conn) access.Peer { return access.Peer{Origin: access.Local} }, // root
	})
	p.serving.Go(func() { p.must(p.srv.Serve(p.clients, nil)) })
	p.serving.Go(func() { p.must(p.operators.Serve(p.control)) })
	var err error
	p.good, err = virtualphone.New(virtualphone.Config{UDID: fuzzGood})
	p.must(err)
	p.cable, err = p.good.Plug()
	p.must(err)
	d.handle(p.ctx, hotplug.Event{Action: hotplug.Add, Device: hotplug.Device{Path: "/devices/1-1", Port: "1-1", Kind: hotplug.Mux}})
	synctest.Wait()
	return p
}

func (p *fuzzPlay) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Error(err)
	}
}

// open is the daemon's way to a phone.
func (p *fuzzPlay) open(_ context.Context, dev hotplug.Device) (unit, error) {
	if dev.Port == "1-1" {
		return unit{pipe: p.cable.Pipe(), info: socket.Info{UDID: fuzzGood, ProductID: 0x12a8}}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.plugged {
		return unit{}, muxtest.ErrUnplugged
	}
	pipe, phone := muxtest.Pipe()
	p.phone, p.syns, p.tx = phone, nil, 0
	go p.hear(phone) // ends with the claim
	return unit{pipe: pipe, info: socket.Info{UDID: fuzzHostile, ProductID: 0x12a8}}, nil
}

// hear takes what the host says to the hostile phone, which is well-formed whatever
// it is told.
func (p *fuzzPlay) hear(phone *muxtest.Phone) {
	long := false
	for {
		b, ok := phone.Recv()
		if !ok {
			return
		}
		if len(b) < 8 || int(binary.BigEndian.Uint32(b[4:])) != len(b) || len(b) > 48<<10 {
			p.t.Errorf("a packet of %d bytes: % x", len(b), b[:min(len(b), 36)])
			continue
		}
		at := 8
		switch proto := binary.BigEndian.Uint32(b); {
		case proto == 0 && p.isEager():
			go phone.Send(fuzzVersion) // the host may be about to say more
			continue
		case proto == 2:
			long = true
			continue
		case proto != 6:
			continue
		case long:
			at = 16
		}
		if len(b) < at+20 {
			p.t.Errorf("a segment of %d bytes", len(b)-at)
			continue
		}
		if b[at+13] == 0x02 {
			p.mu.Lock()
			p.syns = append(p.syns, binary.BigEndian.Uint16(b[at:]))
			p.dst = binary.BigEndian.Uint16(b[at+2:])
			p.mu.Unlock()
			if p.isEager() {
				go p.accept()
			}
		}
	}
}

func (p *fuzzPlay) isEager() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.eager
}

// fuzzVersion is the phone's part of the handshake.
var fuzzVersion = []byte("\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00")

// say has the hostile phone send bytes, if it has been claimed.
func (p *fuzzPlay) say(b []byte) {
	p.mu.Lock()
	phone := p.phone
	p.mu.Unlock()
	if phone != nil {
		phone.Send(b)
	}
}

// segment says a segment from the port that was called last.
func (p *fuzzPlay) segment(to uint16, seq, ack uint32, flags byte, window uint16, payload []byte) {
	p.mu.Lock()
	p.tx++
	b := binary.BigEndian.AppendUint32(nil, 6)
	b = binary.BigEndian.AppendUint32(b, uint32(36+len(payload)))
	b = binary.BigEndian.AppendUint32(b, 0xfeedface)
	b = binary.BigEndian.AppendUint16(b, p.tx)
	b = binary.BigEndian.AppendUint16(b, 0xffff)
	b = binary.BigEndian.AppendUint16(b, p.dst)
	p.mu.Unlock()
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, 0x50, flags)
	b = binary.BigEndian.AppendUint16(b, window)
	p.say(append(append(b, 0, 0, 0, 0), payload...))
}

// accept answers the oldest call.
func (p *fuzzPlay) accept() {
	p.mu.Lock()
	if len(p.syns) == 0 {
		p.mu.Unlock()
		return
	}
	to := p.syns[0]
	p.syns = p.syns[1:]
	p.mu.Unlock()
	p.segment(to, 0, 1, 0x12, 0x200, nil)
}

// fuzzRequests are what clients may ask without having to guess it. The daemon's
// devices are 1 and 2 at first.
var fuzzRequests = func() (all [][]byte) {
	plist := func(inside string) {
		body := `<plist version="1.0"><dict>` + inside + `</dict></plist>`
		m := binary.LittleEndian.AppendUint32(nil, uint32(16+len(body)))
		for _, v := range []uint32{1, 8, 7} {
			m = binary.LittleEndian.AppendUint32(m, v)
		}
		all = append(all, append(m, body...))
	}
	for _, kind := range []string{"Listen", "ListDevices", "ListListeners", "ReadBUID"} {
		plist("<key>MessageType</key><string>" + kind + "</string>")
	}
	for _, id := range []string{fuzzGood, fuzzHostile, "../x"} {
		for _, kind := range []string{"ReadPairRecord", "SavePairRecord", "DeletePairRecord"} {
			plist("<key>MessageType</key><string>" + kind + "</string><key>PairRecordID</key><string>" + id + "</string>" +
				"<key>PairRecordData</key><data>PHBsaXN0PjxkaWN0PjxrZXk+SG9zdElEPC9rZXk+PHN0cmluZz5oPC9zdHJpbmc+PC9kaWN0PjwvcGxpc3Q+</data>")
		}
	}
	for id := range 4 {
		for _, port := range []int{7 << 8, 32498, 0, 65535} { // echo, lockdownd
			plist(fmt.Sprintf("<key>MessageType</key><string>Connect</string><key>DeviceID</key><integer>%d</integer><key>PortNumber</key><integer>%d</integer>", id, port))
		}
	}
	all = append(all, []byte("\x10\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00"))
	for _, line := range []string{"GET /v1/devices", "GET /v1/events", "POST /v1/devices/2/trust", "POST /v1/devices/2/untrust", "GET /v1/records"} {
		all = append(all, []byte(line+" HTTP/1.1\r\nHost: usbmuxd\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"))
	}
	return all
}()

// step does what the script says first, and returns the rest.
func (p *fuzzPlay) step(script []byte) []byte {
	next := func() (b byte) {
		if len(script) > 0 {
			b, script = script[0], script[1:]
		}
		return b
	}
	some := func() (b []byte) {
		n := min(int(next()), len(script))
		b, script = script[:n], script[n:]
		return b
	}
	guest := func() (int, net.Conn) {
		i := int(next()) % len(p.guests)
		return i, p.guests[i]
	}
	switch next() % 17 {
	case 0: // come
		i, c := guest()
		if c != nil {
			c.Close()
		}
		if i == len(p.guests)-1 {
			p.guests[i] = p.control.dial()
		} else {
			p.guests[i] = p.clients.dial()
		}
	case 1: // ask
		_, c := guest()
		p.write(c, fuzzRequests[int(next())%len(fuzzRequests)])
	case 2: // say
		_, c := guest()
		p.write(c, some())
	case 3: // go
		if i, c := guest(); c != nil {
			c.Close()
			p.guests[i] = nil
		}
	case 4: // read all from now on
		if _, c := guest(); c != nil {
			go io.Copy(io.Discard, c) // ends with it
		}
	case 5: // read a little
		if _, c := guest(); c != nil {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			_, _ = c.Read(make([]byte, 1+int(next())))
			_ = c.SetReadDeadline(time.Time{})
		}
	case 6:
		p.plug(true)
	case 7:
		p.plug(false)
	case 8:
		p.say(fuzzVersion)
	case 9:
		p.say(some())
	case 10:
		to, seq, ack, flags, window := uint16(next()), uint32(next()), uint32(next()), next(), uint16(next())<<8
		p.segment(to, seq, ack, flags, window, some())
	case 11:
		p.accept()
	case 12: // wait
		time.Sleep(time.Duration(1<<(next()%18)) * time.Millisecond)
	case 13:
		synctest.Wait()
	case 14: // what the source of events should not say
		dev := hotplug.Device{Path: "/devices/1-2", Port: "1-2", Kind: hotplug.Kind(next() % 5), Serial: string(some())}
		p.d.handle(p.ctx, hotplug.Event{Action: hotplug.Action(next() % 3), Device: dev})
	case 15:
		p.mu.Lock()
		p.eager = !p.eager
		p.mu.Unlock()
	case 16: // the cable goes, and nobody says so
		p.mu.Lock()
		if p.phone != nil {
			p.phone.Unplug()
		}
		p.mu.Unlock()
	}
	return script
}

// write has a guest say something. It does not wait for ever.
func (p *fuzzPlay) write(c net.Conn, b []byte) {
	if c == nil {
		return
	}
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.Write(b)
}

// plug plugs the hostile phone in or pulls it.
func (p *fuzzPlay) plug(in bool) {
	p.mu.Lock()
	was := p.plugged
	p.plugged = in
	if !in && p.phone != nil {
		p.phone.Unplug()
	}
	p.mu.Unlock()
	if was == in {
		return
	}
	action := hotplug.Remove
	if in {
		action = hotplug.Add
	}
	p.d.handle(p.ctx, hotplug.Event{Action: action, Device: hotplug.Device{Path: "/devices/1-2", Port: "1-2", Kind: hotplug.Mux}})
}

// end asks as one who has nothing to do with all that, and stops everything.
func (p *fuzzPlay) end() {
	p.must(p.visit())
	p.stop()
	for _, c := range p.guests {
		if c != nil {
			c.Close()
		}
	}
	p.operators.Close()
	p.srv.Close()
	p.serving.Wait()
	p.d.wg.Wait()
	p.d.keys.Wait()
	p.good.Close()
	if v := p.good.Violations(); v.Total() != 0 {
		p.t.Errorf("the healthy phone counted violations: %v\n%v", v, p.good.ViolationNotes())
	}
}

// visit lists the devices and has the healthy one echo something.
func (p *fuzzPlay) visit() error {
	c := p.clients.dial()
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	list, err := fuzzCall(c, fuzzRequests[1])
	if err != nil {
		return fmt.Errorf("list of devices: %w", err)
	}
	if strings.Count(string(list), fuzzGood) == 0 {
		return fmt.Errorf("the healthy phone is not in the list: %s", list)
	}
	var id uint32
	for _, e := range p.d.registry.Devices() {
		if e.Info.UDID == fuzzGood {
			id = e.ID
		}
	}
	m := binary.LittleEndian.AppendUint32([]byte("\x18\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x00"), id)
	result, err := fuzzCall(c, append(m, 0, virtualphone.EchoPort, 0, 0))
	if err != nil || !strings.Contains(string(result), "<integer>0</integer>") {
		return fmt.Errorf("connect: %s, %v", result, err)
	}
	sent, got := make([]byte, 10_000), make([]byte, 10_000)
	service.Fill(3, 0, sent)
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		written <- err
	}()
	_, err = io.ReadFull(c, got)
	return errors.Join(err, <-written, service.Verify(3, 0, got))
}

// fuzzCall sends a request and returns the payload of the answer.
func fuzzCall(c net.Conn, m []byte) ([]byte, error) {
	if _, err := c.Write(m); err != nil {
		return nil, err
	}
	var head [16]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	if tag := binary.LittleEndian.Uint32(head[12:]); tag != 7 {
		return nil, fmt.Errorf("tag %d", tag)
	}
	payload := make([]byte, binary.LittleEndian.Uint32(head[:])-16)
	_, err := io.ReadFull(c, payload)
	return payload, err
}
