package socket

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gomuxd/access"
	"gomuxd/plist"
)

// patience is how long a test waits for something that must happen.
const patience = 20 * time.Second

const (
	serial24 = "00008110001C20223E29401E"
	udid24   = "00008110-001C20223E29401E"
	udid40   = "2b6f0cc904d137be2e1730235f5664094b831186"
)

var errPhoneReset = errors.New("reset by the phone")

// phone is the device's end of a fakeConn.
type phone struct {
	port  uint16
	room  int  // bytes the phone takes before Write blocks
	small bool // made by DialSmall

	mu     sync.Mutex
	change *sync.Cond
	down   []byte // on the way to the client
	up     []byte // written by the client, not read by the phone
	got    []byte // read by the phone
	fin    bool
	rst    bool
	half   bool // CloseWrite was called
	closed bool // Close was called
	acked  uint32
	full   func()        // BeforeWait's
	done   chan struct{} // closed at a reset of either side
	over   sync.Once
}

func newPhone(port uint16) *phone {
	p := &phone{port: port, room: 1 << 20, done: make(chan struct{})}
	p.change = sync.NewCond(&p.mu)
	return p
}

func (p *phone) do(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	if p.rst || p.closed {
		p.over.Do(func() { close(p.done) })
	}
	p.change.Broadcast()
}

func (p *phone) send(b []byte) { p.do(func() { p.down = append(p.down, b...) }) }
func (p *phone) reset()        { p.do(func() { p.rst = true }) }
func (p *phone) end()          { p.do(func() { p.fin = true }) }

// await waits until ok says so, which is called with p.mu held.
func (p *phone) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.AfterFunc(patience, p.change.Broadcast)
	defer late.Stop()
	by := time.Now().Add(patience)
	p.mu.Lock()
	defer p.mu.Unlock()
	for !ok() {
		if time.Now().After(by) {
			t.Fatalf("%s: did not happen (half %v, closed %v, %d bytes up, %d got, %d down)",
				what, p.half, p.closed, len(p.up), len(p.got), len(p.down))
		}
		p.change.Wait()
	}
}

// recv reads n bytes of what the client wrote.
func (p *phone) recv(t testing.TB, n int) []byte {
	t.Helper()
	p.await(t, fmt.Sprintf("%d bytes at the phone", n), func() bool { return len(p.up) >= n })
	p.mu.Lock()
	defer p.mu.Unlock()
	b := bytes.Clone(p.up[:n])
	p.up = p.up[n:]
	p.acked += uint32(n)
	p.change.Broadcast()
	return b
}

func (p *phone) awaitClosed(t testing.TB) {
	t.Helper()
	p.await(t, "close of the phone's connection", func() bool { return p.closed })
}

// fakeConn is the host's end of a connection to a phone.
type fakeConn struct{ p *phone }

func (c fakeConn) Read(b []byte) (int, error) {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.closed:
			return 0, net.ErrClosed
		case len(p.down) > 0:
			n := copy(b, p.down)
			p.down = p.down[n:]
			p.change.Broadcast()
			return n, nil
		case p.fin || p.rst:
			return 0, io.EOF
		}
		p.change.Wait()
	}
}

func (c fakeConn) Write(b []byte) (int, error) {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for {
		switch {
		case p.closed:
			return total, net.ErrClosed
		case p.rst:
			return total, errPhoneReset
		case p.half:
			return total, io.ErrClosedPipe
		case len(b) == total:
			return total, nil
		case len(p.up) < p.room:
			n := min(p.room-len(p.up), len(b)-total)
			p.up = append(p.up, b[total:total+n]...)
			total += n
			p.change.Broadcast()
			continue
		}
		if f := p.full; f != nil {
			p.full = nil
			p.mu.Unlock()
			f()
			p.mu.Lock()
			continue
		}
		p.change.Wait()
	}
}

func (c fakeConn) Close() error      { c.p.do(func() { c.p.closed = true }); return nil }
func (c fakeConn) CloseWrite() error { c.p.do(func() { c.p.half = true }); return nil }
func (c fakeConn) Reset() bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.rst
}
func (fakeConn) LocalAddr() net.Addr              { return nil }
func (fakeConn) RemoteAddr() net.Addr             { return nil }
func (fakeConn) SetDeadline(time.Time) error      { return nil }
func (fakeConn) SetReadDeadline(time.Time) error  { return nil }
func (fakeConn) SetWriteDeadline(time.Time) error { return nil }

