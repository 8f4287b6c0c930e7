package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
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

	"gomuxd/plist"
	"gomuxd/socket"
)

const (
	patience = 20 * time.Second
	udid     = "00008110-001C20223E29401E"
	buid     = "30142955-444094379208051516"
)

// echoDevice answers on port 62078 by echoing; other ports refuse.
type echoDevice struct{}

type echoConn struct{ net.Conn }

func (c echoConn) CloseWrite() error { return c.Close() }

func (echoDevice) Dial(_ context.Context, port uint16) (socket.Conn, error) {
	if port != 62078 {
		return nil, syscall.ECONNREFUSED
	}
	a, b := net.Pipe()
	go func() {
		defer b.Close()
		io.Copy(b, b)
	}()
	return echoConn{a}, nil
}

type memRecords struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (r *memRecords) Read(id string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := r.m[id]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (r *memRecords) Save(id string, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.Contains(id, "/") {
		return syscall.EACCES
	}
	r.m[id] = bytes.Clone(data)
	return nil
}

func (r *memRecords) Delete(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.m[id]; !ok {
		return syscall.ENOENT
	}
	delete(r.m, id)
	return nil
}

func (r *memRecords) BUID() (string, error) { return buid, nil }

// serve starts a daemon's socket server.
func serve(t *testing.T) (addr string, reg *socket.Registry) {
	t.Helper()
	reg = socket.NewRegistry()
	srv := socket.NewServer(reg, socket.Config{Records: &memRecords{m: map[string][]byte{}}})
	addr = filepath.Join(t.TempDir(), "usbmuxd")
	l, err := socket.Listen(addr, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l, nil) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return addr, reg
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, addr string) *Client {
	t.Helper()
	c, err := Dial(within(t), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func attach(t *testing.T, reg *socket.Registry) uint32 {
	t.Helper()
	id, err := reg.Attach(socket.Info{UDID: udid, ProductID: 0x12a8, LocationID: 0x10004, Speed: 480_000_000}, echoDevice{})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestListDevices(t *testing.T) {
	addr, reg := serve(t)
	c := dial(t, "UNIX:"+addr)
	if got, err := c.ListDevices(within(t)); err != nil || len(got) != 0 {
		t.Fatalf("ListDevices = %v, %v; want none", got, err)
	}
	id := attach(t, reg)
	want := Device{ID: id, UDID: udid, Connection: "USB", Speed: 480_000_000, ProductID: 0x12a8, LocationID: 0x10004}
	if got, err := c.ListDevices(within(t)); err != nil || len(got) != 1 || got[0] != want {
		t.Fatalf("ListDevices = %+v, %v; want %+v", got, err, want)
	}
	p, ok := c.Peer()
	if !ok || p.PID != os.Getpid() || p.UID != os.Getuid() {
		t.Fatalf("Peer = %+v, %v; want this process", p, ok)
	}
}

func TestRecords(t *testing.T) {
	addr, _ := serve(t)
	c, ctx := dial(t, "unix://"+addr), within(t)
	if got, err := c.ReadBUID(ctx); err != nil || got != buid {
		t.Fatalf("ReadBUID = %q, %v; want %q", got, err, buid)
	}
	_, err := c.ReadPairRecord(ctx, udid)
	var refusal *ResultError
	if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &refusal) || refusal.Number != 2 {
		t.Fatalf("ReadPairRecord = %v; want result 2", err)
	}
	data, err := plist.MarshalXML(map[string]any{"HostID": "h"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SavePairRecord(ctx, udid, data, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := c.ReadPairRecord(ctx, udid); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("ReadPairRecord = %q, %v; want %q", got, err, data)
	}
	if err := c.SavePairRecord(ctx, "a/b", data, 0); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("SavePairRecord = %v; want no permission", err)
	}
	if err := c.SavePairRecord(ctx, udid, []byte("nonsense"), 0); !errors.Is(err, syscall.EINVAL) {
		t.Fatalf("SavePairRecord of nonsense = %v; want EINVAL", err)
	}
	if err := c.DeletePairRecord(ctx, udid); err != nil {
		t.Fatal(err)
	}
	if err := c.DeletePairRecord(ctx, udid); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("DeletePairRecord = %v; want no such record", err)
	}
}

func TestConnect(t *testing.T) {
	addr, reg := serve(t)
	c := dial(t, addr)
	id := attach(t, reg)
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := c.Connect(ctx, id, 62078)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel() // bounds the attempt, not the connection
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Fatalf("echo = %q, %v", got, err)
	}
	if _, err := c.Connect(within(t), id, 1); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("Connect to a closed port = %v; want ECONNREFUSED", err)
	}
	if _, err := c.Connect(within(t), id+1, 62078); !errors.Is(err, syscall.ENODEV) {
		t.Fatalf("Connect to no device = %v; want ENODEV", err)
	}
}

func TestListen(t *testing.T) {
	addr, reg := serve(t)
	c := dial(t, addr)
	first := attach(t, reg)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, done := make(chan Event), make(chan error, 1)
	go func() {
		done <- c.Listen(ctx, func(e Event) error { events <- e; return nil })
	}()
	await := func(want Event) {
		t.Helper()
		select {
		case got := <-events:
			if got != want {
				t.Fatalf("event = %+v; want %+v", got, want)
			}
		case err := <-done:
			t.Fatal(err)
		case <-time.After(patience):
			t.Fatal("no event")
		}
	}
	await(Event{Attached, Device{first, udid, "USB", 480_000_000, 0x12a8, 0x10004}})
	reg.Paired(udid)
	await(Event{Paired, Device{ID: first}})
	reg.Detach(first)
	await(Event{Detached, Device{ID: first}})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("Listen = %v; want %v", err, context.Canceled)
	}
	stop := errors.New("enough")
	attach(t, reg)
	if err := c.Listen(within(t), func(Event) error { return stop }); err != stop {
		t.Fatalf("Listen = %v; want fn's error", err)
	}
}

func TestNoDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usbmuxd")
	if _, err := Dial(within(t), path); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("Dial of nothing = %v; want ErrNoDaemon", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := Dial(within(t), path); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("Dial of a stale socket = %v; want ErrNoDaemon", err)
	}
}

// TestOddDaemons has daemons that answer with raw bytes; T in them becomes the
// request's tag.
func TestOddDaemons(t *testing.T) {
	list := func(c *Client, ctx context.Context) error { _, err := c.ListDevices(ctx); return err }
	frame := func(kind uint32, tag byte, payload string) []byte {
		b := make([]byte, headerSize, headerSize+len(payload))
		binary.LittleEndian.PutUint32(b, uint32(headerSize+len(payload)))
		b[4], b[8], b[12] = 1, byte(kind), tag
		return append(b, payload...)
	}
	huge := frame(8, 1, "")
	binary.LittleEndian.PutUint32(huge, maxMessage+1)
	for _, tt := range []struct {
		name   string
		answer []byte
		call   func(*Client, context.Context) error
		want   error
	}{
		{"closes", nil, list, io.ErrUnexpectedEOF},
		{"half a header", frame(8, 1, "")[:7], list, io.ErrUnexpectedEOF},
		{"half a payload", frame(8, 1, "<plist>")[:20], list, io.ErrUnexpectedEOF},
		{"too long", huge, list, ErrProtocol},
		{"too short", make([]byte, headerSize), list, ErrProtocol},
		{"another tag", frame(8, 9, "<plist><dict/></plist>"), list, ErrProtocol},
		{"no property list", frame(8, 1, "<html>"), list, ErrProtocol},
		{"another type", frame(5, 1, "\x01\x00\x00\x00"), list, ErrProtocol},
		{"result for a list", frame(8, 1, "<plist><dict><key>Number</key><integer>0</integer></dict></plist>"), list, ErrProtocol},
		{"old and binary", frame(1, 1, "\x06\x00\x00\x00"), list, syscall.EPROTONOSUPPORT},
		{"no BUID", frame(8, 1, "<plist><dict/></plist>"), func(c *Client, ctx context.Context) error { _, err := c.ReadBUID(ctx); return err }, ErrProtocol},
		{"no record", frame(8, 1, "<plist><dict/></plist>"), func(c *Client, ctx context.Context) error { _, err := c.ReadPairRecord(ctx, udid); return err }, ErrProtocol},
		{"list for a save", frame(8, 1, "<plist><dict/></plist>"), func(c *Client, ctx context.Context) error {
			return c.SavePairRecord(ctx, udid, []byte("x"), 0)
		}, ErrProtocol},
		{"list for a connect", frame(8, 1, "<plist><dict/></plist>"), func(c *Client, ctx context.Context) error { _, err := c.Connect(ctx, 1, 1); return err }, ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.call(dial(t, raw(t, tt.answer)), within(t)); !errors.Is(err, tt.want) {
				t.Errorf("error = %v; want %v", err, tt.want)
			}
		})
	}
}

