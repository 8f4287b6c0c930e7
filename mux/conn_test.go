package mux

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestResetDeliversWhatCameBefore(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		b.sendSegment(62078, 1, 1, 1, flagACK, window, "last words")
		b.sendSegment(62078, 1, 11, 1, flagRST, window, "service ended\n")
		synctest.Wait()
		if got, err := io.ReadAll(c); err != nil || string(got) != "last words" {
			t.Fatalf("want the last words and EOF, got %q, %v", got, err)
		}
		_, err := c.Write([]byte("x"))
		if !errors.Is(err, ErrReset) || !strings.Contains(err.Error(), "service ended") || !c.Reset() {
			t.Fatalf("want ErrReset with the reason, got %v", err)
		}
		c.Close()
		b.dial2(2).Close() // nothing was sent for the first: next is a SYN
		b.wantSegment(2, 62078, 1, 1, flagRST)
	})
}

// TestResetRightAfterAccept asserts that a connection which the phone accepts,
// uses and resets before Dial's goroutine has run is still delivered.
func TestResetRightAfterAccept(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		got := make(chan string, 1)
		go func() {
			c, err := b.s.Dial(context.Background(), 5)
			if err != nil {
				got <- err.Error()
				return
			}
			data, _ := io.ReadAll(c)
			c.Close()
			got <- string(data)
		}()
		b.wantSegment(1, 5, 0, 0, flagSYN)
		all := b.packet(segment{src: 5, dst: 1, ack: 1, flags: flagSYN | flagACK, window: window}, nil)
		all = append(all, b.packet(segment{src: 5, dst: 1, seq: 1, ack: 1, flags: flagACK, window: window}, []byte("hi"))...)
		all = append(all, b.packet(segment{src: 5, dst: 1, seq: 3, ack: 1, flags: flagRST, window: window}, nil)...)
		b.phone.Send(all)
		if g := <-got; g != "hi" {
			t.Fatalf("want %q, got %q", "hi", g)
		}
	})
}

func TestFinIsEndOfDataOnly(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		b.sendSegment(62078, 1, 1, 1, flagACK|flagFIN|0x08, window, "bye")
		if got, err := io.ReadAll(c); err != nil || string(got) != "bye" {
			t.Fatalf("want bye and EOF, got %q, %v", got, err)
		}
		b.wantSegment(1, 62078, 1, 5, flagACK)
		if c.Reset() {
			t.Fatal("want no reset")
		}
		if _, err := c.Write([]byte("still here")); err != nil {
			t.Fatal(err)
		}
		if got := b.wantSegment(1, 62078, 1, 5, flagACK); string(got) != "still here" {
			t.Fatalf("got %q", got)
		}
		c.Close()
	})
}

// TestLinger asserts that the reset of a closed connection waits until the
// phone has acknowledged everything, and that the port stays in use till then.
func TestLinger(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, 256)
		first, rest := strings.Repeat("a", 256), "the rest"
		c.Write([]byte(first + rest))
		c.Close()
		if got := b.wantSegment(1, 62078, 1, 1, flagACK); string(got) != first {
			t.Fatalf("want the first window, got %q", got)
		}
		// Data still comes: it is acknowledged and dropped.
		b.sendSegment(62078, 1, 1, 1, flagACK, 256, "late")
		b.wantSegment(1, 62078, 257, 5, flagACK)
		b.sendSegment(62078, 1, 5, 257, flagACK, 256, "")
		if got := b.wantSegment(1, 62078, 257, 5, flagACK); string(got) != rest {
			t.Fatalf("want the rest, got %q", got)
		}
		if n := b.s.Stats().Conns; n != 1 {
			t.Fatalf("want the port in use, got %d connections", n)
		}
		b.sendSegment(62078, 1, 5, 265, flagACK, 256, "")
		b.wantSegment(1, 62078, 265, 5, flagRST)
		synctest.Wait()
		if n := b.s.Stats().Conns; n != 0 {
			t.Fatalf("want the port free, got %d connections", n)
		}
	})
}

func TestLingerIsBounded(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		c.Write([]byte("abcd"))
		b.wantSegment(1, 62078, 1, 1, flagACK)
		start := time.Now()
		c.Close()
		b.wantSegment(1, 62078, 5, 1, flagRST)
		if d := time.Since(start); d != time.Second {
			t.Fatalf("want the reset after 1 s, got %v", d)
		}
	})
}