// fastConn brings its own copying, and all else that a Conn may have.
type fastConn struct{ fakeConn }

func (c fastConn) Done() <-chan struct{} { return c.p.done }
func (c fastConn) BeforeWait(f func())   { c.p.do(func() { c.p.full = f }) }
func (c fastConn) Abort()                { c.Close() }
func (c fastConn) Acked() uint32 {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.acked
}

func (c fastConn) ReadFrom(r io.Reader) (int64, error) { return 0, copyPlain(c.fakeConn, r) }
func (c fastConn) WriteTo(w io.Writer) (int64, error)  { return 0, copyPlain(w, c.fakeConn) }

// Forward takes nothing by itself: rest is called for all that the phone sends.
func (c fastConn) Forward(_ io.Writer, rest func()) (stop func() bool) {
	var called, stopped bool // guarded by c.p.mu
	go func() {
		c.p.mu.Lock()
		for !stopped && !c.p.closed && !c.p.rst && !c.p.fin && len(c.p.down) == 0 {
			c.p.change.Wait()
		}
		called = !stopped
		c.p.mu.Unlock()
		if called {
			rest()
		}
	}()
	return func() bool {
		c.p.do(func() { stopped = !called })
		return stopped
	}
}

// fakeDevice is a device whose ports accept at once, unless dial says otherwise.
type fakeDevice struct {
	dial  func(ctx context.Context, p *phone) error
	plain bool // without ReadFrom and WriteTo
	conns chan *phone
}

func newFakeDevice() *fakeDevice { return &fakeDevice{conns: make(chan *phone, 1024)} }

func (d *fakeDevice) Dial(ctx context.Context, port uint16) (Conn, error) {
	return d.connect(ctx, newPhone(port))
}

func (d *fakeDevice) DialSmall(ctx context.Context, port uint16) (Conn, error) {
	p := newPhone(port)
	p.small = true
	return d.connect(ctx, p)
}

func (d *fakeDevice) connect(ctx context.Context, p *phone) (Conn, error) {
	if d.dial != nil {
		if err := d.dial(ctx, p); err != nil {
			return nil, err
		}
	}
	d.conns <- p
	if d.plain {
		return fakeConn{p}, nil
	}
	return fastConn{fakeConn{p}}, nil
}

// phone returns the device's end of the next connection.
func (d *fakeDevice) phone(t testing.TB) *phone {
	t.Helper()
	select {
	case p := <-d.conns:
		return p
	case <-time.After(patience):
		t.Fatal("the device was not dialled")
		return nil
	}
}

// memRecords is a store in memory.
type memRecords struct {
	mu   sync.Mutex
	m    map[string][]byte
	buid string
	err  error         // for all calls, if not nil
	hang chan struct{} // calls wait for it, if not nil
}

func newMemRecords() *memRecords {
	return &memRecords{m: map[string][]byte{}, buid: "30142955-444094379208051516"}
}

func (r *memRecords) enter() error {
	if r.hang != nil {
		<-r.hang
	}
	return r.err
}

func (r *memRecords) Read(id string) ([]byte, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.m[id]
	if !ok {
		return nil, &os.PathError{Op: "read", Path: id, Err: syscall.ENOENT}
	}
	return b, nil
}

func (r *memRecords) Save(id string, data []byte) error {
	if err := r.enter(); err != nil {
		return err
	}
	if id == "" || strings.ContainsAny(id, "/\x00") || id == ".." || id == "SystemConfiguration" {
		return syscall.EINVAL
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.m[id] = bytes.Clone(data)
	return nil
}

func (r *memRecords) Delete(id string) error {
	if err := r.enter(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.m[id]; !ok {
		return syscall.ENOENT
	}
	delete(r.m, id)
	return nil
}

func (r *memRecords) BUID() (string, error) {
	if err := r.enter(); err != nil {
		return "", err
	}
	return r.buid, nil
}

// rig is a running server on a Unix and, with dialTCP, a TCP socket.
type rig struct {
	t       testing.TB
	gate    *access.Gate
	reg     *Registry
	srv     *Server
	records *memRecords
	logs    *observer.ObservedLogs
	path    string
	tcp     string
}

// noLeaks fails the test if it leaves goroutines of this package or descriptors
// behind.
func noLeaks(t testing.TB) {
	t.Helper()
	fds := openFiles(t)
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		by := time.Now().Add(patience)
		for {
			left, now := ours(), openFiles(t)
			if left == "" && now <= fds {
				return
			}
			if time.Now().After(by) {
				t.Errorf("left behind: %d descriptors (%d before), goroutines:\n%s", now, fds, left)
				return
			}
			runtime.Gosched()
		}
	})
}

