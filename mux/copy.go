package mux

import (
	"errors"
	"io"
	"syscall"
)

// writeChunk is how many bytes WriteTo hands over at once, so that the phone
// hears of progress in steps of a quarter of the window even if a slow writer
// takes the ring's contents in one long call.
const writeChunk = window / 4

// WriteTo copies what the phone sends to w until the phone ends the connection.
// What w has taken is acknowledged to the phone. There is no buffer between the
// receive ring and w.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	var total int64
	for {
		chunk, err := c.peek(writeChunk)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return total, err
		}
		n, err := w.Write(chunk)
		c.discard(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// ReadFrom copies from r to the phone until r ends. It reads straight into the
// send ring. If r has a descriptor, it takes room in the ring only when r has
// data, so a connection whose client is silent holds no buffer.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if sc, ok := r.(syscall.Conn); ok {
		raw, err := sc.SyscallConn()
		if err != nil {
			return 0, err
		}
		p := &pull{c: c, raw: raw}
		p.ready = p.readReady
		return p.copy()
	}
	var total int64
	for {
		room, err := c.reserve()
		if err != nil {
			return total, err
		}
		n, err := r.Read(room)
		c.commit(n)
		total += int64(n)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return total, err
		}
	}
}

// pull copies from a descriptor to a Conn.
type pull struct {
	c     *Conn
	raw   syscall.RawConn
	ready func(fd uintptr) bool // readReady, made once

	n   int
	err error
}

func (p *pull) copy() (int64, error) {
	var total int64
	for {
		// Wait for room first: a callback of the poller must not wait.
		if err := p.c.waitRoom(); err != nil {
			return total, err
		}
		p.n, p.err = 0, nil
		if err := p.raw.Read(p.ready); err != nil {
			return total, err
		}
		total += int64(p.n)
		if p.err != nil || p.n == 0 {
			return total, p.err
		}
	}
}

// readReady reads once if the descriptor has data. It returns false to be called
// again when it has.
func (p *pull) readReady(fd uintptr) bool {
	room, err := p.c.tryReserve()
	if err != nil {
		p.err = err
		return true
	}
	if room == nil {
		panic("mux: send ring filled by a second producer")
	}
	n, err := syscall.Read(int(fd), room)
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Read(int(fd), room)
	}
	p.c.commit(max(n, 0))
	if errors.Is(err, syscall.EAGAIN) {
		return false
	}
	p.n, p.err = max(n, 0), err
	return true
}