// TestLingerIsPatientWithASlowPhone asserts that a phone which takes little at a
// time, but steadily, gets all, and that one which takes for ever does not.
func TestLingerIsPatientWithASlowPhone(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, 256)
		c.Write(make([]byte, 5*256))
		c.Close()
		for i := range uint32(5) {
			b.wantSegment(1, 62078, 1+i*256, 1, flagACK)
			time.Sleep(900 * time.Millisecond)
			b.sendSegment(62078, 1, 1, 1+(i+1)*256, flagACK, 256, "")
		}
		b.wantSegment(1, 62078, 1+5*256, 1, flagRST)

		b.tx = 20
		c = b.dial(2, 256)
		c.Write(make([]byte, 20*256))
		start := time.Now()
		c.Close()
		for seq := uint32(1); ; seq += 256 {
			g, _, err := decodeSegment(b.recv()[longHeaderLen:])
			if err != nil {
				t.Fatal(err)
			}
			if g.flags == flagRST {
				break
			}
			time.Sleep(900 * time.Millisecond)
			b.sendSegment(62078, 2, 1, seq+256, flagACK, 256, "")
		}
		// It is sent after 10 s and waits for our next look, 0.9 s at most.
		if d := time.Since(start); d < 9*time.Second || d > 11*time.Second {
			t.Fatalf("want the reset after 10 s, got it after %v", d)
		}
	})
}

// TestAbort asserts that the reset of an aborted connection waits for nothing.
func TestAbort(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		c.Write([]byte("abcd"))
		b.wantSegment(1, 62078, 1, 1, flagACK)
		start := time.Now()
		c.Abort()
		b.wantSegment(1, 62078, 5, 1, flagRST)
		if d := time.Since(start); d != 0 {
			t.Fatalf("want the reset at once, got it after %v", d)
		}
		c.Abort() // again does nothing
	})
}

// TestDone asserts that a reset after the phone's FIN is noticed without reading
// or writing.
func TestDone(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		done := c.Done()
		b.sendSegment(62078, 1, 1, 1, flagACK|flagFIN, window, "")
		b.wantSegment(1, 62078, 1, 2, flagACK)
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("done after a FIN alone")
		default:
		}
		b.sendSegment(62078, 1, 2, 1, flagRST, window, "")
		<-done
		<-c.Done()
		c.Close()
		c = b.dial2(2)
		done = c.Done()
		c.Close()
		b.wantSegment(2, 62078, 1, 1, flagRST)
		<-done
	})
}

// TestAcksDoNotStarveData plays a phone that asks for acks faster than the pipe
// takes them: the data of another connection must still leave.
func TestAcksDoNotStarveData(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c1, c2 := b.dial(1, window), b.dial(2, 64*window)
		go io.Copy(io.Discard, c1)
		const size = 1 << 20
		go c2.Write(make([]byte, size))
		sent, acks := 0, 0
		for seq := uint32(1); sent < size; seq += 64 {
			// One more segment to acknowledge before each packet is taken.
			b.sendSegment(62078, 1, seq, 1, flagACK, window, strings.Repeat("x", 64))
			synctest.Wait()
			g, payload, err := decodeSegment(b.recv()[longHeaderLen:])
			if err != nil {
				t.Fatal(err)
			}
			if g.src == 1 {
				acks++
			}
			sent += len(payload)
			if acks > 100 && sent == 0 {
				t.Fatalf("%d acks and no data", acks)
			}
		}
		if acks == 0 {
			t.Fatal("want acks, too")
		}
	})
}

func TestCloseOfTheSessionResetsAtOnce(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		c.Write([]byte("abcd"))
		b.wantSegment(1, 62078, 1, 1, flagACK)
		start := time.Now()
		done := make(chan struct{})
		go func() { b.s.Close(); close(done) }()
		b.wantSegment(1, 62078, 5, 1, flagRST)
		<-done
		if d := time.Since(start); d != 0 {
			t.Fatalf("want no wait, got %v", d)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("want EOF, got %v", err)
		}
		if _, err := b.s.Dial(context.Background(), 1); !errors.Is(err, ErrDeviceGone) {
			t.Fatalf("want ErrDeviceGone, got %v", err)
		}
		if err := b.s.Err(); err != net.ErrClosed {
			t.Fatalf("want net.ErrClosed, got %v", err)
		}
	})
}

