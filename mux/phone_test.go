package mux_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gomuxd/mux"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

// attach opens a session to a plugged virtual phone. At the end of the test the
// phone must have counted no violation.
func attach(t testing.TB, cfg virtualphone.Config) (*mux.Session, *virtualphone.Phone) {
	t.Helper()
	return attachWith(t, cfg, mux.Config{})
}

func attachWith(t testing.TB, cfg virtualphone.Config, session mux.Config) (*mux.Session, *virtualphone.Phone) {
	t.Helper()
	phone, err := virtualphone.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		phone.Close()
		if v := phone.Violations(); v.Total() != 0 {
			t.Errorf("the phone counted violations: %v\n%v", v, phone.ViolationNotes())
		}
	})
	cable, err := phone.Plug()
	if err != nil {
		t.Fatal(err)
	}
	s, err := mux.Open(context.Background(), cable.Pipe(), session)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, phone
}

func dial(t testing.TB, s *mux.Session, port uint16) *mux.Conn {
	t.Helper()
	c, err := s.Dial(context.Background(), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// echo sends size bytes of a seed's stream to the phone and verifies what comes
// back, both at once.
func echo(c net.Conn, seed uint64, size int) error {
	errs := make(chan error, 1)
	go func() { errs <- send(c, seed, size) }()
	return errors.Join(verify(c, seed, size), <-errs)
}

func send(w io.Writer, seed uint64, size int) error {
	buf := make([]byte, 64<<10)
	for at := 0; at < size; {
		n := min(len(buf), size-at)
		service.Fill(seed, uint64(at), buf[:n])
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		at += n
	}
	return nil
}

func verify(r io.Reader, seed uint64, size int) error {
	buf := make([]byte, 64<<10)
	for at := 0; at < size; {
		n, err := r.Read(buf[:min(len(buf), size-at)])
		if verr := service.Verify(seed, uint64(at), buf[:n]); verr != nil {
			return verr
		}
		at += n
		if err != nil && at < size {
			return fmt.Errorf("after %d of %d bytes: %w", at, size, err)
		}
	}
	return nil
}

func TestPhoneEcho(t *testing.T) {
	for _, major := range []int{1, 2} {
		for _, packet := range []int{512, 1024} {
			t.Run(fmt.Sprintf("v%d/packet %d", major, packet), func(t *testing.T) {
				s, _ := attach(t, virtualphone.Config{MuxMajor: major, MaxPacketSize: packet})
				if got := s.Version(); got != major {
					t.Fatalf("want version %d, got %d", major, got)
				}
				if err := echo(dial(t, s, virtualphone.EchoPort), 1, 1<<20); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// TestManyConnectionsBothWays is 64 connections of 16 MiB both ways at once.
func TestManyConnectionsBothWays(t *testing.T) {
	size := 16 << 20
	if testing.Short() {
		size = 1 << 20
	}
	s, _ := attach(t, virtualphone.Config{})
	var wg sync.WaitGroup
	for i := range 64 {
		c := dial(t, s, virtualphone.EchoPort)
		wg.Go(func() {
			if err := echo(c, uint64(i), size); err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// TestStuckReader asserts that a connection whose reader has stopped keeps 63
// others going, and loses nothing when it reads on.
func TestStuckReader(t *testing.T) {
	const size = 1 << 20
	s, _ := attach(t, virtualphone.Config{})
	stuck := dial(t, s, virtualphone.SourcePort)
	request(t, stuck, size, 99)
	var wg sync.WaitGroup
	for i := range 63 {
		c := dial(t, s, virtualphone.EchoPort)
		wg.Go(func() {
			if err := echo(c, uint64(i), size); err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if err := verify(stuck, 99, size); err != nil {
		t.Fatal(err)
	}
}

// request asks the source port for n bytes of a seed's stream.
func request(t testing.TB, c net.Conn, n, seed uint64) {
	t.Helper()
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], n)
	binary.BigEndian.PutUint64(b[8:], seed)
	if _, err := c.Write(b[:]); err != nil {
		t.Fatal(err)
	}
}

// TestFlood is a phone that ignores our window: that connection ends with what
// fitted, the others and the session go on.
func TestFlood(t *testing.T) {
	s, phone := attach(t, virtualphone.Config{})
	good := dial(t, s, virtualphone.EchoPort)
	bad := dial(t, s, virtualphone.SourcePort)
	phone.SetFaults(virtualphone.Faults{Flood: true})
	request(t, bad, 1<<20, 1)
	// Nobody reads bad; wait for its end without taking anything.
	for {
		if _, err := bad.Write([]byte{0}); err != nil {
			if !errors.Is(err, mux.ErrProtocol) {
				t.Fatalf("want ErrProtocol, got %v", err)
			}
			break
		}
	}
	phone.SetFaults(virtualphone.Faults{})
	got, err := io.ReadAll(bad)
	if err != nil || len(got) > 512<<8 {
		t.Fatalf("want at most one window and EOF, got %d bytes, %v", len(got), err)
	}
	if err := service.Verify(1, 0, got); err != nil {
		t.Fatal(err)
	}
	if err := echo(good, 2, 1<<20); err != nil {
		t.Fatal(err)
	}
}

func TestFragmentsAndCoalescedTransfers(t *testing.T) {
	for _, f := range []virtualphone.Faults{
		{FragmentIn: 512}, {FragmentIn: 4096}, {CoalesceIn: true}, {StalePackets: 3},
		{DataFlags: 0x08}, // PSH
	} {
		t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
			s, _ := attach(t, virtualphone.Config{Faults: f})
			if err := echo(dial(t, s, virtualphone.EchoPort), 1, 1<<20); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestUnplugInMidTransfer unplugs and replugs under load.
func TestUnplugInMidTransfer(t *testing.T) {
	phone, err := virtualphone.New(virtualphone.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	for range 20 {
		cable, err := phone.Plug()
		if err != nil {
			t.Fatal(err)
		}
		s, err := mux.Open(context.Background(), cable.Pipe(), mux.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		moving := make(chan struct{}, 8)
		for range 8 {
			c, err := s.Dial(context.Background(), virtualphone.EchoPort)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { io.Copy(c, endless{}) })
			wg.Go(func() {
				defer c.Close()
				io.CopyN(io.Discard, c, 1<<20)
				moving <- struct{}{}
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Errorf("want EOF after an unplug, got %v", err)
				}
			})
		}
		<-moving
		cable.Unplug()
		<-s.Done()
		if err := s.Err(); !errors.Is(err, mux.ErrDeviceGone) {
			t.Fatalf("want ErrDeviceGone, got %v", err)
		}
		wg.Wait()
		s.Close()
	}
	if v := phone.Violations(); v.Total() != 0 {
		t.Errorf("the phone counted violations: %v\n%v", v, phone.ViolationNotes())
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// TestConnects goes through all source ports and beyond, with one connection
// held open at the port where the numbers wrap into it.
func TestConnects(t *testing.T) {
	n := 70_000
	if testing.Short() {
		n = 2_000
	}
	s, phone := attach(t, virtualphone.Config{})
	held := dial(t, s, virtualphone.EchoPort)
	for i := range n {
		c, err := s.Dial(context.Background(), virtualphone.EchoPort)
		if err != nil {
			t.Fatalf("connect %d: %v", i, err)
		}
		c.Close()
	}
	if err := echo(held, 1, 1000); err != nil {
		t.Fatal(err)
	}
	if got := phone.Stats().Connects; int(got) != n+1 {
		t.Fatalf("want %d connects counted by the phone, got %d", n+1, got)
	}
	_, err := s.Dial(context.Background(), 12345)
	if !errors.Is(err, mux.ErrRefused) {
		t.Fatalf("want ErrRefused, got %v", err)
	}
}

// TestCloseDeliversWhatWasWritten asserts that data written just before Close
// reaches the phone, although the phone is slow to take it.
func TestCloseDeliversWhatWasWritten(t *testing.T) {
	s, phone := attachWith(t, virtualphone.Config{}, mux.Config{Linger: time.Minute}) // on a busy machine
	const size = 60_000
	got := make(chan error, 1)
	release := make(chan struct{})
	phone.HandlePort(1000, func(_ context.Context, c net.Conn) {
		<-release
		got <- verify(c, 5, size)
	})
	c, err := s.Dial(context.Background(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := send(c, 5, size); err != nil {
		t.Fatal(err)
	}
	c.Close()
	close(release)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

// TestCopyWithSockets runs ReadFrom and WriteTo on a Unix socket pair, as the
// daemon does for its clients.
func TestCopyWithSockets(t *testing.T) {
	s, _ := attach(t, virtualphone.Config{})
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()

	c := dial(t, s, virtualphone.EchoPort)
	up, down := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(up)
		if n, err := c.ReadFrom(server); err != nil || n != 8<<20 {
			t.Errorf("ReadFrom = %d, %v", n, err)
		}
	}()
	go func() {
		defer close(down)
		if n, err := c.WriteTo(server); !errors.Is(err, net.ErrClosed) || n != 8<<20 {
			t.Errorf("WriteTo = %d, %v; want it ended by Close", n, err)
		}
	}()
	if err := echo(client, 7, 8<<20); err != nil {
		t.Error(err)
	}
	// ReadFrom ends with the client's end; WriteTo only with the connection.
	if err := client.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-up
	c.Close()
	<-down

	// A deadline on the client's socket ends a waiting ReadFrom.
	c = dial(t, s, virtualphone.EchoPort)
	client2, server2 := socketPair(t, l)
	defer client2.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.ReadFrom(server2); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("want a time-out, got %v", err)
		}
	})
	server2.SetReadDeadline(time.Now())
	wg.Wait()
}

func socketPair(t *testing.T, l net.Listener) (client, server net.Conn) {
	t.Helper()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}
