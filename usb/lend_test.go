package usb

import (
	"bytes"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// lending are buffers of which a pipe lends.
var lending = buffers{inCount: 2, inSize: 1024, outCount: 2, outSize: outWhole}

// submit sends a packet in lent memory, and reports whether there was some.
func submit(t *testing.T, p *Pipe, packet []byte) bool {
	t.Helper()
	b := p.Lend()
	if b == nil {
		return false
	}
	if err := p.Submit(copy(b, packet)); err != nil {
		t.Error(err)
	}
	return true
}

func TestNextLends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, lending)
		for i, data := range [][]byte{fill(1000, 1), fill(24, 2), fill(1024, 3)} {
			k.finish(testIn, 0, data)
			got, err := p.Next()
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("transfer %d: got %d bytes, %v", i, len(got), err)
			}
			if n := k.count(testIn); n != 1 {
				t.Errorf("%d transfers pending while one is lent, want 1", n)
			}
			if p.Return() {
				t.Error("there is more")
			}
			if n := k.count(testIn); n != 2 {
				t.Errorf("%d transfers pending, want 2", n)
			}
		}
		// What comes while a transfer is lent is told when it is given back.
		k.finish(testIn, 0, []byte("first"))
		if _, err := p.Next(); err != nil {
			t.Fatal(err)
		}
		k.finish(testIn, 0, []byte("second"))
		if !p.Return() {
			t.Error("the second is not told")
		}
		if got, err := p.Next(); err != nil || string(got) != "second" || p.Return() {
			t.Errorf("got %q, %v", got, err)
		}
		// What a Read has begun, Next ends.
		k.finish(testIn, 0, []byte("hello"))
		readN(t, p, 2)
		if got, err := p.Next(); err != nil || string(got) != "llo" {
			t.Errorf("got %q, %v", got, err)
		}
		p.Return()
		if s := p.Stats(); s.BytesIn != 1000+24+1024+11+5 {
			t.Errorf("BytesIn = %d", s.BytesIn)
		}
	})
}

// TestCloseWaitsForLent asserts that memory is not unmapped while it is lent.
func TestCloseWaitsForLent(t *testing.T) {
	k := newFakeKernel(t)
	p := start(t, k, lending)
	p.limit = time.Millisecond
	data := fill(700, 1)
	k.finish(testIn, 0, data)
	in, err := p.Next()
	if err != nil {
		t.Fatal(err)
	}
	out := p.Lend()
	if err := p.Close(); err != ErrStuck {
		t.Errorf("Close = %v while memory is lent", err)
	}
	k.mu.Lock()
	mapped := k.mapped
	k.mu.Unlock()
	if mapped == 0 || !bytes.Equal(in, data) {
		t.Fatalf("%d buffers are mapped", mapped)
	}
	copy(out, "late")
	p.Return()
	if err := p.Submit(4); err != nil {
		t.Error(err)
	}
	<-p.gone
	if _, err := p.Next(); err != net.ErrClosed {
		t.Errorf("Next = %v", err)
	}
	if p.Lend() != nil {
		t.Error("a closed pipe lends")
	}
}

func TestSubmitEndsPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		k.sink = true
		p := start(t, k, lending)
		go p.Read(make([]byte, 9))
		for _, n := range []int{36, 512, 513, outWhole} {
			synctest.Wait() // the frames come back
			if !submit(t, p, fill(n, 1)) {
				t.Fatal("nothing is lent")
			}
		}
		p.Lend()
		p.Submit(0) // nothing
		synctest.Wait()
		var lengths []int
		for _, b := range k.sentLog() {
			lengths = append(lengths, len(b))
		}
		if !slices.Equal(lengths, []int{36, 512, 0, 513, outWhole, 0}) {
			t.Errorf("sent %v", lengths)
		}
		if s := p.Stats(); s.BytesOut != 36+512+513+outWhole || s.EmptyOut != 2 {
			t.Errorf("stats %+v", s)
		}
		p.Close()
	})
}

// TestLendsNothing: where Submit would wait, or a packet need several transfers.
func TestLendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, lending)
		for range 2 {
			if !submit(t, p, []byte("hello")) {
				t.Fatal("nothing is lent")
			}
		}
		if p.Lend() != nil {
			t.Error("lends while all is in flight")
		}
		go p.Read(make([]byte, 9))
		k.finishOut()
		synctest.Wait()
		if !submit(t, p, []byte("hello")) {
			t.Error("lends nothing after a completion")
		}
		p.Close()
		if p := start(t, newFakeKernel(t), small); p.Lend() != nil {
			t.Error("lends memory that holds no packet")
		}
		k = newFakeKernel(t)
		k.noZLP = true
		if p := start(t, k, lending); p.Lend() != nil {
			t.Error("lends without a way to end packets")
		}
	})
}