// TestCloseWakesEveryone asserts that readers and writers which wait end with
// the session, also when the resets of their connections have left before.
func TestCloseWakesEveryone(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, 256)
		wrote, read := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := c.Write(make([]byte, 1<<20))
			wrote <- err
		}()
		go func() {
			_, err := c.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		go b.swallow()
		b.s.Close()
		if err := <-wrote; !errors.Is(err, net.ErrClosed) {
			t.Errorf("want net.ErrClosed from Write, got %v", err)
		}
		if err := <-read; err != io.EOF {
			t.Errorf("want EOF from Read, got %v", err)
		}
	})
}

// TestCloseOfAStuckPipe asserts that a phone that takes nothing delays Close by
// CloseTimeout and no more.
func TestCloseOfAStuckPipe(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		b.dial(1, window)
		b.dial2(2)
		start := time.Now()
		b.s.Close() // nobody receives the resets
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Fatalf("want 100 ms, got %v", d)
		}
	})
}

func TestUnplugEndsConnections(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		b.sendSegment(62078, 1, 1, 1, flagACK, window, "kept")
		synctest.Wait()
		blocked := make(chan error, 1)
		go func() { // fills the send ring, then waits
			_, err := c.Write(make([]byte, 1<<20))
			blocked <- err
		}()
		dial := make(chan error, 1)
		go func() {
			_, err := b.s.Dial(context.Background(), 1)
			dial <- err
		}()
		synctest.Wait()
		b.phone.Unplug()
		if err := <-blocked; !errors.Is(err, ErrDeviceGone) {
			t.Fatalf("want ErrDeviceGone from Write, got %v", err)
		}
		if err := <-dial; !errors.Is(err, ErrDeviceGone) {
			t.Fatalf("want ErrDeviceGone from Dial, got %v", err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != "kept" {
			t.Fatalf("want what had arrived and EOF, got %q, %v", got, err)
		}
		<-b.s.Done()
	})
}

func TestHalfClose(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		c.Write([]byte("request"))
		c.CloseWrite()
		if got := b.wantSegment(1, 62078, 1, 1, flagACK); string(got) != "request" {
			t.Fatalf("got %q", got)
		}
		if _, err := c.Write([]byte("more")); err != io.ErrClosedPipe {
			t.Fatalf("want io.ErrClosedPipe, got %v", err)
		}
		b.sendSegment(62078, 1, 1, 8, flagACK, window, "answer")
		if got := readString(t, c, 6); got != "answer" {
			t.Fatalf("got %q", got)
		}
		b.wantSegment(1, 62078, 8, 7, flagACK)
		c.Close()
		b.wantSegment(1, 62078, 8, 7, flagRST)
	})
}

func TestCloseRead(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, window)
		b.sendSegment(62078, 1, 1, 1, flagACK, window, "unread")
		synctest.Wait()
		c.CloseRead()
		b.wantSegment(1, 62078, 1, 7, flagACK)
		b.sendSegment(62078, 1, 7, 1, flagACK, window, "neither")
		b.wantSegment(1, 62078, 1, 14, flagACK)
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("want EOF, got %v", err)
		}
		c.Write([]byte("on"))
		b.wantSegment(1, 62078, 1, 14, flagACK)
		c.Close()
	})
}

func TestOverrunLosesThatConnectionAlone(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c1, c2 := b.dial(1, window), b.dial(2, window)
		seq := uint32(1)
		for range window / 32768 {
			b.sendSegment(62078, 1, seq, 1, flagACK, window, strings.Repeat("x", 32768))
			seq += 32768
		}
		b.sendSegment(62078, 1, seq, 1, flagACK, window, "too much")
		b.wantSegment(1, 62078, 1, 1, flagRST)
		if got, err := io.ReadAll(c1); err != nil || len(got) != window {
			t.Fatalf("want the %d bytes within the window, got %d, %v", window, len(got), err)
		}
		if err := c1.Err(); !errors.Is(err, ErrProtocol) {
			t.Fatalf("want ErrProtocol, got %v", err)
		}
		b.sendSegment(62078, 2, 1, 1, flagACK, window, "fine")
		if got := readString(t, c2, 4); got != "fine" {
			t.Fatalf("got %q", got)
		}
		b.wantSegment(2, 62078, 1, 5, flagACK)
	})
}

