package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomuxd/access"
	"gomuxd/control"
	"gomuxd/socket"
)

var update = flag.Bool("update", false, "write the golden files")

const patience = 20 * time.Second

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	time.Local = time.UTC
	for _, v := range []string{"NO_COLOR", "COLUMNS", control.SocketEnv, "USBMUXD_SOCKET_ADDRESS"} {
		os.Unsetenv(v)
	}
	os.Exit(m.Run())
}

const (
	annaUDID = "00008110-001C20223E29401E"
	boUDID   = "2b6f0cc904d137be2e1730235f5664094b831186"
	hostBUID = "30142955-444094379208051516"
)

func ptr[T any](v T) *T { return &v }

func anna() control.Device {
	return control.Device{
		DeviceID: ptr(uint32(1)), UDID: ptr(annaUDID), Name: "Anna’s iPhone", Product: "iPhone14,5", Model: "iPhone 13", Version: "17.5",
		Class: "iPhone", Capacity: ptr(uint64(128e9)), Connection: "USB", Speed: 480e6, PortPath: "1-2", Trust: "trusted",
		Since: noon.Add(-3 * time.Hour), ExpiresInDays: ptr(29), Counters: control.Counters{Sessions: 2, BytesIn: 12_345_678, BytesOut: 4321},
		Reason: "The phone trusts this computer.",
	}
}

func bo() control.Device {
	return control.Device{
		DeviceID: ptr(uint32(2)), UDID: ptr(boUDID), Name: "Bo", Product: "iPad7,5", Model: "iPad (6th generation)", Version: "16.7.8",
		Class: "iPad", Capacity: ptr(uint64(32e9)), Connection: "USB", Speed: 5e9, PortPath: "1-3.4", Trust: "dialog-shown",
		Since: noon.Add(-30 * time.Second), Cause: "PairingDialogResponsePending",
		Reason:   "The device shows the question “Trust This Computer?” and waits for an answer.",
		NextStep: "On the iPad, tap Trust and then enter its passcode.",
	}
}

func recovery() control.Device {
	return control.Device{
		Model: "iPhone", Connection: "USB", PortPath: "2-1", Trust: "recovery", Since: noon.Add(-50 * time.Hour),
		Reason: "The device is in recovery mode.", NextStep: "Restart it: hold the side button and a volume button until the screen is dark.",
	}
}

// evil has a name that tries to write to the terminal.
func evil() control.Device {
	d := bo()
	d.DeviceID, d.UDID, d.PortPath = ptr(uint32(9)), ptr("00008120-00AA00AA00AA00AA"), "1-9"
	d.Name = "\x1b]0;owned\a\x1b[2J電話\u202egnp\n" + strings.Repeat("x", 80)
	return d
}

// actions is what the daemon would do.
type actions struct {
	mu      sync.Mutex
	calls   []string
	records []control.Record
	packets []control.Packet // of a capture
	watcher func(control.Packet)
	trust   func(key string, req control.TrustRequest) error
	untrust func(udid string) (control.UntrustResult, error)
	mended  func(key string) error
}

func (a *actions) did(call string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, call)
}

func (a *actions) Trust(_ context.Context, key string, req control.TrustRequest) error {
	a.did("trust " + key)
	if a.trust != nil {
		return a.trust(key, req)
	}
	return nil
}

func (a *actions) Untrust(_ context.Context, udid string) (control.UntrustResult, error) {
	a.did("untrust " + udid)
	if a.untrust != nil {
		return a.untrust(udid)
	}
	return control.UntrustResult{UDID: udid, Record: true, Phone: true}, nil
}

func (a *actions) mend(call, key string) error {
	a.did(call)
	if a.mended != nil {
		return a.mended(key)
	}
	return nil
}

func (a *actions) Reset(_ context.Context, key string) error  { return a.mend("reset "+key, key) }
func (a *actions) Reopen(_ context.Context, key string) error { return a.mend("reopen "+key, key) }
func (a *actions) Mode(_ context.Context, key string, mode int) error {
	return a.mend(fmt.Sprint("mode ", key, " ", mode), key)
}

func (a *actions) Records(context.Context) ([]control.Record, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]control.Record(nil), a.records...), nil
}

func (a *actions) used(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records[0].LastUsed = &at
}

func (a *actions) Restore(_ context.Context, udid, id string) error {
	a.did("restore " + udid + " " + id)
	return nil
}

// Watch has all packets go by at once.
func (a *actions) Watch(udid string, fn func(control.Packet)) (stop func()) {
	a.did("watch " + udid)
	a.mu.Lock()
	a.watcher = fn
	a.mu.Unlock()
	a.again()
	return func() { a.did("watched " + udid) }
}

// again has the packets go by once more.
func (a *actions) again() {
	for _, p := range a.packets {
		a.watcher(p)
	}
}

func (a *actions) Daemon(context.Context) control.Daemon { return control.Daemon{Version: "1.2.0"} }

func annaRecord() control.Record {
	return control.Record{
		UDID: annaUDID, HostID: "8AB1C1CE-34D5-4B4C-9D6C-8B8F7C4A3D21", SystemBUID: hostBUID, BUIDMatches: true, HasEscrowBag: true,
		WiFiAddress: "aa:bb:cc:dd:ee:ff", Saved: noon.Add(-100 * time.Hour), LastUsed: ptr(noon.Add(-2 * time.Hour)), ExpiresInDays: ptr(29),
		Copies: []control.Copy{{ID: "20261120T101500Z", Replaced: noon.Add(-120 * time.Hour), Reason: "invalid-host-id", HasEscrowBag: true}},
	}
}

