package usb

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

var small = buffers{inCount: 3, inSize: 1024, outCount: 2, outSize: 2048}

// readN reads exactly n bytes.
func readN(t *testing.T, r io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("read of %d bytes: %v", n, err)
	}
	return b
}

func fill(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i%251)
	}
	return b
}

func TestReadKeepsOrderAndResubmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, small)
		var want []byte
		for i := range 3 {
			data := fill(512*(i%2)+100, byte(i))
			want = append(want, data...)
			k.finish(testIn, 0, data)
		}
		if n := k.count(testIn); n != 0 {
			t.Fatalf("%d transfers pending, want 0", n)
		}
		got := readN(t, p, 50) // part of a transfer: its frame is still held
		if n := k.count(testIn); n != 0 {
			t.Errorf("%d transfers pending with data unread, want 0", n)
		}
		got = append(got, readN(t, p, len(want)-50)...)
		if !bytes.Equal(got, want) {
			t.Error("data differs")
		}
		if n := k.count(testIn); n != 3 {
			t.Errorf("%d transfers pending after reading, want 3", n)
		}
		if s := p.Stats(); s.BytesIn != uint64(len(want)) {
			t.Errorf("BytesIn = %d, want %d", s.BytesIn, len(want))
		}
	})
}

func TestReadSkipsZeroLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, small)
		go func() {
			for range 5 {
				k.finish(testIn, 0, nil)
				synctest.Wait()
			}
			k.finish(testIn, 0, []byte("x"))
		}()
		if got := readN(t, p, 1); string(got) != "x" {
			t.Errorf("read %q, want x", got)
		}
		if n := k.count(testIn); n != 3 {
			t.Errorf("%d transfers pending, want 3", n)
		}
		if s := p.Stats(); s.EmptyIn != 5 || s.ShortIn != 0 || s.LargestIn != 1 {
			t.Errorf("want 5 empty transfers and a largest of 1 byte, got %+v", s)
		}
	})
}

// TestStatsTellZeroLengthPackets asserts that the two ways in which a phone's
// zero-length packets show are told apart: the transfers are of 1024 bytes.
func TestStatsTellZeroLengthPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, small)
		for _, n := range []int{511, 512, 513, 1024, 0} {
			k.finish(testIn, 0, fill(n, 1))
			if n > 0 {
				readN(t, p, n)
			}
		}
		go p.Read(make([]byte, 1)) // collects
		synctest.Wait()
		if s := p.Stats(); s.ShortIn != 1 || s.EmptyIn != 1 || s.LargestIn != 1024 {
			t.Errorf("want a short, an empty and a full transfer of 1024 bytes, got %+v", s)
		}
	})
}

func TestWriteEndsPackets(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    int
		want []int // lengths of the transfers, 0 for a ZLP
	}{
		{"short", 36, []int{36}},
		{"full packet", 512, []int{512, 0}},
		{"off by one", 513, []int{513}},
		{"just below", 511, []int{511}},
		{"whole frame", 2048, []int{2048, 0}},
		{"frame and a byte", 2049, []int{2048, 1}},
		{"two frames", 4096, []int{2048, 2048, 0}},
		{"empty", 0, nil},
	} {
		for _, noZLP := range []bool{false, true} {
			name := tt.name
			if noZLP {
				name += " without the kernel's ZLP"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := newFakeKernel(t)
					k.sink, k.noZLP = true, noZLP
					p := start(t, k, small)
					go p.Read(make([]byte, 1)) // collects
					data := fill(tt.n, 7)
					for range 3 {
						if n, err := p.Write(data); n != tt.n || err != nil {
							t.Fatalf("Write = %d, %v", n, err)
						}
					}
					var want []int
					for range 3 {
						want = append(want, tt.want...)
					}
					var got []int
					var all []byte
					empty := 0
					for _, b := range k.sentLog() {
						if got = append(got, len(b)); len(b) == 0 {
							empty++
						}
						all = append(all, b...)
					}
					if !slices.Equal(got, want) {
						t.Errorf("transfers %v, want %v", got, want)
					}
					if n := p.Stats().EmptyOut; int(n) != empty {
						t.Errorf("%d zero-length packets counted of %v", n, got)
					}
					if !bytes.Equal(all, bytes.Repeat(data, 3)) {
						t.Error("data differs")
					}
					p.Close()
				})
			})
		}
	}
}