func TestDeadlines(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, 0)
		start := time.Now()
		c.SetReadDeadline(start.Add(3 * time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Fatalf("want a time-out after 3 s, got %v after %v", err, time.Since(start))
		}
		c.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { c.SetReadDeadline(time.Now()) }) // moves under a waiting Read
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("want a time-out, got %v", err)
		}
		c.SetDeadline(time.Now().Add(time.Second))
		n, err := c.Write(make([]byte, sendRing+1))
		if n != sendRing || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("want %d bytes and a time-out, got %d, %v", sendRing, n, err)
		}
		c.Close()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
			t.Fatalf("want net.ErrClosed, got %v", err)
		}
	})
}

// TestFairTurns asserts that connections with data take turns, segment by
// segment, whatever each has queued.
func TestFairTurns(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		var conns []*Conn
		for i := range 3 {
			conns = append(conns, b.dial(uint16(i+1), 4*window))
		}
		for _, c := range conns {
			go c.Write(make([]byte, 4*MaxPayload))
		}
		synctest.Wait()
		count := map[uint16]int{}
		for i := range 12 {
			p := b.recv()
			g, payload, _ := decodeSegment(p[longHeaderLen:])
			if len(payload) > 0 {
				count[g.src] += len(payload)
			}
			synctest.Wait()
			lo, hi := min(count[1], count[2], count[3]), max(count[1], count[2], count[3])
			if hi-lo > (b.ahead+1)*MaxPayload { // those on their way before the others had data
				t.Fatalf("after %d segments: %v", i+1, count)
			}
		}
		go b.swallow()
	})
}

// TestSplitAndJoined sends packets of awkward lengths, cut and glued in every
// way that transfers can. Each group of packets fits the window.
func TestSplitAndJoined(t *testing.T) {
	groups := [][]int{{512, 1024, 16384, 16385, 32764, 32768}, {65536, 37, 49152}}
	for _, piece := range []int{1, 7, 512, 4096, 16384, 16385, 65536, 1 << 20} {
		play(t, Config{}, func(b *bench) {
			c := b.dial(1, window)
			go b.swallow()
			seq := uint32(1)
			for _, sizes := range groups {
				var stream, want []byte
				for _, size := range sizes {
					payload := bytes.Repeat([]byte{byte(size >> 4)}, size-longHeaderLen-tcpHeaderLen)
					stream = append(stream, b.packet(segment{src: 62078, dst: 1, seq: seq, ack: 1, flags: flagACK, window: window}, payload)...)
					seq += uint32(len(payload))
					want = append(want, payload...)
				}
				for rest := stream; len(rest) > 0; {
					n := min(piece, len(rest))
					b.phone.Send(rest[:n])
					rest = rest[n:]
				}
				if got := readString(t, c, len(want)); got != string(want) {
					t.Fatalf("pieces of %d: bytes differ", piece)
				}
			}
		})
	}
}

func TestStreamOutOfStep(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"length below the header", "00000006 00000008 FEEDFACE 0001 0001"},
		{"length of nothing", "00000006 00000000 FEEDFACE 0001 0001"},
		{"length a byte below the header", "00000006 0000000F FEEDFACE 0001 0001"},
		{"length beyond the limit", "00000006 00010001 FEEDFACE 0001 0001"},
		{"length of all there is", "00000006 FFFFFFFF FEEDFACE 0001 0001"},
		{"negative length", "00000006 80000000 FEEDFACE 0001 0001"},
		{"less than it says", "00000006 00000028 FEEDFACE 0001 0001 F27E 0009 00000051 00000005 50 04 0200 0000 0000" +
			"00000006 00000024 FEEDFACE 0002 0001 F27E 0009 00000051 00000005 50 04 0200 0000 0000"},
		{"more than it says", "00000006 00000024 FEEDFACE 0001 0001 F27E 0009 00000051 00000005 50 04 0200 0000 0000 70696e67" +
			"00000006 00000024 FEEDFACE 0002 0001 F27E 0009 00000051 00000005 50 04 0200 0000 0000"},
		{"bad magic", "00000006 00000010 FEEDFACD 0001 0001"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Config{}, func(b *bench) {
				b.send(tt.in)
				<-b.s.Done()
				if err := b.s.Err(); !errors.Is(err, ErrProtocol) {
					t.Fatalf("want ErrProtocol, got %v", err)
				}
			})
		})
	}
}

