package e2e_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"

	"gomuxd/e2e"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

// The ids that the first phones of a daemon have. With one phone it is 1.
const device = 1

// TestManyClients is 64 clients that move 16 MiB each way at once, while one
// more has stopped reading.
func TestManyClients(t *testing.T) {
	size := uint64(16 << 20)
	if testing.Short() {
		size = 1 << 20
	}
	r := start(t, e2e.Config{Args: []string{"-p"}})
	base := descriptors(t, r)

	stuck := dial(t, r, virtualphone.SourcePort)
	if err := binary.Write(stuck, binary.BigEndian, [2]uint64{size, 99}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range uint64(64) {
		c := dial(t, r, virtualphone.EchoPort)
		wg.Go(func() {
			if err := echo(c, i, size); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
			c.Close()
		})
	}
	wg.Wait()
	if err := verify(stuck, 99, size); err != nil {
		t.Errorf("the client that had stopped reading: %v", err)
	}
	if n, err := stuck.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("want EOF after the last byte, got %d, %v", n, err)
	}
	stuck.Close()

	// The last close is on its way: a full turn through the daemon follows it.
	for range 100 {
		dial(t, r, virtualphone.EchoPort).Close()
		if descriptors(t, r) <= base+2 {
			return
		}
	}
	t.Errorf("%d descriptors open, %d before", descriptors(t, r), base)
}

// TestSequentialConnects connects and closes again and again.
func TestSequentialConnects(t *testing.T) {
	n := 5000
	if testing.Short() {
		n = 500
	}
	r := start(t, e2e.Config{Args: []string{"-p"}})
	for i := range n {
		c, err := r.Dial(device, virtualphone.EchoPort)
		if err != nil {
			t.Fatalf("connect %d: %v", i, err)
		}
		c.Close()
	}
}

// TestCrowdedConnects is 5,000 clients that connect, use and leave a phone, a thousand
// at any time, half of them without a goodbye.
func TestCrowdedConnects(t *testing.T) {
	const beside = 1000
	n := 5000
	if testing.Short() {
		n = 1000
	}
	r := start(t, e2e.Config{Args: []string{"-p"}})
	base := descriptors(t, r)
	todo := make(chan int)
	var wg sync.WaitGroup
	for range beside {
		wg.Go(func() {
			for i := range todo {
				c, err := r.Dial(device, virtualphone.EchoPort)
				if err != nil {
					t.Errorf("connect %d: %v", i, err)
					continue
				}
				if i%2 == 0 {
					if err := echo(c, uint64(i), 64<<10); err != nil {
						t.Errorf("client %d: %v", i, err)
					}
				} else if _, err := c.Write(make([]byte, i)); err != nil { // and what comes back is left
					t.Errorf("client %d: %v", i, err)
				}
				c.Close()
			}
		})
	}
	for i := range n {
		todo <- i
	}
	close(todo)
	wg.Wait()
	for range 1000 { // the last closes are on their way
		dial(t, r, virtualphone.EchoPort).Close()
		if descriptors(t, r) <= base+2 {
			return
		}
	}
	t.Errorf("%d descriptors open, %d before", descriptors(t, r), base)
}

// TestHalfClose asserts that a client which shuts down writing gets all that
// the phone still sends.
func TestHalfClose(t *testing.T) {
	r := start(t, e2e.Config{Args: []string{"-p"}})
	c := dial(t, r, virtualphone.SourcePort)
	const size = 4 << 20
	if err := binary.Write(c, binary.BigEndian, [2]uint64{size, 3}); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := verify(c, 3, size); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("want EOF after the last byte, got %d, %v", n, err)
	}
}

// TestUnplugUnderLoad unplugs and replugs while clients move data.
func TestUnplugUnderLoad(t *testing.T) {
	r := start(t, e2e.Config{Args: []string{"-p"}})
	for round := range uint32(5) {
		var wg sync.WaitGroup
		moving := make(chan struct{}, 8)
		for range 8 {
			c, err := r.Dial(device+round, virtualphone.EchoPort)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { _, _ = io.Copy(c, endless{}) }) // ends with the connection
			wg.Go(func() {
				defer c.Close()
				_, _ = io.CopyN(io.Discard, c, 1<<20)
				moving <- struct{}{}
				if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Errorf("want EOF at unplug, got %v", err)
				}
			})
		}
		<-moving
		phone(t, r, "unplug")
		wg.Wait()
		if _, err := r.Dial(device+round, virtualphone.EchoPort); err == nil {
			t.Fatal("connected to a phone that is gone")
		}
		l := listen(t, r)
		phone(t, r, "replug")
		l.await(t, fmt.Sprintf("<key>DeviceID</key>\n\t<integer>%d</integer>", device+round+1))
		l.Close()
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func dial(t *testing.T, r *e2e.Rig, port uint16) net.Conn {
	t.Helper()
	c, err := r.Dial(device, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// echo sends a seed's stream and verifies what comes back, both at once.
func echo(c net.Conn, seed, size uint64) error {
	sent := make(chan error, 1)
	go func() {
		buf := make([]byte, 64<<10)
		for at := uint64(0); at < size; at += uint64(len(buf)) {
			service.Fill(seed, at, buf)
			if _, err := c.Write(buf); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	return errors.Join(verify(c, seed, size), <-sent)
}

func verify(c net.Conn, seed, size uint64) error {
	buf := make([]byte, 64<<10)
	for at := uint64(0); at < size; {
		n, err := c.Read(buf[:min(uint64(len(buf)), size-at)])
		if verr := service.Verify(seed, at, buf[:n]); verr != nil {
			return verr
		}
		at += uint64(n)
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", at, size, err)
		}
	}
	return nil
}

// descriptors counts what the daemon has open.
func descriptors(t *testing.T, r *e2e.Rig) int {
	t.Helper()
	all, err := os.ReadDir("/proc/" + strconv.Itoa(r.Pid()) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