// TestSubmitWhileHalted asserts that packets submitted while the phone refuses some
// go out in order when it takes them again.
func TestSubmitWhileHalted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, buffers{inCount: 1, inSize: 512, outCount: 8, outSize: outWhole})
		for _, s := range []string{"zero", "one", "two"} {
			submit(t, p, []byte(s))
		}
		k.finishOut()
		k.finish(testOut, unix.EPIPE, nil)
		p.collect(0) // the reader knows, and has done nothing yet
		if !p.tx.halted {
			t.Fatal("not halted")
		}
		submit(t, p, []byte("three"))
		submit(t, p, []byte("four"))
		k.mu.Lock()
		k.sink = true
		k.mu.Unlock()
		go p.Read(make([]byte, 9))
		synctest.Wait()
		submit(t, p, []byte("five"))
		if got := string(bytes.Join(k.sentLog(), []byte(" "))); got != "zero one two three four five" {
			t.Errorf("sent %q", got)
		}
		p.Close()
	})
}

// TestSubmitWithLittleMemory asserts that a packet for which there is no memory goes
// out nevertheless, in pieces, before all that comes after it.
func TestSubmitWithLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, buffers{inCount: 1, inSize: 1024, outCount: 4, outSize: outWhole})
		k.memory = 1024 + 7000
		go p.Read(make([]byte, 9))
		data := fill(outWhole, 3)
		if !submit(t, p, data) {
			t.Fatal("nothing is lent")
		}
		synctest.Wait()
		for k.count(testOut) > 0 {
			if p.Stats().BytesOut == 0 && submit(t, p, []byte("later")) {
				t.Error("lends while a packet waits for memory")
			}
			k.finishOut()
			synctest.Wait()
		}
		if got := bytes.Join(k.sentLog(), nil); !bytes.Equal(got, data) {
			t.Errorf("sent %d bytes, which differ", len(got))
		}
		p.Close()
	})
}

// TestSubmitBesideRecovery submits while the reader takes transfers back.
func TestSubmitBesideRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, buffers{inCount: 1, inSize: 512, outCount: 8, outSize: outWhole})
		for _, s := range []string{"one", "two", "three"} {
			submit(t, p, []byte(s))
		}
		var once sync.Once
		k.onDiscard = func(f *frame) {
			if !f.in() { // the end of the pipe discards, too
				once.Do(func() {
					go func() {
						submit(t, p, []byte("four"))
						submit(t, p, []byte("five"))
					}()
					for range 100 { // let it go first, without an order that the race detector sees
						runtime.Gosched()
					}
				})
			}
		}
		k.finish(testOut, unix.EPIPE, nil)
		go p.Read(make([]byte, 9))
		synctest.Wait()
		for range 5 {
			k.finishOut()
		}
		if got := string(bytes.Join(k.sentLog(), []byte(" "))); got != "one two three four five" {
			t.Errorf("sent %q", got)
		}
		p.Close()
	})
}

// TestNothingIsSubmittedAfterTheEnd: usbfs would claim the interface anew, perhaps from
// its new owner. The reader still has data then, and sends acks for it.
func TestNothingIsSubmittedAfterTheEnd(t *testing.T) {
	for name, send := range map[string]func(t *testing.T, p *Pipe){
		"lent":    func(t *testing.T, p *Pipe) { submit(t, p, []byte("ack")) },
		"written": func(_ *testing.T, p *Pipe) { p.Write([]byte("ack")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFakeKernel(t)
				p := start(t, k, lending)
				k.finish(testIn, 0, []byte("last words"))
				k.finish(testIn, unix.ESHUTDOWN, nil)
				got, err := p.Next()
				if err != nil || string(got) != "last words" {
					t.Fatalf("got %q, %v", got, err)
				}
				p.Return()
				go send(t, p)
				synctest.Wait()
				if n := k.count(testIn) + k.count(testOut); n != 0 {
					t.Errorf("%d transfers submitted", n)
				}
				if _, err := p.Next(); !errors.Is(err, ErrGone) {
					t.Errorf("Next = %v, want ErrGone", err)
				}
			})
		})
	}
}

// TestEndWithoutMemory ends a pipe while a packet in lent memory waits for memory that
// never comes.
func TestEndWithoutMemory(t *testing.T) {
	for name, end := range map[string]func(*fakeKernel, *Pipe){
		"close":  func(_ *fakeKernel, p *Pipe) { p.Close() },
		"unplug": func(k *fakeKernel, _ *Pipe) { k.unplug() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFakeKernel(t)
				p := start(t, k, buffers{inCount: 1, inSize: 1024, outCount: 4, outSize: outWhole})
				k.memory = 1024
				if !submit(t, p, fill(5000, 3)) {
					t.Fatal("nothing is lent")
				}
				time.Sleep(50*memoryPause + 1) // in the middle of a pause
				if p.Lend() != nil || p.Stats().Blocked == 0 || p.Err() != nil {
					t.Errorf("stats %+v, err %v while a packet waits", p.Stats(), p.Err())
				}
				end(k, p)
				if _, err := p.Next(); err == nil {
					t.Error("Next = nil")
				}
				if err := p.Close(); err != nil {
					t.Errorf("Close = %v", err)
				}
			})
		})
	}
}