func TestTolerated(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"unknown protocol", "00000009 00000011 FEEDFACE 0001 0001 41"},
		{"second VERSION", version2},
		{"empty CONTROL", "00000001 00000010 FEEDFACE 0001 0001"},
		{"CONTROL", "00000001 00000015 FEEDFACE 0001 0001 07 41424344"},
		{"TCP packet without a TCP header", "00000006 00000012 FEEDFACE 0001 0001 0001"},
		{"TCP data offset beyond the packet", "00000006 00000024 FEEDFACE 0001 0001 F27E 0001 00000000 00000001 F0 10 0200 0000 0000"},
		{"TCP data offset below 5", "00000006 00000024 FEEDFACE 0001 0001 F27E 0001 00000000 00000001 40 10 0200 0000 0000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Config{}, func(b *bench) {
				b.send(tt.in)
				b.dial(1, window).Close()
				b.wantSegment(1, 62078, 1, 1, flagRST)
			})
		})
	}
}

func TestPorts(t *testing.T) {
	s := &Session{conns: map[uint16]*Conn{1: {}, 3: {}}, lastPort: 65534}
	for _, want := range []uint16{65535, 2, 4} {
		if got, err := s.portLocked(); err != nil || got != want {
			t.Fatalf("want port %d, got %d, %v", want, got, err)
		}
	}
	for p := range 65536 {
		s.conns[uint16(p)] = &Conn{}
	}
	if _, err := s.portLocked(); !errors.Is(err, ErrNoPort) {
		t.Fatalf("want ErrNoPort, got %v", err)
	}
}

// TestDialSmall asserts that a small connection offers a small window from the start,
// holds the phone to it, and queues no more than its ring for a phone that takes nothing.
func TestDialSmall(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		dialed := make(chan *Conn, 1)
		go func() {
			c, err := b.s.DialSmall(context.Background(), 62078)
			if err != nil {
				t.Error(err)
			}
			dialed <- c
		}()
		syn, _, err := decodeSegment(b.recv()[longHeaderLen:])
		if err != nil || syn.window != smallWindow {
			t.Fatalf("want a SYN with a window of %d, got %+v, %v", smallWindow, syn, err)
		}
		go b.swallow()
		b.sendSegment(62078, 1, 0, 1, flagSYN|flagACK, 0, "")
		c := <-dialed
		c.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := c.Write(make([]byte, sendRing))
		if n != smallSendRing || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the phone takes nothing: want %d bytes queued, got %d, %v", smallSendRing, n, err)
		}
		b.sendSegment(62078, 1, 1, 1, flagACK, 0, strings.Repeat("x", smallWindow))
		if got := readString(t, c, smallWindow); strings.Trim(got, "x") != "" {
			t.Error("not what the phone has sent")
		}
		b.sendSegment(62078, 1, 1+smallWindow, 1, flagACK, 0, strings.Repeat("x", smallWindow+1))
		synctest.Wait()
		if err := c.Err(); !errors.Is(err, ErrProtocol) {
			t.Errorf("want ErrProtocol for a byte beyond the window, got %v", err)
		}
	})
}

// BeforeWait's function is called before the first wait for the phone, and not again.
func TestBeforeWait(t *testing.T) {
	play(t, Config{}, func(b *bench) {
		c := b.dial(1, 1024)
		var calls atomic.Int32
		c.BeforeWait(func() { calls.Add(1) })
		if _, err := c.Write(make([]byte, 1024)); err != nil || calls.Load() != 0 {
			t.Fatalf("%d calls (%v) for what goes at once, want none", calls.Load(), err)
		}
		go c.Write(make([]byte, 4*sendRing)) // ends with the session
		for acked := uint32(1); acked < 2*sendRing; {
			acked += uint32(len(b.wantSegment(1, 62078, acked, 1, flagACK)))
			synctest.Wait()
			if n := calls.Load(); n != 1 {
				t.Fatalf("%d calls while the phone is waited for, want 1", n)
			}
			b.sendSegment(62078, 1, 1, acked, flagACK, 1024, "")
		}
		go b.swallow()
	})
}
