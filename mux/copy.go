package mux

import (
	"errors"
	"io"
	"net"
	"syscall"
	"unsafe"
)

// Forward has the session's reader write to w what the phone sends, if w is a socket
// and as long as it takes all: a silent connection needs no goroutine. When something
// is left over, or no more will come, rest is called once, in a goroutine of its own,
// to go on with WriteTo(w). stop prevents the call and ends the writing; it reports
// false if rest has been called. Nobody else may read, or write to w, meanwhile.
func (c *Conn) Forward(w io.Writer, rest func()) (stop func() bool) {
	var k *sink
	if sc, ok := w.(socket); ok {
		if raw, err := sc.SyscallConn(); err == nil { // else WriteTo says why not
			k = newSink(raw)
		}
	}
	c.s.mu.Lock()
	c.sink = k
	c.rest.Store(&rest) // before the look at what has come already
	late := c.rx.n > 0 || c.closed || c.tcb.err != nil || c.tcb.fin || c.tcb.drop
	c.s.mu.Unlock()
	if late {
		c.wakeReader()
	}
	return c.stopForward
}

func (c *Conn) stopForward() bool {
	if c.rest.Swap(nil) == nil {
		return false
	}
	c.readMu.Lock()
	defer c.readMu.Unlock()
	c.takeSink()
	return true
}

// WriteTo copies what the phone sends to w until the phone ends the connection.
// What w has taken is acknowledged to the phone. There is no buffer between the
// receive ring and w; if w is a socket, the session's reader writes to it as long
// as it takes all, and neither the ring nor this goroutine has a part in it. The
// number of bytes returned counts those, too, and what Forward has written. Nobody
// else may write to w meanwhile.
func (c *Conn) WriteTo(w io.Writer) (total int64, err error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if sc, ok := w.(socket); ok {
		raw, err := sc.SyscallConn()
		if err != nil {
			return 0, err
		}
		k := c.lendSink(raw)
		defer func() {
			c.takeSink()
			total += k.total // the reader's no more
		}()
	}
	for {
		// In steps of a quarter of the window, so that the phone hears of progress
		// even if a slow writer takes the ring's contents in one long call.
		chunk, err := c.peek(c.rx.pool.size / 4)
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

// socket is what may be read and written by its descriptor, past Go's scheduler: that
// never waits. (A file's may.)
type socket interface {
	net.Conn
	syscall.Conn
}

// sink writes to a descriptor as much as it takes.
type sink struct {
	raw     syscall.RawConn
	writeFD func(fd uintptr) // writeNow, made once

	b     []byte
	n     int
	total int64 // guarded by Session.mu
}

func newSink(raw syscall.RawConn) *sink {
	k := &sink{raw: raw}
	k.writeFD = k.writeNow
	return k
}

// lendSink returns the sink that the reader writes to: Forward's, or a new one.
func (c *Conn) lendSink(raw syscall.RawConn) *sink {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.sink == nil {
		c.sink = newSink(raw)
	}
	return c.sink
}

// takeSink takes the sink from the session's reader, and waits if that is at it. The
// caller holds readMu.
func (c *Conn) takeSink() {
	for {
		c.s.mu.Lock()
		c.sink = nil
		handing := c.handing
		c.s.mu.Unlock()
		if !handing {
			return
		}
		<-c.readable
	}
}

// write never waits, not even for another writer, hence Control. An error is nothing
// taken: WriteTo meets it, too.
func (k *sink) write(b []byte) int {
	k.b, k.n = b, 0
	_ = k.raw.Control(k.writeFD)
	k.b = nil
	return k.n
}

func (k *sink) writeNow(fd uintptr) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(k.b))), uintptr(len(k.b)))
	if errno == 0 {
		k.n = int(n)
	}
}

// ReadFrom copies from r to the phone until r ends. It reads straight into the
// send ring. If r is a socket, it takes room in the ring only when r has
// data, so a connection whose client is silent holds no buffer.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if sc, ok := r.(socket); ok {
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

	total int64
	end   bool
	err   error
}

func (p *pull) copy() (int64, error) {
	for !p.end {
		// Wait for room first: a callback of the poller must not wait.
		if err := p.c.waitRoom(); err != nil {
			return p.total, err
		}
		if err := p.raw.Read(p.ready); err != nil {
			return p.total, err
		}
	}
	return p.total, p.err
}

// readReady reads as long as the descriptor has data and the send ring room. It
// returns false to be called again when there is more. A read that does not fill its
// room is no sign that there is no more: the end may follow it, of which the poller
// has told already.
func (p *pull) readReady(fd uintptr) bool {
	defer p.c.s.kick()
	for {
		room, err := p.c.tryReserve()
		switch {
		case err != nil:
			p.end, p.err = true, err
			return true
		case room == nil:
			return true
		}
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(room))), uintptr(len(room)))
		if errno != 0 {
			n = 0
		}
		p.c.queue(int(n))
		p.total += int64(n)
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			return false
		case errno != 0:
			p.end, p.err = true, errno
			return true
		case n == 0:
			p.end = true
			return true
		}
	}
}
