package socket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A listener that does not read is dropped; the others get every event, and
// nobody waits.
func TestStuckListener(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*Config)
	}{
		{"events", func(c *Config) { c.ListenerEvents = 64 }},
		{"bytes", func(c *Config) { c.ListenerBytes = 64 << 10 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.set)
			stuck, good, binary := r.dial(), r.dial(), r.dial()
			stuck.write(ask(1, "Listen"))
			good.listen(1)
			binary.write(unhex(t, "10000000 00000000 03000000 01000000"))
			binary.read()
			drops := func() int { return r.logs.FilterMessage("listener does not read its events, dropped").Len() }
			rounds := 0
			for by := time.Now().Add(patience); drops() == 0; rounds++ {
				if time.Now().After(by) {
					t.Fatalf("not dropped after %d rounds", rounds)
				}
				id := r.attach(newFakeDevice())
				r.reg.Detach(id)
				good.event("Attached", id)
				good.event("Detached", id)
				binary.read()
				binary.read()
			}
			e := r.logs.FilterMessage("listener does not read its events, dropped").All()[0]
			if f := e.ContextMap(); f["pid"] != int64(os.Getpid()) && f["pid"] != int32(os.Getpid()) || f["name"] == "" {
				t.Errorf("logged with %v, want pid and name", f)
			}
			if drops() != 1 {
				t.Errorf("%d drops, want 1", drops())
			}
			r.dial().sync()
		})
	}
}

// A client that asks and never reads is dropped after a while.
func TestReplyNotRead(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ReplyTimeout = 10 * time.Millisecond })
	r.records.buid = strings.Repeat("B", 60000)
	h := r.dial()
	for {
		if _, err := h.Write(ask(1, "ReadBUID")); err != nil {
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatal(err)
			}
			break
		}
	}
	if r.logs.FilterMessage("client does not read its reply, dropped").Len() != 1 {
		t.Error("the drop was not logged")
	}
}

// Whatever happens while a client starts to listen, it sees each device come
// exactly once, and go at most once, after that.
func TestListenWhileAttaching(t *testing.T) {
	r := newRig(t)
	const rounds, listeners = 40, 20
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			info := usbInfo()
			info.UDID = fmt.Sprintf("00008110-%016X", i)
			id, err := r.reg.Attach(info, refusing{})
			if err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				r.reg.Detach(id)
			}
		}
	})
	hosts := make([]*host, listeners)
	for i := range hosts {
		hosts[i] = r.dial()
		hosts[i].write(ask(9, "Listen"))
	}
	wg.Wait()
	last := usbInfo()
	last.UDID = udid40
	end := r.attachInfo(last, refusing{})
	for _, h := range hosts {
		h.result(9, 0)
		state := map[uint64]string{}
		for {
			d := h.read().dict(t)
			id, kind := d["DeviceID"].(uint64), d["MessageType"].(string)
			switch {
			case kind == "Attached" && state[id] == "", kind == "Detached" && state[id] == "Attached":
			default:
				t.Fatalf("%s of %d after %q", kind, id, state[id])
			}
			state[id] = kind
			if id == uint64(end) {
				break
			}
		}
		n := 0
		for _, kind := range state {
			if kind == "Attached" {
				n++
			}
		}
		if n != rounds/2+1 {
			t.Fatalf("%d devices, want %d", n, rounds/2+1)
		}
	}
}

// A device that is back before its departure was told: the departure comes first.
func TestReplugBeforeDetached(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	l, h := r.dial(), r.dial()
	l.listen(1)
	l.event("Attached", id)
	p := h.connect(d, id, 1) // keeps Detach waiting
	var wg sync.WaitGroup
	wg.Go(func() { r.reg.Detach(id) })
	for { // until it has begun
		if e := r.reg.acquire(int64(id)); e == nil {
			break
		} else {
			r.reg.release(e)
		}
	}
	again := r.attach(newFakeDevice())
	l.event("Detached", id)
	l.event("Attached", again)
	p.reset()
	wg.Wait()
	r.reg.Detach(again)
	l.event("Detached", again)
}

// A stuck client does not keep a departure back for long.
func TestDetachWithStuckClient(t *testing.T) {
	r := newRig(t)
	d := newFakeDevice()
	id := r.attach(d)
	l, h := r.dial(), r.dial()
	l.listen(1)
	l.event("Attached", id)
	p := h.connect(d, id, 1)
	p.send(bytes.Repeat([]byte("x"), 4<<20))
	p.reset()
	r.reg.Detach(id)
	l.event("Detached", id)
}