// TestOddList asserts that one odd device does not hide the others.
func TestOddList(t *testing.T) {
	item := func(inside string) string { return "<dict><key>Properties</key><dict>" + inside + "</dict></dict>" }
	payload := "<plist><dict><key>DeviceList</key><array>" +
		item("<key>DeviceID</key><integer>1</integer>") +
		item("<key>DeviceID</key><string>x</string><key>SerialNumber</key><string>a</string>") +
		item("<key>DeviceID</key><integer>3</integer><key>SerialNumber</key><string>b</string><key>ConnectionSpeed</key><string>fast</string>") +
		"<string>odd</string></array></dict></plist>"
	m, err := decode(msgPlist, []byte(payload))
	if err != nil || len(m.devices) != 1 || m.devices[0].ID != 3 || m.devices[0].UDID != "b" {
		t.Errorf("decode = %+v, %v; want device 3", m.devices, err)
	}
}

// raw starts a daemon that reads some of a request, sends answer and closes.
func raw(t *testing.T, answer []byte) (addr string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var head [headerSize]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		io.CopyN(io.Discard, conn, int64(binary.LittleEndian.Uint32(head[:]))-headerSize)
		conn.Write(answer)
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// TestSilentDaemon asserts that a context ends a wait.
func TestSilentDaemon(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := dial(t, l.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.ListDevices(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ListDevices = %v; want %v", err, context.DeadlineExceeded)
	}
}

func TestAddress(t *testing.T) {
	t.Setenv(AddressEnv, "UNIX:/elsewhere")
	if got := Address(""); got != "UNIX:/elsewhere" {
		t.Errorf("Address = %q; want that of the environment", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(uint32(msgResult), []byte{2, 0, 0, 0})
	for _, s := range []string{
		"<dict><key>MessageType</key><string>Result</string><key>Number</key><integer>2</integer></dict>",
		"<dict><key>MessageType</key><string>Attached</string><key>DeviceID</key><integer>7</integer><key>Properties</key><dict><key>SerialNumber</key><string>u</string></dict></dict>",
		"<dict><key>DeviceList</key><array><dict><key>Properties</key><dict><key>DeviceID</key><integer>1</integer><key>SerialNumber</key><string>u</string></dict></dict></array></dict>",
		"<dict><key>PairRecordData</key><data>AAAA</data></dict>",
	} {
		f.Add(uint32(msgPlist), []byte("<plist>"+s+"</plist>"))
	}
	f.Fuzz(func(t *testing.T, kind uint32, payload []byte) {
		m, err := decode(kind, payload)
		if err != nil && !errors.Is(err, ErrProtocol) {
			t.Fatalf("error = %v; want one that wraps ErrProtocol", err)
		}
		for _, d := range m.devices {
			if d.ID == 0 || d.UDID == "" {
				t.Fatalf("an incomplete device: %+v", d)
			}
		}
		if len(m.record) > len(payload) {
			t.Fatalf("a record of %d bytes in %d", len(m.record), len(payload))
		}
	})
}