func TestWriteBlocksOnlyWhenAllAreInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, small)
		go p.Read(make([]byte, 1))
		var wrote int
		go func() {
			for range 3 {
				if _, err := p.Write([]byte("hello")); err != nil {
					t.Error(err)
				}
				wrote++
			}
		}()
		synctest.Wait()
		if wrote != 2 || p.Stats().Pending != 2 {
			t.Fatalf("%d written, %d pending; want 2, 2", wrote, p.Stats().Pending)
		}
		stuck, waiting := p.Waiting()
		if !waiting {
			t.Error("nothing waits")
		}
		time.Sleep(3 * time.Second)
		if mark, waiting := p.Waiting(); mark != stuck || !waiting {
			t.Errorf("nothing was taken, but mark %d is now %d, waiting %v", stuck, mark, waiting)
		}
		if got := p.Stats().Blocked; got != 3*time.Second {
			t.Errorf("Blocked = %v, want 3s", got)
		}
		k.finishOut()
		synctest.Wait()
		if mark, _ := p.Waiting(); mark == stuck {
			t.Error("something was taken, but the mark is the same")
		}
		if wrote != 3 || p.Stats().Blocked != 0 {
			t.Errorf("%d written, blocked %v; want 3, 0", wrote, p.Stats().Blocked)
		}
		k.finishOut()
		k.finishOut()
		synctest.Wait()
		if p.Stats().Pending != 0 {
			t.Errorf("%d pending, want 0", p.Stats().Pending)
		}
		if _, waiting := p.Waiting(); waiting {
			t.Error("something waits still")
		}
		p.Close()
	})
}

func TestUnplug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, small)
		errs := make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				_, err = p.Write([]byte("hello"))
			}
			errs <- err
		}()
		synctest.Wait()
		k.finish(testIn, 0, []byte("last words"))
		k.unplug()
		if got := readN(t, p, 10); string(got) != "last words" {
			t.Errorf("read %q before the end", got)
		}
		for range 2 {
			if _, err := p.Read(make([]byte, 9)); !errors.Is(err, ErrGone) {
				t.Errorf("Read = %v, want ErrGone", err)
			}
		}
		if err := <-errs; !errors.Is(err, ErrGone) {
			t.Errorf("Write = %v, want ErrGone", err)
		}
		if !errors.Is(p.Err(), ErrGone) {
			t.Errorf("Err = %v, want ErrGone", p.Err())
		}
		p.Close()
		if _, err := p.Read(make([]byte, 9)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close = %v, want net.ErrClosed", err)
		}
	})
}

// A configuration that somebody sets takes the interface away; the owner knows
// how to tell.
func TestTakenAway(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOENT, unix.ESHUTDOWN, unix.ECONNRESET} {
		synctest.Test(t, func(t *testing.T) {
			k := newFakeKernel(t)
			p, err := newPipe(k, testEndpoints, small, pipeConfig{
				log:  zap.NewNop(),
				lost: func(unix.Errno) error { return ErrConfiguration },
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				k.finish(testIn, errno, nil)
			}
			if _, err := p.Read(make([]byte, 9)); !errors.Is(err, ErrConfiguration) {
				t.Errorf("Read after %v = %v, want ErrConfiguration", errno, err)
			}
			if n := k.count(testIn); n != 0 {
				t.Errorf("%d transfers submitted to an interface that is not ours", n)
			}
			p.Close()
			k.checkClean()
		})
	}
}

