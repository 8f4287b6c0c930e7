package usb

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

func TestInHaltIsCleared(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EPIPE, unix.EPROTO, unix.EILSEQ, unix.ETIME} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFakeKernel(t)
				p := start(t, k, small)
				k.finish(testIn, 0, []byte("one "))
				k.finish(testIn, errno, []byte("two ")) // what came before the failure
				go func() {
					synctest.Wait()
					k.finish(testIn, 0, []byte("three"))
				}()
				if got := string(readN(t, p, 13)); got != "one two three" {
					t.Errorf("read %q", got)
				}
				if !slices.Equal(k.cleared, []uint8{testIn}) {
					t.Errorf("cleared %x, want the IN endpoint once", k.cleared)
				}
				if n := k.count(testIn); n != 3 {
					t.Errorf("%d transfers pending, want 3", n)
				}
				if r := p.Stats().Recoveries; r != 1 {
					t.Errorf("Recoveries = %d, want 1", r)
				}
			})
		})
	}
}

func TestInFailsForGood(t *testing.T) {
	for _, tt := range []struct {
		name    string
		errno   unix.Errno
		clear   unix.Errno
		want    error
		cleared int
	}{
		{"stalls again and again", unix.EPIPE, 0, ErrStalled, maxRecoveries},
		{"fails again and again", unix.EPROTO, 0, ErrTransfer, maxRecoveries},
		{"babble", unix.EOVERFLOW, 0, ErrOverflow, 0},
		{"halt cannot be cleared", unix.EPIPE, unix.ETIMEDOUT, ErrStalled, 1},
		{"cable pulled halfway", unix.EPROTO, unix.EPROTO, ErrTransfer, 1},
		{"gone at the clearing", unix.EPROTO, unix.ENODEV, ErrGone, 1},
		{"unknown", unix.EUCLEAN, 0, ErrGone, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFakeKernel(t)
				k.onClear = func(uint8) unix.Errno { return tt.clear }
				p := start(t, k, small)
				stop := make(chan struct{})
				go func() {
					for {
						synctest.Wait()
						select {
						case <-stop:
							return
						default:
						}
						if k.count(testIn) > 0 {
							k.finish(testIn, tt.errno, nil)
						} else {
							return
						}
					}
				}()
				_, err := p.Read(make([]byte, 9))
				close(stop)
				if !errors.Is(err, tt.want) {
					t.Errorf("Read = %v, want %v", err, tt.want)
				}
				if len(k.cleared) != tt.cleared {
					t.Errorf("cleared %d times, want %d", len(k.cleared), tt.cleared)
				}
				if _, err := p.Write([]byte("x")); !errors.Is(err, tt.want) {
					t.Errorf("Write = %v, want %v", err, tt.want)
				}
			})
		})
	}
}

// A packet that the phone refuses as a whole is sent again, and all behind it in
// order.
func TestOutHaltIsCleared(t *testing.T) {
	for _, others := range []unix.Errno{0, unix.EPIPE} {
		synctest.Test(t, func(t *testing.T) {
			k := newFakeKernel(t)
			p := start(t, k, buffers{inCount: 1, inSize: 512, outCount: 4, outSize: 1024})
			for _, s := range []string{"zero", "one", "two", "three"} {
				if _, err := p.Write([]byte(s)); err != nil {
					t.Fatal(err)
				}
			}
			k.finishOut()
			k.finish(testOut, unix.EPIPE, nil)
			if others != 0 {
				k.finish(testOut, others, nil)
			}
			k.sink = true // the phone takes what comes from now on
			go p.Read(make([]byte, 9))
			for _, s := range []string{"four", "five"} {
				if _, err := p.Write([]byte(s)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if got := string(bytes.Join(k.sentLog(), []byte(" "))); got != "zero one two three four five" {
				t.Errorf("sent %q", got)
			}
			if !slices.Equal(k.cleared, []uint8{testOut}) {
				t.Errorf("cleared %x, want the OUT endpoint once", k.cleared)
			}
			p.Close()
		})
	}
}

func TestOutFailsForGood(t *testing.T) {
	for _, tt := range []struct {
		name  string
		errno unix.Errno
		part  int
		want  error
	}{
		{"refused part-way", unix.EPIPE, 512, ErrStalled},
		{"stalls again and again", unix.EPIPE, 0, ErrStalled},
		{"fails", unix.EPROTO, 0, ErrTransfer},
		{"short without an error", 0, 100, ErrTransfer},
		{"cancelled by someone", unix.ENOENT, 0, ErrGone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFakeKernel(t)
				p := start(t, k, small)
				go func() {
					for {
						synctest.Wait()
						if k.count(testOut) == 0 || p.Err() != nil {
							return
						}
						k.finish(testOut, tt.errno, make([]byte, tt.part))
					}
				}()
				errs := make(chan error, 1)
				go func() {
					var err error
					for err == nil {
						_, err = p.Write(fill(1000, 1))
					}
					errs <- err
				}()
				if _, err := p.Read(make([]byte, 9)); !errors.Is(err, tt.want) {
					t.Errorf("Read = %v, want %v", err, tt.want)
				}
				if err := <-errs; !errors.Is(err, tt.want) {
					t.Errorf("Write = %v, want %v", err, tt.want)
				}
				if len(k.sentLog()) != 0 && tt.errno != 0 {
					t.Errorf("sent %q", k.sentLog())
				}
			})
		})
	}
}

