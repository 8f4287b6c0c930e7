// Package muxtest offers an in-memory stand-in for the two bulk endpoints of a
// phone, to drive a mux session without USB.
package muxtest

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// ErrUnplugged is what a pipe returns after Phone.Unplug.
var ErrUnplugged = errors.New("muxtest: unplugged")

// Pipe returns the two ends of a cable: the host's, which is a mux.Pipe, and the
// phone's. It uses channels only, so it works in a testing/synctest bubble.
func Pipe() (io.ReadWriteCloser, *Phone) {
	p := &Phone{
		out:    make(chan []byte),
		in:     make(chan []byte),
		closed: make(chan struct{}),
		gone:   make(chan struct{}),
	}
	return &host{p: p}, p
}

// Phone is the phone's end of a pipe.
type Phone struct {
	out, in      chan []byte
	closed, gone chan struct{} // by the host, by Unplug
	free         chan []byte   // memory of a Lender's transfers
	received     atomic.Uint64 // of a Lender: packets
	closeOnce    sync.Once
	goneOnce     sync.Once
}

// Recv waits for the next mux packet that the host writes. It returns false
// when the host has closed its end.
func (p *Phone) Recv() ([]byte, bool) {
	select {
	case b := <-p.out: // also what was on its way when the host closed its end
		return p.taken(b), true
	default:
	}
	select {
	case b := <-p.out:
		return p.taken(b), true
	case <-p.closed:
		return nil, false
	case <-p.gone:
		return nil, false
	}
}

// taken gives a transfer's memory back to the Lender it is of.
func (p *Phone) taken(b []byte) []byte {
	if p.free == nil {
		return b
	}
	p.received.Add(1)
	packet := append([]byte(nil), b...)
	spoil(b)
	p.free <- b[:cap(b)] // has room for all
	return packet
}

// Send gives b to the host in one transfer. It returns false when the host has
// closed its end.
func (p *Phone) Send(b []byte) bool {
	select {
	case p.in <- b:
		return true
	case <-p.closed:
		return false
	case <-p.gone:
		return false
	}
}

// Unplug makes the host's reads and writes fail with ErrUnplugged.
func (p *Phone) Unplug() { p.goneOnce.Do(func() { close(p.gone) }) }

type host struct {
	p    *Phone
	left []byte // of the last transfer
}

func (h *host) Read(b []byte) (int, error) {
	if len(h.left) == 0 {
		if err := h.receive(); err != nil {
			return 0, err
		}
	}
	n := copy(b, h.left)
	h.left = h.left[n:]
	return n, nil
}

// receive waits for a transfer.
func (h *host) receive() error {
	select {
	case h.left = <-h.p.in:
		return nil
	case <-h.p.closed:
		return net.ErrClosed
	case <-h.p.gone:
		return ErrUnplugged
	}
}

func (h *host) Write(b []byte) (int, error) {
	select {
	case h.p.out <- append([]byte(nil), b...):
		return len(b), nil
	case <-h.p.closed:
		return 0, net.ErrClosed
	case <-h.p.gone:
		return 0, ErrUnplugged
	}
}

func (h *host) Close() error {
	h.p.closeOnce.Do(func() { close(h.p.closed) })
	return nil
}