// ours returns the stacks of goroutines that run the server's code.
func ours() string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		for _, f := range []string{"socket.(*Server)", "socket.(*client)", "socket.(*pipe)", "socket.(*listener)", "socket.(*hangups)", "socket.(*Registry)"} {
			if strings.Contains(g, f) {
				left = append(left, g)
				break
			}
		}
	}
	return strings.Join(left, "\n\n")
}

func openFiles(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// lowLimit leaves the process so many descriptors, until the end of the test or the call
// of enough; there may be holes below the limit, which are filled.
func lowLimit(t *testing.T, free int) (enough func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	var fill []*os.File
	low := old
	low.Cur = uint64(openFiles(t)-1) + 10 // the listing itself had one
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			break
		}
		fill = append(fill, f)
	}
	for range free {
		fill[len(fill)-1].Close()
		fill = fill[:len(fill)-1]
	}
	enough = func() {
		for _, f := range fill {
			f.Close()
		}
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	}
	t.Cleanup(enough)
	return enough
}

func newRig(t testing.TB, configs ...func(*Config)) *rig {
	t.Helper()
	return newGatedRig(t, nil, configs...)
}

// newGatedRig is newRig with access rules.
func newGatedRig(t testing.TB, gate *access.Gate, configs ...func(*Config)) *rig {
	t.Helper()
	// The poller's own descriptors come to stay with the first socket.
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
	noLeaks(t)
	core, logs := observer.New(zap.DebugLevel)
	r := &rig{t: t, gate: gate, reg: NewRegistry(), records: newMemRecords(), logs: logs}
	cfg := Config{Log: zap.New(core), Records: r.records}
	for _, f := range configs {
		f(&cfg)
	}
	r.srv = NewServer(r.reg, cfg)
	r.path = filepath.Join(t.TempDir(), "usbmuxd")
	l, err := Listen(r.path, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.serve(l)
	tl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.tcp = tl.Addr().String()
	r.serve(tl)
	t.Cleanup(func() { r.srv.Close() })
	return r
}

func (r *rig) serve(l net.Listener) {
	served := make(chan error, 1)
	go func() { served <- r.srv.Serve(l, r.gate) }()
	r.t.Cleanup(func() {
		r.srv.Close()
		if err := <-served; err != nil {
			r.t.Errorf("Serve = %v, want nil after Close", err)
		}
	})
}

// attach adds an ordinary USB device.
func (r *rig) attach(d Device) uint32 {
	r.t.Helper()
	return r.attachInfo(usbInfo(), d)
}

func (r *rig) attachInfo(info Info, d Device) uint32 {
	r.t.Helper()
	id, err := r.reg.Attach(info, d)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func usbInfo() Info {
	return Info{UDID: udid24, Serial: serial24, ProductID: 0x12a8, LocationID: 0x10004, Speed: 480_000_000}
}

func networkInfo() Info {
	addr := make([]byte, 128)
	copy(addr, []byte{2, 0, 0xf2, 0x7e, 192, 168, 1, 7})
	return Info{UDID: udid24, Transport: Network, NetworkAddress: addr, InterfaceIndex: 3}
}

// host is a client's end of a socket.
type host struct {
	t testing.TB
	net.Conn
}

func (r *rig) dial() *host    { r.t.Helper(); return r.dialTo("unix", r.path) }
func (r *rig) dialTCP() *host { r.t.Helper(); return r.dialTo("tcp", r.tcp) }

func (r *rig) dialTo(network, addr string) *host {
	r.t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		r.t.Fatal(err)
	}
	h := &host{r.t, c}
	_ = c.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { c.Close() })
	return h
}

// reply is one received message.
type reply struct {
	header
	payload []byte
}

// write sends raw bytes.
func (h *host) write(b []byte) {
	h.t.Helper()
	if _, err := h.Write(b); err != nil {
		h.t.Fatalf("write: %v", err)
	}
}

