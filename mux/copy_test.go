package mux

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"gomuxd/mux/muxtest"
)

// sockets are the two ends of a Unix socket, not of the bubble.
func sockets(t testing.TB) (near, far *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socketpair")
		conn, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
		t.Cleanup(func() { conn.Close() })
	}
	return ends[0], ends[1]
}

// watched is a client's socket that tells before it is written to past its Write.
type watched struct {
	*net.UnixConn
	before func()
}

type watchedRaw struct {
	syscall.RawConn
	before func()
}

func (w watched) SyscallConn() (syscall.RawConn, error) {
	raw, err := w.UnixConn.SyscallConn()
	return watchedRaw{raw, w.before}, err
}

func (w watchedRaw) Control(f func(uintptr)) error {
	w.before()
	return w.RawConn.Control(f)
}

// TestWriteToOutlastsTheReader asserts that nothing is written to a client after
// WriteTo has returned, although the connection is closed in the middle.
func TestWriteToOutlastsTheReader(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		near, far := sockets(t)
		c := b.dial(1, window)
		at, release := make(chan struct{}), make(chan struct{})
		done := make(chan int64, 1)
		go func() {
			n, _ := c.WriteTo(watched{near, func() { close(at); <-release }})
			near.Close()
			done <- n
		}()
		synctest.Wait()
		b.sendSegment(62078, 1, 1, 1, flagACK, window, "hello")
		<-at
		c.Close()
		synctest.Wait()
		if len(done) > 0 {
			t.Error("WriteTo has returned while the reader writes")
		}
		close(release)
		n := <-done
		buf := make([]byte, 9)
		got, _ := far.Read(buf)
		if n != 5 || string(buf[:got]) != "hello" {
			t.Errorf("WriteTo = %d, the client got %q", n, buf[:got])
		}
	})
}

// TestForward asserts that a connection whose client takes all has no goroutine, and
// gets one for what the client does not take, and for the end.
func TestForward(t *testing.T) {
	for _, c := range []struct {
		name string
		size int  // of what the phone sends
		read int  // what the client reads of it before
		end  byte // FIN or RST of the phone, 0 for none
		want bool // a goroutine
	}{
		{"nothing", 0, 0, 0, false},
		{"all taken", 5, 5, 0, false},
		{"too much", 3 * 32768, 5, 0, true},
		{"end", 5, 5, flagFIN, true},
		{"reset", 0, 0, flagRST, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, Config{}, func(b *bench) {
				near, far := sockets(t)
				near.SetWriteBuffer(4096)
				conn := b.dial(1, window)
				calls, called, total := 0, make(chan struct{}, 1), make(chan int64, 1)
				stop := conn.Forward(near, func() {
					calls++
					called <- struct{}{}
					n, _ := conn.WriteTo(near)
					near.Close()
					total <- n
				})
				go b.swallow()
				data := strings.Repeat("x", c.size)
				for at := 0; at < c.size; at += 32768 {
					b.sendSegment(62078, 1, uint32(1+at), 1, flagACK, window, data[at:min(at+32768, c.size)])
				}
				if got := readString(t, far, c.read); got != data[:c.read] {
					t.Errorf("the client got %q", got)
				}
				if c.end != 0 {
					b.sendSegment(62078, 1, uint32(1+c.size), 1, c.end, window, "")
				}
				if c.read < c.size {
					<-called
					readString(t, far, c.size-c.read)
				}
				synctest.Wait()
				if got := calls > 0; got != c.want {
					t.Fatalf("called: %v, want %v", got, c.want)
				}
				if !c.want {
					if !stop() || stop() {
						t.Error("stop has not said that it was in time, and then that it was late")
					}
					conn.Close()
					synctest.Wait()
					if calls != 0 {
						t.Error("called although stopped")
					}
					return
				}
				if stop() {
					t.Error("stop has prevented what has been called")
				}
				conn.Close()
				if n := <-total; n != int64(c.size) || calls != 1 {
					t.Errorf("%d calls, %d bytes", calls, n)
				}
			})
		})
	}
}

// TestForwardLate asserts that nothing is lost of what came before Forward.
func TestForwardLate(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		near, far := sockets(t)
		conn := b.dial(1, window)
		b.sendSegment(62078, 1, 1, 1, flagACK, window, "hello")
		synctest.Wait()
		go b.swallow()
		conn.Forward(near, func() { conn.WriteTo(near) }) // ends with the session
		if got := readString(t, far, 5); got != "hello" {
			t.Errorf("the client got %q", got)
		}
	})
}

