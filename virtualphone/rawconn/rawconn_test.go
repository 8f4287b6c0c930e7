package rawconn_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gomuxd/virtualphone/rawconn"
)

// pair is both ends of a Unix stream.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a, b
}

func wrapped(t *testing.T, c net.Conn) *rawconn.Conn {
	t.Helper()
	r, err := rawconn.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBytes sends more than the sockets hold, both ways at once, so that each side
// waits for the other.
func TestBytes(t *testing.T) {
	a, b := pair(t)
	x, y := wrapped(t, a), wrapped(t, b)
	want := make([]byte, 4<<20)
	rand.Read(want)
	got := make(chan []byte, 2)
	for _, c := range []*rawconn.Conn{x, y} {
		go func() {
			if n, err := c.Write(want); n != len(want) || err != nil {
				t.Errorf("wrote %d bytes: %v", n, err)
			}
		}()
		go func() {
			buf := make([]byte, len(want))
			if n, err := io.ReadFull(c, buf); err != nil {
				t.Errorf("read %d bytes: %v", n, err)
			}
			got <- buf
		}()
	}
	for range 2 {
		if !bytes.Equal(<-got, want) {
			t.Error("other bytes came than were sent")
		}
	}
}

func TestEnds(t *testing.T) {
	t.Run("the other side's", func(t *testing.T) {
		a, b := pair(t)
		b.Close()
		if n, err := wrapped(t, a).Read(make([]byte, 8)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("read %d, %v", n, err)
		}
		if _, err := wrapped(t, a).Write([]byte("x")); err == nil {
			t.Error("wrote to a closed socket")
		}
	})
	t.Run("a deadline", func(t *testing.T) {
		a, _ := pair(t)
		a.SetDeadline(time.Now().Add(time.Millisecond))
		c := wrapped(t, a)
		if _, err := c.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if n, err := c.Write(make([]byte, 4<<20)); n == 4<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d bytes that nobody reads: %v", n, err)
		}
	})
	t.Run("our own", func(t *testing.T) {
		a, _ := pair(t)
		c := wrapped(t, a)
		done := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 8))
			done <- err
		}()
		c.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
	})
	t.Run("no descriptor", func(t *testing.T) {
		a, _ := net.Pipe()
		defer a.Close()
		if _, err := rawconn.New(a); err == nil {
			t.Error("want an error")
		}
	})
}