// read receives one message. The header must arrive with one call.
func (h *host) read() reply {
	h.t.Helper()
	var b [headerSize]byte
	if n, err := h.Read(b[:]); err != nil || n != headerSize {
		h.t.Fatalf("header: %d bytes, %v", n, err)
	}
	r := reply{header: decodeHeader(&b)}
	if r.length < headerSize || r.length > 1<<20 {
		h.t.Fatalf("header: length %d", r.length)
	}
	r.payload = make([]byte, r.length-headerSize)
	if _, err := io.ReadFull(h, r.payload); err != nil {
		h.t.Fatalf("payload: %v", err)
	}
	return r
}

// eof expects the end of the stream, and nothing before it.
func (h *host) eof() {
	h.t.Helper()
	b, err := io.ReadAll(h)
	if err != nil || len(b) != 0 {
		h.t.Fatalf("got %d bytes %.80q and %v, want EOF", len(b), b, err)
	}
}

// dict decodes the payload.
func (r reply) dict(t testing.TB) map[string]any {
	t.Helper()
	var d map[string]any
	if err := plist.Unmarshal(r.payload, &d); err != nil {
		t.Fatalf("payload %q: %v", r.payload, err)
	}
	return d
}

// message makes a property-list message from the inside of a dictionary.
func message(tag uint32, inside string) []byte {
	return appendPlist(nil, tag, document("<dict>"+inside+"</dict>"))
}

func document(root string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">` + root + "</plist>\n")
}

func str(key, value string) string {
	return "<key>" + key + "</key><string>" + value + "</string>"
}

func num(key string, value int64) string {
	return fmt.Sprintf("<key>%s</key><integer>%d</integer>", key, value)
}

// ask makes a request as libusbmuxd does.
func ask(tag uint32, kind string, more ...string) []byte {
	return message(tag, str("ClientVersionString", "libusbmuxd 2.1.0")+str("MessageType", kind)+
		str("ProgName", "idevice_id")+num("kLibUSBMuxVersion", 3)+strings.Join(more, ""))
}

func askConnect(tag, id uint32, port uint16) []byte {
	return ask(tag, "Connect", num("DeviceID", int64(id)), num("PortNumber", int64(port<<8|port>>8)))
}

// result expects a Result in property-list form.
func (h *host) result(tag, number uint32) {
	h.t.Helper()
	r := h.read()
	d := r.dict(h.t)
	if r.version != 1 || r.message != msgPlist || r.tag != tag || d["MessageType"] != "Result" || d["Number"] != uint64(number) || len(d) != 2 {
		h.t.Fatalf("got %+v %v, want Result %d with tag %d", r.header, d, number, tag)
	}
}

// bytes expects exactly these bytes, written as hex with spaces.
func (h *host) bytes(want string) {
	h.t.Helper()
	w := unhex(h.t, want)
	got := make([]byte, len(w))
	if n, err := io.ReadFull(h, got); err != nil || !bytes.Equal(got, w) {
		h.t.Fatalf("got  %x (%v)\nwant %x", got[:n], err, w)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// event expects a property-list event and returns it.
func (h *host) event(kind string, id uint32) map[string]any {
	h.t.Helper()
	r := h.read()
	d := r.dict(h.t)
	if r.version != 1 || r.message != msgPlist || r.tag != 0 || d["MessageType"] != kind || d["DeviceID"] != uint64(id) {
		h.t.Fatalf("got %+v %v, want %s of %d", r.header, d, kind, id)
	}
	return d
}

// listen sends Listen and takes its Result.
func (h *host) listen(tag uint32) {
	h.t.Helper()
	h.write(ask(tag, "Listen"))
	h.result(tag, 0)
}

// connect opens a connection to a port and returns the phone's end.
func (h *host) connect(d *fakeDevice, id uint32, port uint16) *phone {
	h.t.Helper()
	h.write(askConnect(77, id, port))
	h.result(77, 0)
	return d.phone(h.t)
}

func (h *host) closeWrite() {
	h.t.Helper()
	if err := h.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		h.t.Fatal(err)
	}
}

// until waits until ok says so, which is called with r.srv.mu held.
func (r *rig) until(ok func() bool) {
	for {
		r.srv.mu.Lock()
		done := ok()
		r.srv.mu.Unlock()
		if done {
			return
		}
		runtime.Gosched()
	}
}

// sync makes sure that the server has handled everything h has sent.
func (h *host) sync() {
	h.t.Helper()
	h.write(ask(4242, "ReadBUID"))
	if r := h.read(); r.tag != 4242 {
		h.t.Fatalf("got %+v, want the BUID", r.header)
	}
}

func word(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