// A client that has shut down sending still gets events.
func TestHalfClosedListener(t *testing.T) {
	r := newRig(t)
	h := r.dial()
	h.listen(1)
	h.closeWrite()
	h.event("Attached", r.attach(newFakeDevice()))
	h.Close()
	o := r.dial()
	for by := time.Now().Add(patience); r.reg.listening() > 0; {
		if time.Now().After(by) {
			t.Fatal("the listener is still there")
		}
		o.sync()
	}
}

// faultyListener fails some accepts.
type faultyListener struct {
	net.Listener
	errs []error
}

func (l *faultyListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	return l.Listener.Accept()
}

func TestAcceptErrors(t *testing.T) {
	r := newRig(t)
	path := r.path + ".faulty"
	l, err := Listen(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	fail := func(n syscall.Errno) error { return &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", n)} }
	r.serve(&faultyListener{l, []error{
		fail(syscall.EMFILE), fail(syscall.EMFILE), fail(syscall.ENFILE), fail(syscall.ECONNABORTED), fail(syscall.ENOMEM),
	}})
	h := r.dialTo("unix", path)
	h.sync()
	if n := r.logs.FilterMessage("cannot accept clients for now").Len(); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
	bad, err := Listen(path+".bad", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.srv.Serve(&faultyListener{bad, []error{fail(syscall.EINVAL)}}, nil); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Serve = %v, want EINVAL", err)
	}
}

// With the process's last descriptor gone, clients wait; they are served when
// there are descriptors again.
func TestNoDescriptors(t *testing.T) {
	r := newRig(t)
	r.dial().sync()
	h := r.dial()
	h.sync()
	waiting, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	enough := lowLimit(t, 0)
	err = syscall.Connect(waiting, &syscall.SockaddrUnix{Name: r.path})
	if err != nil {
		t.Fatal(err)
	}
	for by := time.Now().Add(patience); r.logs.FilterMessage("cannot accept clients for now").Len() == 0; {
		if time.Now().After(by) {
			t.Fatal("accept did not fail")
		}
		h.sync() // others are served meanwhile
	}
	enough()
	f := os.NewFile(uintptr(waiting), "waiting")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	c := &host{t, conn}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	c.sync()
}

// frugalConn hands out data and notes how much room it was offered in excess of
// what had arrived.
type frugalConn struct {
	net.Conn
	left, given, excess int
}

func (c *frugalConn) Read(b []byte) (int, error) {
	c.excess = max(c.excess, len(b)-max(c.given, 4096))
	n := min(len(b), c.left, 1000)
	if n == 0 {
		return 0, io.EOF
	}
	c.left -= n
	c.given += n
	return n, nil
}

// An announced length costs nothing; memory grows with what arrives.
func TestBodyGrowsWithInput(t *testing.T) {
	for _, arrives := range []int{0, 10, 4096, 5000, 40000, maxMessage - headerSize} {
		conn := &frugalConn{left: arrives}
		c := &client{conn: conn}
		body, ok := c.readBody(make([]byte, 4096), maxMessage-headerSize)
		if ok != (arrives == maxMessage-headerSize) || ok && len(body) != arrives {
			t.Errorf("%d bytes: got %d, %v", arrives, len(body), ok)
		}
		if conn.excess > 0 {
			t.Errorf("%d bytes: room for %d more than twice that", arrives, conn.excess)
		}
	}
}

func TestResultAllocations(t *testing.T) {
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { buf = appendResult(buf[:0], versionPlist, 1, resultOK) }); n > 0 {
		t.Errorf("a Result costs %v allocations, want none", n)
	}
}

func TestServeAfterClose(t *testing.T) {
	noLeaks(t)
	srv := NewServer(NewRegistry(), Config{})
	srv.Close()
	l, err := Listen(t.TempDir()+"/s", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Serve(l, nil); err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
}

// A server without a store answers all the same.
func TestNoRecords(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Records = nil })
	h := r.dial()
	for kind, number := range map[string]uint32{"ReadBUID": 2, "ReadPairRecord": 2, "DeletePairRecord": 2, "SavePairRecord": 13} {
		h.write(ask(1, kind, str("PairRecordID", udid24), data("PairRecordData", document(recordXML))))
		h.result(1, number)
	}
}
