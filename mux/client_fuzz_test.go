package mux

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomuxd/mux/muxtest"
)

// pattern is n bytes of a stream from an offset on.
func pattern(at uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		x := at + uint32(i)
		b[i] = byte(x ^ x>>8 ^ x>>16)
	}
	return b
}

// honest is a phone with one connection, which checks all that the host sends.
type honest struct {
	b      *bench
	window uint32 // that the host has advertised

	mu       sync.Mutex // guards all below, and b.tx
	seq      uint32     // next to send
	acked    uint32     // by the host
	rcv      uint32     // next expected from the host
	acks     bool       // acknowledges at once
	reset    bool       // by the host
	progress chan struct{}
}

// run receives until the session's end.
func (h *honest) run() {
	for {
		packet, ok := h.b.phone.Recv()
		if !ok {
			return
		}
		g, payload, err := decodeSegment(packet[longHeaderLen:])
		if err != nil {
			h.b.t.Error(err)
			return
		}
		h.mu.Lock()
		if g.flags&flagRST != 0 {
			h.reset = true
		} else {
			if g.seq != h.rcv || !bytes.Equal(payload, pattern(g.seq, len(payload))) {
				h.b.t.Errorf("segment %d of %d bytes, expected %d", g.seq, len(payload), h.rcv)
			}
			if int32(g.ack-h.acked) < 0 || int32(g.ack-h.seq) > 0 {
				h.b.t.Errorf("ack %d after %d, sent up to %d", g.ack, h.acked, h.seq)
			}
			h.rcv += uint32(len(payload))
			h.acked = g.ack
		}
		acks := h.acks && len(payload) > 0
		h.mu.Unlock()
		notify(h.progress)
		if acks {
			h.send(0, 0, 0)
		}
	}
}

// send sends segments of n bytes with flags in one transfer, or in two if cut is not
// 0, as far as the window allows.
func (h *honest) send(flags uint8, cut int, sizes ...int) {
	h.mu.Lock()
	var all []byte
	for _, n := range sizes {
		if h.seq-h.acked+uint32(n) > h.window {
			break
		}
		g := segment{src: 62078, dst: 1, seq: h.seq, ack: h.rcv, flags: flagACK | flags, window: window}
		if flags == flagRST {
			g.flags = flagRST
		}
		all = append(all, h.b.packet(g, pattern(h.seq, n))...)
		h.seq += uint32(n)
		if flags&flagFIN != 0 {
			h.seq++
		}
	}
	h.mu.Unlock()
	if cut > 0 && cut < len(all) {
		h.b.phone.Send(all[:cut])
		all = all[cut:]
	}
	if len(all) > 0 {
		h.b.phone.Send(all)
	}
}

// await waits until the host has sent something that makes ok true.
func (h *honest) await(ok func() bool) {
	for {
		h.mu.Lock()
		done := ok()
		h.mu.Unlock()
		if done {
			return
		}
		<-h.progress
	}
}

// try does a read or a write on a socket as far as it goes without waiting.
func try(c *net.UnixConn, op func(int, []byte) (int, error), b []byte) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { n, _ = op(int(fd), b) })
	return max(n, 0)
}

