package usbip_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// result is how a request of the host ended.
type result struct {
	status   int32
	actual   int
	data     []byte
	unlinked bool // the answer to its unlink came instead
}

// host plays the kernel's part of the protocol: numbers, requests, answers.
type host struct {
	conn net.Conn
	done chan struct{} // closed when its reader has ended

	served chan struct{} // closed when the device has ended, of plug

	mu      sync.Mutex // guards all below and writing
	seq     uint32
	waiting map[uint32]*asked
	unlinks map[uint32]uint32 // unlink's number to request's
	late    map[uint32]int    // statuses of unlinks that came too late
	err     error
}

type asked struct {
	in bool
	ch chan result // capacity 1
}

// socketPair is two ends of a stream.
func socketPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		ends[i], err = net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// plug puts a gadget on a host of its own until the end of the test.
func plug(t testing.TB, g *usbip.Gadget) *host {
	t.Helper()
	cable, err := g.Phone().Plug()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := socketPair(t)
	h := newHost(ours)
	var served error
	h.served = make(chan struct{})
	go func() {
		defer close(h.served)
		served = g.Serve(context.Background(), theirs, cable)
	}()
	t.Cleanup(func() {
		h.close()
		<-h.served
		// A late answer may meet the closed connection.
		if err := served; err != nil && !errors.Is(err, virtualphone.ErrUnplugged) && !errors.Is(err, usbip.ErrModeSwitch) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Serve: %v", err)
		}
		cable.Unplug()
	})
	return h
}

func newHost(conn net.Conn) *host {
	h := &host{conn: conn, done: make(chan struct{}), waiting: map[uint32]*asked{}, unlinks: map[uint32]uint32{}, late: map[uint32]int{}}
	go func() { // ends with conn; close waits
		defer close(h.done)
		h.read()
	}()
	return h
}

func (h *host) close() {
	h.conn.Close()
	<-h.done
}

// submit sends a request and returns its number and where its result comes.
func (h *host) submit(in bool, endpoint byte, flags uint32, setup [8]byte, data []byte, length int) (uint32, <-chan result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	b := make([]byte, 48, 48+len(data))
	binary.BigEndian.PutUint32(b, 1)
	binary.BigEndian.PutUint32(b[4:], h.seq)
	binary.BigEndian.PutUint32(b[8:], 0x10002)
	if in {
		b[15] = 1
	}
	b[19] = endpoint
	binary.BigEndian.PutUint32(b[20:], flags)
	binary.BigEndian.PutUint32(b[24:], uint32(length))
	copy(b[40:], setup[:])
	a := &asked{in: in, ch: make(chan result, 1)}
	h.waiting[h.seq] = a
	if _, err := h.conn.Write(append(b, data...)); err != nil || h.err != nil {
		delete(h.waiting, h.seq)
		close(a.ch)
	}
	return h.seq, a.ch
}

func (h *host) bulkIn(endpoint byte, length int) (uint32, <-chan result) {
	return h.submit(true, endpoint, 0, [8]byte{}, nil, length)
}

func (h *host) bulkOut(endpoint byte, flags uint32, data []byte) (uint32, <-chan result) {
	return h.submit(false, endpoint, flags, [8]byte{}, data, len(data))
}

// unlink takes a request back and returns the unlink's own number.
func (h *host) unlink(seq uint32) uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	b := make([]byte, 48)
	binary.BigEndian.PutUint32(b, 2)
	binary.BigEndian.PutUint32(b[4:], h.seq)
	binary.BigEndian.PutUint32(b[20:], seq)
	h.unlinks[h.seq] = seq
	h.conn.Write(b) // a dead conn shows at the reader
	return h.seq
}

// control sends a control request and waits for its end.
func (h *host) control(kind, request byte, value, index uint16, length int) result {
	var s [8]byte
	s[0], s[1] = kind, request
	binary.LittleEndian.PutUint16(s[2:], value)
	binary.LittleEndian.PutUint16(s[4:], index)
	binary.LittleEndian.PutUint16(s[6:], uint16(length))
	_, ch := h.submit(kind&0x80 != 0, 0, 0, s, nil, length)
	return <-ch
}

func (h *host) read() {
	var err error
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.err = err
		for _, a := range h.waiting {
			close(a.ch)
		}
		clear(h.waiting)
	}()
	var b [48]byte
	for {
		if _, err = io.ReadFull(h.conn, b[:]); err != nil {
			return
		}
		command, seq := binary.BigEndian.Uint32(b[:]), binary.BigEndian.Uint32(b[4:])
		status := int32(binary.BigEndian.Uint32(b[20:]))
		actual := int(binary.BigEndian.Uint32(b[24:]))
		h.mu.Lock()
		switch a := h.waiting[seq]; {
		case command == 3 && a != nil:
			delete(h.waiting, seq)
			r := result{status: status, actual: actual}
			if a.in {
				r.data = make([]byte, actual)
				_, err = io.ReadFull(h.conn, r.data)
			}
			a.ch <- r
		case command == 4 && h.unlinks[seq] != 0:
			of := h.unlinks[seq]
			delete(h.unlinks, seq)
			if a := h.waiting[of]; a != nil {
				if status == 0 {
					err = fmt.Errorf("unlink of request %d says too late, and its answer has not come", of)
				}
				delete(h.waiting, of)
				a.ch <- result{status: status, unlinked: true}
			} else {
				h.late[seq] = int(status)
			}
		default:
			err = fmt.Errorf("answer %d to an unknown request %d", command, seq)
		}
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// failed is what the host has against the device, if anything.
func (h *host) failed() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil || errors.Is(h.err, io.EOF) || errors.Is(h.err, net.ErrClosed) || errors.Is(h.err, syscall.ECONNRESET) {
		return nil
	}
	return h.err
}

// pipe is a mux.Pipe over the usbmux endpoints, as a driver would have it.
type pipe struct {
	h      *host
	ins    chan in
	left   []byte
	closed chan struct{}
	once   sync.Once
}

type in struct {
	seq uint32
	ch  <-chan result
}

// claim sets configuration 4 and starts reading.
func claim(t testing.TB, h *host, transfers, size int) *pipe {
	t.Helper()
	if r := h.control(0x00, 9, 4, 0, 0); r.status != 0 {
		t.Fatalf("set configuration: %d", r.status)
	}
	p := &pipe{h: h, ins: make(chan in, transfers), closed: make(chan struct{})}
	for range transfers {
		seq, ch := h.bulkIn(5, size)
		p.ins <- in{seq, ch}
	}
	return p
}

func (p *pipe) Read(b []byte) (int, error) {
	for len(p.left) == 0 {
		i := <-p.ins
		select {
		case r, ok := <-i.ch:
			if !ok || r.status != 0 {
				p.ins <- i
				return 0, fmt.Errorf("bulk in: status %d: %w", r.status, io.ErrUnexpectedEOF)
			}
			p.left = r.data
			seq, ch := p.h.bulkIn(5, 16384)
			p.ins <- in{seq, ch}
		case <-p.closed:
			p.ins <- i
			return 0, net.ErrClosed
		}
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}

func (p *pipe) Write(b []byte) (int, error) {
	flags := uint32(0)
	if len(b)%512 == 0 {
		flags = 0x40
	}
	_, ch := p.h.bulkOut(4, flags, b)
	if r, ok := <-ch; !ok || r.status != 0 || r.actual != len(b) {
		return r.actual, fmt.Errorf("bulk out: status %d: %w", r.status, io.ErrUnexpectedEOF)
	}
	return len(b), nil
}

// Close unlinks all that is pending.
func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}