// Memory of usbfs may be short when a pipe starts and at any time later.
func TestLittleMemory(t *testing.T) {
	for _, tt := range []struct {
		name   string
		memory int
		ins    int
		inLen  int
	}{
		{"two transfers fit", 2 * 32768, 2, 32768},
		{"one transfer fits", 40000, 1, 32768},
		{"not even one", 30000, 1, 16384},
		{"hardly any", 8192, 1, 8192},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFakeKernel(t)
				k.memory = tt.memory
				start(t, k, buffers{inCount: 4, inSize: 32768, outCount: 4, outSize: 48 << 10})
				if n := k.count(testIn); n != tt.ins {
					t.Errorf("%d IN transfers, want %d", n, tt.ins)
				}
				k.mu.Lock()
				length := int(k.pending[testIn][0].bufferLength)
				k.mu.Unlock()
				if length != tt.inLen {
					t.Errorf("IN transfers of %d bytes, want %d", length, tt.inLen)
				}
			})
		})
	}
}

func TestWriteWithLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, buffers{inCount: 1, inSize: 1024, outCount: 4, outSize: 48 << 10})
		k.memory = 1024 + 7000
		go p.Read(make([]byte, 9))
		data := fill(48<<10, 3)
		go func() {
			if _, err := p.Write(data); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		for k.count(testOut) > 0 {
			k.finishOut()
			synctest.Wait()
		}
		sent := k.sentLog()
		if !bytes.Equal(bytes.Join(sent, nil), data) {
			t.Error("data differs")
		}
		for i, b := range sent {
			if len(b)%512 != 0 || (len(b) == 0) != (i == len(sent)-1) {
				t.Errorf("transfer %d of %d has %d bytes", i, len(sent), len(b))
			}
		}
		p.Close()
	})
}

// A packet for which there is not even memory for its smallest transfer waits
// until other phones have given some back.
func TestWriteWithoutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, buffers{inCount: 1, inSize: 1024, outCount: 4, outSize: 48 << 10})
		k.mu.Lock()
		k.memory = 1024
		k.mu.Unlock()
		go p.Read(make([]byte, 9))
		written := make(chan error, 1)
		go func() {
			_, err := p.Write(fill(1000, 3))
			written <- err
		}()
		time.Sleep(time.Minute + memoryPause/2)
		select {
		case err := <-written:
			t.Fatalf("Write without memory = %v", err)
		default:
		}
		if p.Stats().Blocked == 0 {
			t.Error("the writer is not seen to wait")
		}
		k.mu.Lock()
		k.memory = 0
		k.mu.Unlock()
		if err := <-written; err != nil {
			t.Errorf("Write with memory again = %v", err)
		}
		p.Close()
	})
}

func TestNoMemoryAtAll(t *testing.T) {
	k := newFakeKernel(t)
	k.memory = 100
	_, err := newPipe(k, testEndpoints, small, pipeConfig{log: zap.NewNop()})
	if !errors.Is(err, ErrMemory) {
		t.Errorf("newPipe = %v, want ErrMemory", err)
	}
	k.checkClean()
}

// The transfers that found no memory come back when there is some.
func TestMemoryComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		k.memory = 1024
		p := start(t, k, small)
		if n := k.count(testIn); n != 1 {
			t.Fatalf("%d IN transfers, want 1", n)
		}
		k.memory = 0
		k.finish(testIn, 0, []byte("x"))
		io.ReadFull(p, make([]byte, 1))
		if n := k.count(testIn); n != 3 {
			t.Errorf("%d IN transfers, want 3", n)
		}
	})
}

// withoutInMemory is a pipe of whose memory one packet to the phone has all.
func withoutInMemory(t *testing.T) (*fakeKernel, *Pipe) {
	t.Helper()
	k := newFakeKernel(t)
	k.memory = 6000
	p := start(t, k, buffers{inCount: 2, inSize: minTransfer, outCount: 2, outSize: 48 << 10})
	k.finish(testIn, 0, []byte("first"))
	if _, err := p.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(fill(5000, 1)); err != nil {
		t.Fatal(err)
	}
	p.Return()
	return k, p
}

// TestReadingWaitsForOutMemory asserts that a reader whose only transfer finds no
// memory, since a packet to the phone has it all, goes on when that has left.
func TestReadingWaitsForOutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, p := withoutInMemory(t)
		if n := k.count(testIn); n != 0 {
			t.Fatalf("%d transfers pending without memory", n)
		}
		got := make(chan error, 1)
		go func() {
			_, err := p.Read(make([]byte, 8))
			got <- err
		}()
		synctest.Wait()
		k.finishOut()
		synctest.Wait()
		if n := k.count(testIn); n != 1 {
			t.Fatalf("%d transfers pending after the packet has left, want 1", n)
		}
		k.finish(testIn, 0, []byte("second"))
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	})
}

// TestStalledPacketKeepsItsMemory asserts that a reader which waits for memory does not
// take that of a packet which is to be sent again.
func TestStalledPacketKeepsItsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, p := withoutInMemory(t)
		got := make(chan error, 1)
		go func() {
			_, err := p.Read(make([]byte, 8))
			got <- err
		}()
		synctest.Wait()
		k.finish(testOut, unix.EPIPE, nil)
		synctest.Wait()
		if in, out := k.count(testIn), k.count(testOut); in != 0 || out != 1 {
			t.Fatalf("%d transfers in, %d out pending after the stall, want 0 and 1", in, out)
		}
		k.finishOut()
		synctest.Wait()
		k.finish(testIn, 0, []byte("second"))
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	})
}
