package usb

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

// TestYield asserts that who waits for a descriptor runs before a second yield returns,
// on the only processor and while its goroutine never waits otherwise. Before the first,
// but for each 61st time, when the scheduler prefers those who have yielded.
func TestYield(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	y, err := newYielder()
	if err != nil {
		t.Fatal(err)
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	reader := os.NewFile(uintptr(fds[0]), "pipe")
	conn, err := reader.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got atomic.Int32
	waiting, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		for {
			err := conn.Read(func(fd uintptr) bool {
				n, _ := unix.Read(int(fd), make([]byte, 8))
				if n <= 0 {
					waiting <- struct{}{}
				}
				return n > 0
			})
			if err != nil {
				return // closed
			}
			got.Add(1)
		}
	}()
	for i := range int32(100) {
		<-waiting
		y.yield() // it waits in the poller by now
		if _, err := unix.Write(fds[1], []byte("x")); err != nil {
			t.Fatal(err)
		}
		y.yield()
		y.yield()
		if n := got.Load(); n != i+1 {
			t.Fatalf("after write %d the reader had run %d times", i+1, n)
		}
	}
	reader.Close()
	<-done
	if err := y.close(); err != nil {
		t.Fatal(err)
	}
	y.yield() // closed: returns
}

// TestReaderYields asserts that a reader that always finds more yields after maxRun
// transfers, and one that waits in between never.
func TestReaderYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFakeKernel(t)
		p := start(t, k, lending)
		next := func() {
			t.Helper()
			if _, err := p.Next(); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 * maxRun {
			k.finish(testIn, 0, []byte("alone"))
			next()
			p.Return()
		}
		if k.yields != 0 {
			t.Errorf("%d yields of a reader that waits", k.yields)
		}
		k.finish(testIn, 0, []byte("first"))
		next()
		for range 3*maxRun + 1 {
			k.finish(testIn, 0, []byte("more"))
			if !p.Return() {
				t.Fatal("there is no more")
			}
			next()
		}
		p.Return()
		if k.yields != 3 {
			t.Errorf("%d yields in %d transfers without a wait, want 3", k.yields, 3*maxRun+1)
		}
	})
}