// TestReaderWaitsForNoClient has somebody write to a client's socket all the time:
// other connections must go on.
func TestReaderWaitsForNoClient(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		near, far := sockets(t)
		c1, c2 := b.dial(1, window), b.dial(2, window)
		raw, err := near.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		held, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			raw.Write(func(uintptr) bool { close(held); <-release; return true })
		}()
		<-held
		go c1.WriteTo(near) // ends with the session
		synctest.Wait()
		b.sendSegment(62078, 1, 1, 1, flagACK, window, "one")
		b.sendSegment(62078, 2, 1, 1, flagACK, window, "two")
		go b.swallow()
		if got := readString(t, c2, 3); got != "two" {
			t.Errorf("got %q", got)
		}
		if got := readString(t, far, 3); got != "one" {
			t.Errorf("the client got %q", got)
		}
		close(release)
		<-done
	})
}

// TestSlowClient asserts that a client which takes little at a time gets all, in order,
// past the ring or through it, and that the phone hears of what it has taken.
func TestSlowClient(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		near, far := sockets(t)
		near.SetWriteBuffer(4096)
		c := b.dial(1, window)
		go b.swallow()
		const size, piece = 4 * window, 8000
		total := make(chan int64, 1)
		go func() {
			n, err := c.WriteTo(near)
			if err != nil {
				t.Error(err)
			}
			near.Close()
			total <- n
		}()
		var want strings.Builder
		for at := 0; at < size; at += piece {
			want.WriteString(strings.Repeat(string(rune('a'+at/piece%26)), piece))
		}
		got := make(chan string, 1)
		taken := make(chan struct{}, 1)
		go func() {
			var all strings.Builder
			buf := make([]byte, 3000)
			for {
				n, err := far.Read(buf)
				all.Write(buf[:n])
				notify(taken)
				if err != nil {
					got <- all.String()
					return
				}
			}
		}()
		seq := uint32(1)
		for at := 0; at < want.Len(); at += piece {
			for { // what is on its way must fit the window
				b.s.mu.Lock()
				open := seq - c.tcb.rcvAck
				b.s.mu.Unlock()
				if open+piece <= window {
					break
				}
				<-taken
			}
			b.sendSegment(62078, 1, seq, 1, flagACK, window, want.String()[at:at+piece])
			seq += piece
		}
		b.sendSegment(62078, 1, seq, 1, flagACK|flagFIN, window, "")
		if n := <-total; n != int64(want.Len()) {
			t.Errorf("WriteTo = %d, want %d", n, want.Len())
		}
		if <-got != want.String() {
			t.Error("bytes differ")
		}
		synctest.Wait() // for the last ack to leave
		b.s.mu.Lock()
		defer b.s.mu.Unlock()
		if c.tcb.acked != seq+1 {
			t.Errorf("acknowledged %d, want %d", c.tcb.acked, seq+1)
		}
	})
}

// busy is a pipe to a phone that takes each packet at once, and whose other users then
// have one more to send.
type busy struct {
	*muxtest.Lender
	more func()
}

func (b *busy) Submit(n int) error {
	err := b.Lender.Submit(n)
	if n > 0 && b.more != nil {
		b.more()
	}
	return err
}

func TestNobodySendsForOthersForEver(t *testing.T) {
	var pipe *busy
	playOver(t, func() (Pipe, *muxtest.Phone) {
		lender, phone := muxtest.LendingPipe(4)
		pipe = &busy{Lender: lender}
		return pipe, phone
	}, Config{}, func(b *bench) {
		c, other := b.dial(1, window), b.dial(2, window)
		sent := 0
		synctest.Wait()
		pipe.more = func() {
			b.recv()
			if sent++; sent < 1000 {
				b.s.mu.Lock()
				other.tcb.ackDue = true
				b.s.pushLocked(other, evSend)
				b.s.mu.Unlock()
			}
		}
		c.Write([]byte("hello"))
		pipe.more = nil
		if sent != maxInTurn {
			t.Errorf("Write has sent %d packets, want %d", sent, maxInTurn)
		}
		b.recv() // the last of the others, by the writer
	})
}