// An unplug looks like a change of the configuration to sysfs for a while, and to
// a transfer that is submitted meanwhile. It must not be asked.
func TestUnplugIsNotAskedFor(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENODEV, unix.ESHUTDOWN, unix.ENOENT} {
		synctest.Test(t, func(t *testing.T) {
			k := newFakeKernel(t)
			p, err := newPipe(k, testEndpoints, small, pipeConfig{
				log: zap.NewNop(),
				lost: func(unix.Errno) error {
					t.Error("sysfs asked about an unplug")
					return ErrConfiguration
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			k.finish(testIn, 0, []byte("last words"))
			k.onSubmit = func(*frame) unix.Errno { return errno }
			k.gone = errno != unix.ENODEV
			readN(t, p, 10)
			if _, err := p.Read(make([]byte, 9)); !errors.Is(err, ErrGone) {
				t.Errorf("Read after %v = %v, want ErrGone", errno, err)
			}
			p.Close()
			k.checkClean()
		})
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, small)
		errs := make(chan error, 2)
		go func() {
			_, err := p.Read(make([]byte, 9))
			errs <- err
		}()
		go func() {
			var err error
			for err == nil {
				_, err = p.Write([]byte("hello"))
			}
			errs <- err
		}()
		synctest.Wait()
		begin := time.Now()
		for range 2 {
			if err := p.Close(); err != nil {
				t.Errorf("Close = %v", err)
			}
		}
		// A phone that takes nothing costs the grace and no more.
		if d := time.Since(begin); d != closeGrace {
			t.Errorf("Close took %v, want %v", d, closeGrace)
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%v, want net.ErrClosed", err)
			}
		}
		if n, err := p.Write([]byte("x")); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close = %d, %v", n, err)
		}
		k.checkClean()
	})
}

// The last resets of a session are on their way when it closes its pipe.
func TestCloseLetsPacketsLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, small)
		p.Write([]byte("reset"))
		go func() {
			time.Sleep(10 * time.Millisecond)
			k.finishOut()
		}()
		begin := time.Now()
		p.Close()
		if d := time.Since(begin); d != 10*time.Millisecond {
			t.Errorf("Close took %v, want 10ms", d)
		}
		if got := k.sentLog(); len(got) != 1 || string(got[0]) != "reset" {
			t.Errorf("sent %q, want reset", got)
		}
	})
}

// A host controller that never completes a transfer must not hang anybody.
func TestCloseOfStuckController(t *testing.T) {
	k := newFakeKernel(t)
	free := make(chan struct{})
	k.onDiscard = func(*frame) { <-free }
	released := make(chan struct{})
	p, err := newPipe(k, testEndpoints, small, pipeConfig{log: zap.NewNop(), released: func() { close(released) }})
	if err != nil {
		t.Fatal(err)
	}
	p.limit = 20 * time.Millisecond
	read := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 9))
		read <- err
	}()
	if err := p.Close(); !errors.Is(err, ErrStuck) {
		t.Errorf("Close = %v, want ErrStuck", err)
	}
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read = %v, want net.ErrClosed", err)
	}
	close(free)
	<-released
	k.checkClean()
}

// The reader may itself be stuck, in a CLEAR_HALT or a discard.
func TestCloseWithStuckReader(t *testing.T) {
	k := newFakeKernel(t)
	free, stuck := make(chan struct{}), make(chan struct{}, 8)
	k.onDiscard = func(*frame) { stuck <- struct{}{}; <-free }
	p, err := newPipe(k, testEndpoints, small, pipeConfig{log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	p.limit = 20 * time.Millisecond
	k.finish(testIn, unix.EPIPE, nil)
	read := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 9))
		read <- err
	}()
	<-stuck
	if err := p.Close(); !errors.Is(err, ErrStuck) {
		t.Errorf("Close = %v, want ErrStuck", err)
	}
	close(free)
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read = %v, want net.ErrClosed", err)
	}
	p.limit = time.Minute
	if err := p.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	k.checkClean()
}