// FuzzClient plays the phone and the client of one connection by a script, over a pipe
// that lends: whatever each does when, the other gets all of it, in order, and nothing
// else. Two bytes of the script say how many transfers there are, whether the copy to
// the client begins without a goroutine and the connection is small, and how it ends, and
// each two that follow are a step.
func FuzzClient(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x10\x01\x10\x02\x20\x04\x00\x03\x99\x05\x40\x00\xff\x06\x00\x00\xff\x01\xff\x02\xff\x02\xff"))
	f.Add([]byte("\x01\x01\x00\xff\x00\xff\x00\xff\x06\x00\x01\x03\x00\xff\x06\x00\x01\xff\x01\xff\x00\x01\x00\x02"))
	f.Add([]byte("\x03\x02\x02\xff\x02\xff\x02\xff\x04\x00\x02\xff\x00\x80\x03\x20\x03\x01\x03\xff\x06\x01"))
	f.Add([]byte("\x02\x03\x02\xff\x02\xff\x00\xff\x01\xff\x02\x01\x04\x00\x02\x10\x00\x01"))
	f.Add([]byte("\x04\x00\x00\x10\x01\x10\x02\x20\x04\x00\x03\x99\x05\x40\x00\xff\x06\x00\x00\xff\x01\xff\x02\xff\x02\xff"))
	f.Add([]byte("\x05\x03\x00\x10\x01\x10"))
	f.Add([]byte("\x0c\x00\x00\x10\x00\x40\x01\xff\x02\xff\x02\xff\x02\xff\x03\x20\x06\x00\x00\x40\x01\xff"))
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 2 || len(script) > 256 {
			return
		}
		pipe, phone := muxtest.LendingPipe(1 + int(script[0]%4))
		b := meet(t, pipe, phone, Config{Linger: time.Minute})
		dial, win := b.s.Dial, uint32(window)
		if script[0]&8 != 0 {
			dial, win = b.s.DialSmall, smallWindow
		}
		c := b.dialBy(dial, 1, window)
		near, far := sockets(t)
		near.SetWriteBuffer(4096)
		h := &honest{b: b, window: win, seq: 1, acked: 1, rcv: 1, progress: make(chan struct{}, 1)}
		var wg sync.WaitGroup
		defer wg.Wait()
		defer b.s.Close()
		wg.Go(h.run)

		var down int64
		copied := make(chan struct{})
		rest := func() {
			defer close(copied)
			for {
				n, err := c.WriteTo(near)
				down += n
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				c.SetReadDeadline(time.Time{})
			}
			near.CloseWrite()
		}
		if script[0]&4 == 0 {
			wg.Go(rest)
		} else {
			c.Forward(near, rest)
		}
		read := make(chan struct{})
		wg.Go(func() {
			defer close(read)
			c.ReadFrom(near) // it fails if the client leaves something unread
		})

		var got []byte       // by the client
		written := uint32(1) // by the client, and the phone's first number
		buf := make([]byte, 64<<10)
		for step := script[2:]; len(step) >= 2; step = step[2:] {
			n := int(step[1])
			switch step[0] % 7 {
			case 0:
				h.send(0, 0, 1+n*120)
			case 1:
				got = append(got, buf[:try(far, syscall.Read, buf[:1+n*120])]...)
			case 2:
				written += uint32(try(far, syscall.Write, pattern(written, 1+n*120)))
			case 3:
				h.send(0, 1+n, 1+n*7, 300)
			case 4:
				h.send(0, 0, 0)
			case 5:
				h.send(0, 0, n, n+1, 1, n*2)
			case 6:
				c.SetReadDeadline(time.Unix(1, 0))
			}
		}

		h.mu.Lock()
		h.acks = true
		h.mu.Unlock()
		h.send(0, 0, 0)
		if script[1]%4 == 3 { // the client closes
			far.Close()
			h.send(0, 0, 1000) // which nobody takes
			<-read
			c.Close()
			h.await(func() bool { return h.reset })
			<-copied
			if h.mu.Lock(); h.rcv != written {
				t.Errorf("the phone got %d of %d bytes", h.rcv-1, written-1)
			}
			h.mu.Unlock()
			return
		}
		h.await(func() bool { return h.rcv == written })
		h.mu.Lock()
		all := int(h.seq - 1)
		h.mu.Unlock()
		switch script[1] % 4 {
		case 0:
			h.send(flagFIN, 0, 0)
		case 1:
			h.send(flagRST, 0, 0)
		case 2:
			phone.Unplug()
		}
		last, err := io.ReadAll(far)
		if got = append(got, last...); err != nil || !bytes.Equal(got, pattern(1, all)) {
			t.Errorf("the client got %d bytes of %d, %v", len(got), all, err)
		}
		<-copied
		if down != int64(all) {
			t.Errorf("WriteTo = %d, want %d", down, all)
		}
		if script[1]%4 == 0 {
			h.await(func() bool { return h.acked == h.seq })
		}
		far.Close()
		<-read
		b.s.mu.Lock()
		if c.rx.buf != nil || c.tx.buf != nil {
			t.Error("an idle connection holds memory")
		}
		b.s.mu.Unlock()
		c.Close()
	})
}
