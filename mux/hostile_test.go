package mux_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/mux"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/service"
)

// prefix reads to the end and verifies that all of it is a seed's stream.
func prefix(t *testing.T, c *mux.Conn, seed uint64) int {
	t.Helper()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("want EOF, got %v", err)
	}
	if err := service.Verify(seed, 0, got); err != nil {
		t.Error(err)
	}
	return len(got)
}

// TestUnplugAtEachStep pulls the cable after each packet in turn of a connection's
// life: handshake, dial, transfer, close. What came before is right, what comes
// after ends at once and says why.
func TestUnplugAtEachStep(t *testing.T) {
	const size = 300_000
	for n := 1; ; n++ {
		phone, err := virtualphone.New(virtualphone.Config{})
		if err != nil {
			t.Fatal(err)
		}
		phone.UnplugAfter(n)
		cable, err := phone.Plug()
		if err != nil {
			t.Fatal(err)
		}
		s, err := mux.Open(t.Context(), cable.Pipe(), mux.Config{})
		var c *mux.Conn
		if err == nil {
			c, err = s.Dial(t.Context(), virtualphone.EchoPort)
		}
		if err == nil {
			err = there(t, c, size)
			c.Close()
		}
		if s != nil && phone.Cable() == nil {
			<-s.Done()
			err = s.Err()
		}
		over := phone.Cable() != nil // it lasted longer than all this
		if !over && !errors.Is(err, mux.ErrDeviceGone) {
			t.Errorf("unplugged after packet %d: %v, want ErrDeviceGone", n, err)
		}
		if over && err != nil {
			t.Errorf("not unplugged: %v", err)
		}
		if s != nil {
			s.Close()
		}
		phone.Close()
		if v := phone.Violations(); v.Total() != 0 {
			t.Errorf("packet %d: the phone counted violations: %v\n%v", n, v, phone.ViolationNotes())
		}
		if over {
			if n < 10 {
				t.Errorf("all of it took %d packets", n)
			}
			t.Logf("unplugged %d times", n-1)
			return
		}
	}
}

// there sends size bytes of a stream to the phone and verifies what comes back of
// them. It returns why it could not send all, or why less came back.
func there(t *testing.T, c *mux.Conn, size int) error {
	t.Helper()
	sent := make(chan error, 1)
	go func() { sent <- errors.Join(send(c, 1, size), c.CloseWrite()) }()
	got := make([]byte, size)
	n, err := io.ReadFull(c, got)
	if verr := service.Verify(1, 0, got[:n]); verr != nil {
		t.Error(verr)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read = %v, want EOF", err)
	}
	return errors.Join(<-sent, err)
}

// TestResetAtEachStep has the phone reset a connection after a number of bytes: all
// of these arrive, then EOF, and the next connection is none the worse.
func TestResetAtEachStep(t *testing.T) {
	s, phone := attach(t, virtualphone.Config{})
	for _, n := range []int{1, 2, 1000, 4096, 32_727, 32_728, 32_729, 65_536, 131_071, 131_072, 131_073, 500_000} {
		phone.SetFaults(virtualphone.Faults{ResetAfter: n})
		c := dial(t, s, virtualphone.SourcePort)
		request(t, c, 1<<20, uint64(n))
		if got := prefix(t, c, uint64(n)); got < n || got == 1<<20 {
			t.Errorf("reset after %d bytes: got %d", n, got)
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Errorf("reset after %d bytes: Write = nil", n)
		}
		c.Close()
		phone.SetFaults(virtualphone.Faults{})
		if err := echo(dial(t, s, virtualphone.EchoPort), 1, 1000); err != nil {
			t.Fatalf("after the reset: %v", err)
		}
	}
}

// TestOddFlags has the phone answer SYNs with, and add to data, every set of flags
// that there is: what is no connection ends, what is one is right, and the session
// goes on.
func TestOddFlags(t *testing.T) {
	const size = 3000
	s, phone := attach(t, virtualphone.Config{})
	for flags := 1; flags < 256; flags++ {
		phone.SetFaults(virtualphone.Faults{SYNFlags: byte(flags)})
		c, err := s.Dial(t.Context(), virtualphone.SourcePort)
		if err == nil {
			c.Close()
		} else if !errors.Is(err, mux.ErrProtocol) && !errors.Is(err, mux.ErrRefused) {
			t.Errorf("SYN answered with %#02x: %v", flags, err)
		}
		phone.SetFaults(virtualphone.Faults{})
		c = dial(t, s, virtualphone.SourcePort)
		phone.SetFaults(virtualphone.Faults{DataFlags: byte(flags)})
		request(t, c, size, 3)
		got := make([]byte, size)
		n, err := io.ReadFull(c, got)
		if verr := service.Verify(3, 0, got[:n]); verr != nil {
			t.Errorf("data with %#02x: %v", flags, verr)
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("data with %#02x: %v", flags, err)
		}
		phone.SetFaults(virtualphone.Faults{})
		// Whatever the host had to say to that has been heard when this has come back.
		if err := echo(dial(t, s, virtualphone.EchoPort), 2, 100); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if err := echo(dial(t, s, virtualphone.EchoPort), 1, 1<<20); err != nil {
		t.Fatal(err)
	}
}

// TestStalls has the phone stop, in each of its ways, in the middle of a transfer. An
// hour later it goes on, and nothing is lost or has been sent against its word.
func TestStalls(t *testing.T) {
	for name, f := range map[string]virtualphone.Faults{
		"nothing comes":  {StallIn: true},
		"window closed":  {ClosedWindow: true},
		"nothing acked":  {StopAcking: true},
		"deaf and dumb":  {StallIn: true, StopAcking: true, ClosedWindow: true},
		"no connections": {SilentSYN: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				phone, err := virtualphone.New(virtualphone.Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer phone.Close()
				cable, err := phone.Plug()
				if err != nil {
					t.Fatal(err)
				}
				s, err := mux.Open(context.Background(), cable.Pipe(), mux.Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				c, err := s.Dial(context.Background(), virtualphone.EchoPort)
				if err != nil {
					t.Fatal(err)
				}
				phone.SetFaults(f)
				done := make(chan error, 1)
				go func() { done <- echo(c, 5, 4<<20) }()
				if f.StallIn || f.SilentSYN {
					start := time.Now()
					if _, err := s.Dial(context.Background(), virtualphone.EchoPort); !errors.Is(err, mux.ErrDialTimeout) {
						t.Errorf("Dial = %v after %v, want a time-out", err, time.Since(start))
					}
				}
				time.Sleep(time.Hour)
				select {
				case err := <-done:
					if !f.SilentSYN || err != nil {
						t.Fatalf("echo of a phone that has stopped: %v", err)
					}
					done <- nil
				default:
				}
				phone.SetFaults(virtualphone.Faults{})
				if err := <-done; err != nil {
					t.Error(err)
				}
				c.Close()
				other, err := s.Dial(context.Background(), virtualphone.EchoPort)
				if err != nil {
					t.Fatal(err)
				}
				if err := echo(other, 6, 1000); err != nil {
					t.Error(err)
				}
				other.Close()
				if v := phone.Violations(); v.Total() != 0 {
					t.Errorf("the phone counted violations: %v\n%v", v, phone.ViolationNotes())
				}
			})
		})
	}
}