func boRecord() control.Record {
	return control.Record{UDID: boUDID, HostID: "B0", SystemBUID: "other", Saved: noon.Add(-900 * time.Hour), Copies: []control.Copy{}}
}

// memRecords is a store of records behind the usbmuxd socket.
type memRecords struct {
	mu     sync.Mutex
	m      map[string][]byte
	forget bool // what is saved is set aside when it has been read twice
	reads  int
}

func (r *memRecords) Read(id string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := r.m[id]; ok {
		if r.reads++; r.forget && r.reads == 2 {
			delete(r.m, id)
		}
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (r *memRecords) Save(id string, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.m[id], r.reads = bytes.Clone(data), 0
	return nil
}

func (r *memRecords) Delete(string) error   { return syscall.ENOSYS }
func (r *memRecords) BUID() (string, error) { return hostBUID, nil }

// lab is a whole daemon's two sockets, without phones.
type lab struct {
	t       *testing.T
	hub     *control.Hub
	acts    *actions
	reg     *socket.Registry
	records *memRecords
	dir     string
	peer    access.Peer

	app         *app
	out, errOut syncBuffer
	terminal    bool // stdin is one, and stdout
	width       int
	vars        map[string]string
}

// syncBuffer is written by a command and read by a test at the same time.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *syncBuffer) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Reset()
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), vars: map[string]string{}, records: &memRecords{m: map[string][]byte{}}, reg: socket.NewRegistry(), acts: &actions{}, width: 100}
	l.hub = control.NewHub(control.Config{})
	l.app = newApp()
	l.app.stdin, l.app.stdout, l.app.stderr = strings.NewReader(""), &l.out, &l.errOut
	l.app.env = func(name string) string { return l.vars[name] }
	l.app.now = func() time.Time { return noon }
	l.app.isTerminal = func(any) bool { return l.terminal }
	l.app.columns = func(any) int { return l.width }
	l.app.readPassword = func(string) (string, error) { return "", errors.New("no terminal") }
	l.app.bus = func(context.Context, chan<- struct{}) (bus, error) { return nil, errors.New("no session bus") }
	l.app.workFactor = 10
	l.app.lull, l.app.backoff = time.Millisecond, time.Millisecond
	l.app.patience, l.app.grace, l.app.trial = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	return l
}

func (l *lab) controlPath() string { return filepath.Join(l.dir, "control") }
func (l *lab) socketPath() string  { return filepath.Join(l.dir, "usbmuxd") }

// serveControl starts the control socket; stop ends it.
func (l *lab) serveControl() (stop func()) {
	l.t.Helper()
	cfg := control.Config{}
	if l.peer.PID != 0 {
		cfg.Peer = func(net.Conn) access.Peer { return l.peer }
	}
	srv := control.NewServer(l.hub, l.acts, cfg)
	ln, err := net.Listen("unix", l.controlPath())
	if err != nil {
		l.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	stop = sync.OnceFunc(func() {
		srv.Close()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
	l.t.Cleanup(stop)
	return stop
}

// serveSocket starts the usbmuxd socket.
func (l *lab) serveSocket() {
	l.t.Helper()
	srv := socket.NewServer(l.reg, socket.Config{Records: l.records})
	ln, err := socket.Listen(l.socketPath(), 0)
	if err != nil {
		l.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln, nil) }()
	l.t.Cleanup(func() {
		srv.Close()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
}

// run runs muxctl and returns what it prints.
func (l *lab) run(args ...string) (code int, out, errOut string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	return l.runContext(ctx, args...)
}

func (l *lab) runContext(ctx context.Context, args ...string) (code int, out, errOut string) {
	l.t.Helper()
	l.out.reset()
	l.errOut.reset()
	l.app.json, l.app.noColor, l.app.started, l.app.sawNothing, l.app.control, l.app.address = false, false, false, false, "", ""
	code = l.app.run(ctx, append([]string{"--control", l.controlPath(), "--socket", l.socketPath()}, args...))
	clean := strings.NewReplacer(l.dir, "DIR")
	return code, clean.Replace(l.out.String()), clean.Replace(l.errOut.String())
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: want\n%s\ngot\n%s", path, want, got)
	}
}

// lockdown answers GetValue as a phone does, on every connection.
type lockdown struct{ name string }

type pipeConn struct{ net.Conn }

func (c pipeConn) CloseWrite() error { return c.Close() }

func (d lockdown) Dial(_ context.Context, port uint16) (socket.Conn, error) {
	if port != lockdownPort {
		return nil, syscall.ECONNREFUSED
	}
	a, b := net.Pipe()
	go func() {
		defer b.Close()
		var head [4]byte
		if _, err := io.ReadFull(b, head[:]); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, b, int64(head[2])<<8|int64(head[3])); err != nil {
			return
		}
		reply := "<plist><dict><key>Request</key><string>GetValue</string><key>Value</key><dict>" +
			"<key>DeviceName</key><string>" + d.name + "</string><key>ProductType</key><string>iPhone14,5</string>" +
			"<key>ProductVersion</key><string>17.5</string><key>DeviceClass</key><string>iPhone</string></dict></dict></plist>"
		b.Write(append([]byte{0, 0, byte(len(reply) >> 8), byte(len(reply))}, reply...))
	}()
	return pipeConn{a}, nil
}

func (l *lab) attach(udid, name string) uint32 {
	l.t.Helper()
	id, err := l.reg.Attach(socket.Info{UDID: udid, ProductID: 0x12a8, LocationID: 0x10004, Speed: 480e6}, lockdown{name})
	if err != nil {
		l.t.Fatal(err)
	}
	return id
}
