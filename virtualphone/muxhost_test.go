package virtualphone

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// muxHost is a small, proper host over a pipe: enough of one to talk to services.
type muxHost struct {
	t    testing.TB
	pipe io.ReadWriteCloser
	done chan struct{}

	mu    sync.Mutex // guards all below and the conns
	tx    uint16
	port  uint16
	conns map[uint16]*hostConn
	err   error
	ready bool
	up    sync.Cond

	controls []string // CONTROL texts
}

// hostConn is the host's end of a connection.
type hostConn struct {
	h            *muxHost
	sport, dport uint16
	cond         sync.Cond
	in           []byte
	seq, acked   uint32 // ours: next to send, latest ack of the phone
	window       uint32
	got          uint32 // next seq of the phone
	open         bool
	reset        bool
	resetText    string
	closed       bool
}

var errRefused = errors.New("refused")

// dialPhone greets the phone over a new pipe.
func dialPhone(t testing.TB, c *Cable) *muxHost {
	t.Helper()
	h := &muxHost{t: t, pipe: c.Pipe(), done: make(chan struct{}), conns: map[uint16]*hostConn{}}
	h.up.L = &h.mu
	if _, err := h.pipe.Write(unhex(t, "00000000 00000014 00000002 00000000 00000000")); err != nil {
		t.Fatal(err)
	}
	go h.read()
	t.Cleanup(h.close)
	h.mu.Lock()
	defer h.mu.Unlock()
	for !h.ready && h.err == nil {
		h.up.Wait()
	}
	if h.err != nil {
		t.Fatal(h.err)
	}
	h.packetLocked(2, []byte{7})
	return h
}

func (h *muxHost) close() {
	h.pipe.Close()
	<-h.done
}

func (h *muxHost) packetLocked(proto uint32, body []byte) error {
	b := make([]byte, 16, 16+len(body))
	binary.BigEndian.PutUint32(b, proto)
	binary.BigEndian.PutUint32(b[4:], uint32(16+len(body)))
	binary.BigEndian.PutUint32(b[8:], 0xfeedface)
	binary.BigEndian.PutUint16(b[12:], h.tx)
	h.tx++
	_, err := h.pipe.Write(append(b, body...))
	return err
}

func (h *muxHost) read() {
	defer close(h.done)
	var buf []byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := h.pipe.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for err == nil && len(buf) >= 8 && len(buf) >= int(binary.BigEndian.Uint32(buf[4:])) {
			size := int(binary.BigEndian.Uint32(buf[4:]))
			h.packet(buf[:size])
			buf = buf[size:]
		}
		if err != nil {
			h.fail(err)
			return
		}
	}
}

func (h *muxHost) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
	h.up.Broadcast()
	for _, c := range h.conns {
		c.cond.Broadcast()
	}
}

func (h *muxHost) packet(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch binary.BigEndian.Uint32(b) {
	case 0:
		h.ready = true
		h.up.Broadcast()
	case 1:
		h.controls = append(h.controls, string(b[17:]))
		h.up.Broadcast()
	case 6:
		if h.ready {
			h.segmentLocked(parseReply(h.t, b))
		}
	}
}

func (h *muxHost) segmentLocked(r reply) {
	c := h.conns[r.dport]
	if c == nil || c.dport != r.sport {
		if r.flags&4 == 0 {
			h.packetLocked(6, tcpBytes(r.dport, r.sport, 0, r.seq, 4, 0, ""))
		}
		return
	}
	defer c.cond.Broadcast()
	if r.flags&4 != 0 {
		c.reset, c.resetText = true, r.payload
		delete(h.conns, r.dport)
		return
	}
	c.acked, c.window = r.ack, uint32(r.window)<<8
	if r.flags == 0x12 {
		c.open = true
		c.got = 1
		c.sendLocked("")
		return
	}
	if r.seq != c.got {
		h.t.Errorf("phone sent seq %d, expected %d", r.seq, c.got)
	}
	c.got += uint32(len(r.payload))
	c.in = append(c.in, r.payload...)
}

func (c *hostConn) sendLocked(payload string) error {
	ack := c.got - uint32(len(c.in))
	seq := c.seq
	c.seq += uint32(len(payload))
	return c.h.packetLocked(6, tcpBytes(c.sport, c.dport, seq, ack, 0x10, 512, payload))
}

func (h *muxHost) dial(port uint16) (*hostConn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.port++
	c := &hostConn{h: h, sport: h.port, dport: port, seq: 1}
	c.cond.L = &h.mu
	h.conns[c.sport] = c
	if err := h.packetLocked(6, tcpBytes(c.sport, port, 0, 0, 2, 512, "")); err != nil {
		return nil, err
	}
	for !c.open && !c.reset && h.err == nil {
		c.cond.Wait()
	}
	switch {
	case h.err != nil:
		return nil, h.err
	case c.reset:
		return nil, errRefused
	}
	return c, nil
}

func (h *muxHost) mustDial(port uint16) *hostConn {
	h.t.Helper()
	c, err := h.dial(port)
	if err != nil {
		h.t.Fatalf("dial port %d: %v", port, err)
	}
	return c
}

func (c *hostConn) Read(b []byte) (int, error) {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case len(c.in) > 0:
			n := copy(b, c.in)
			c.in = c.in[n:]
			if !c.reset && c.h.err == nil {
				c.sendLocked("")
			}
			return n, nil
		case c.reset:
			return 0, io.EOF
		case c.h.err != nil:
			return 0, c.h.err
		}
		c.cond.Wait()
	}
}

func (c *hostConn) Write(b []byte) (int, error) {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	total := 0
	for len(b) > 0 {
		switch {
		case c.closed:
			return total, net.ErrClosed
		case c.reset:
			return total, io.ErrClosedPipe
		case c.h.err != nil:
			return total, c.h.err
		}
		n := min(len(b), int(c.window)-int(c.seq-c.acked), 49116)
		if n <= 0 {
			c.cond.Wait()
			continue
		}
		if err := c.sendLocked(string(b[:n])); err != nil {
			return total, err
		}
		b, total = b[n:], total+n
	}
	return total, nil
}

func (c *hostConn) Close() error {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.cond.Broadcast()
	if c.h.conns[c.sport] == c {
		delete(c.h.conns, c.sport)
		c.h.packetLocked(6, tcpBytes(c.sport, c.dport, c.seq, c.got-uint32(len(c.in)), 4, 512, ""))
	}
	return nil
}

func (c *hostConn) LocalAddr() net.Addr              { return Addr(c.sport) }
func (c *hostConn) RemoteAddr() net.Addr             { return Addr(c.dport) }
func (c *hostConn) SetDeadline(time.Time) error      { return nil }
func (c *hostConn) SetReadDeadline(time.Time) error  { return nil }
func (c *hostConn) SetWriteDeadline(time.Time) error { return nil }
