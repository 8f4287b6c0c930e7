package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gomuxd/access"
)

const (
	patience = 10 * time.Second // for real time; a test that needs it has failed

	annasUDID = "00008110-000A1B2C3D4E5F60"
	oldUDID   = "0123456789abcdef0123456789abcdef01234567"
	gonesUDID = "00008030-001122334455667A"
)

func ptr[T any](v T) *T { return &v }

func anna() Device {
	return Device{
		DeviceID: ptr(uint32(3)), UDID: ptr(annasUDID), Name: "Anna's iPhone", Product: "iPhone14,5", Model: "iPhone 13",
		Version: "17.5", Class: "iPhone", Capacity: ptr(uint64(128e9)), Connection: ConnectionUSB, Speed: 480e6, PortPath: "1-2",
		Trust: "dialog-shown",
	}
}

func old() Device {
	return Device{
		DeviceID: ptr(uint32(1)), UDID: ptr(oldUDID), Name: "Antik/4S ..", Class: "iPhone", Connection: ConnectionUSB,
		PortPath: "1-3", Trust: "trusted",
	}
}

func recovery() Device {
	return Device{Model: "iPhone in recovery", Class: "iPhone", Connection: ConnectionUSB, PortPath: "2-1", Trust: "recovery"}
}

// fakeActions notes what it is asked for.
type fakeActions struct {
	mu      sync.Mutex // guards everything below
	calls   []string
	err     error // of everything but Records
	broken  string
	records []Record
	packets func(Packet) // of the capture that is running
}

func (a *fakeActions) Watch(udid string, fn func(Packet)) (stop func()) {
	a.call("watch", udid)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.packets = fn
	return func() { a.call("stop", udid) }
}

func (a *fakeActions) call(parts ...string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, strings.Join(parts, " "))
	return a.err
}

func (a *fakeActions) taken() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := strings.Join(a.calls, "; ")
	a.calls = nil
	return s
}

func (a *fakeActions) Trust(_ context.Context, key string, req TrustRequest) error {
	if req.Touch {
		return a.call("touch", key)
	}
	return a.call("trust", key)
}

func (a *fakeActions) Untrust(_ context.Context, udid string) (UntrustResult, error) {
	err := a.call("untrust", udid)
	if udid == a.broken {
		err = errors.New("the phone is locked")
	}
	return UntrustResult{UDID: udid, Phone: true, Record: true}, err
}

func (a *fakeActions) Reset(_ context.Context, key string) error  { return a.call("reset", key) }
func (a *fakeActions) Reopen(_ context.Context, key string) error { return a.call("reopen", key) }
func (a *fakeActions) Mode(_ context.Context, key string, mode int) error {
	return a.call("mode", key, strconv.Itoa(mode))
}

func (a *fakeActions) Records(context.Context) ([]Record, error) { return a.records, nil }

func (a *fakeActions) Restore(_ context.Context, udid, copyID string) error {
	return a.call("restore", udid, copyID)
}

func (a *fakeActions) Daemon(context.Context) Daemon {
	return Daemon{Version: "1", Records: a.records}
}

// pipes is a listener of in-memory connections, which work in a bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }
func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.done:
		return nil, ErrNoDaemon
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// rig is a running server with three devices and two records.
type rig struct {
	t       testing.TB
	hub     *Hub
	srv     *Server
	actions *fakeActions
	client  *Client
	pipes   *pipes
	logs    *observer.ObservedLogs
}

func newRig(t testing.TB, configs ...func(*Config)) *rig {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	cfg := Config{Log: zap.New(core), Peer: func(net.Conn) access.Peer { return access.Peer{Origin: access.Local, PID: 7} }}
	for _, c := range configs {
		c(&cfg)
	}
	r := &rig{t: t, hub: NewHub(cfg), actions: &fakeActions{records: records()}, pipes: newPipes(), logs: logs}
	r.srv = NewServer(r.hub, r.actions, cfg)
	r.client = NewClient(r.pipes.dial)
	r.hub.Put("1-2", anna())
	r.hub.Put("1-3", old())
	r.hub.Put("2-1", recovery())
	served := make(chan error, 1)
	go func() { served <- r.srv.Serve(r.pipes) }()
	t.Cleanup(func() {
		r.srv.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	return r
}

func records() []Record {
	return []Record{
		{UDID: annasUDID, HostID: "H1", Copies: []Copy{{ID: "c1", Reason: "replaced"}}},
		{UDID: gonesUDID, HostID: "H2"},
	}
}

// answer is a server's answer.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) error(t testing.TB) Error {
	t.Helper()
	var e Error
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("no Error in %q: %v", a.body, err)
	}
	if e.Status != a.status || e.Message == "" {
		t.Errorf("status %d came with %+v", a.status, e)
	}
	return e
}

// ask makes a request as it is written, and returns the answer.
func (r *rig) ask(method, path, body string, headers ...string) answer {
	r.t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://usbmuxd"+path, rd)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.client.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// noLeaks fails the test if it leaves goroutines of a server or descriptors
// behind.
func noLeaks(t testing.TB) {
	t.Helper()
	if a, b, err := os.Pipe(); err == nil { // the runtime's poller opens its own at first use
		a.Close()
		b.Close()
	}
	fds := openFiles(t)
	t.Cleanup(func() {
		for by := time.Now().Add(patience); !t.Failed(); runtime.Gosched() {
			left, now := ours(), openFiles(t)
			if left == "" && now <= fds {
				return
			}
			if time.Now().After(by) {
				t.Errorf("left behind: %d descriptors (%d before), goroutines:\n%s", now, fds, left)
			}
		}
	})
}

func ours() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		if strings.Contains(g, "control.(*") || strings.Contains(g, "net/http.") {
			left = append(left, g)
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

// contextOf is a request's context as the server makes it.
func contextOf(ctx context.Context, g *guest) context.Context {
	return context.WithValue(ctx, guestKey{}, g)
}
