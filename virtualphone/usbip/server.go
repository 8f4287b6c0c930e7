package usbip

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"gomuxd/virtualphone"
)

// transfer is one request without an answer yet.
type transfer struct {
	request
	data []byte // of an OUT transfer that waits
}

// server is one plugged period over one socket.
type server struct {
	g     *Gadget
	cable *virtualphone.Cable
	conn  net.Conn

	// mu guards all below and the frames going out: an unlink's answer must not
	// overtake the answer of the request it came too late for, or the kernel
	// takes the second one for a broken device. The kernel reads all the time,
	// so that holding mu while writing does not hold up anything for long.
	mu      sync.Mutex
	pending map[uint32]*transfer
	ins     []*transfer // of usbmux, in turn
	frame   [frameSize]byte
	in      []byte // where IN transfers are made, behind room for a frame
	inErr   error  // ended them

	pumping sync.Mutex  // held by who carries out IN transfers; taken before mu
	again   atomic.Bool // there may be more to carry out

	outMu   sync.Mutex  // keeps OUT transfers in turn; guards the next two; taken before mu
	outs    []*transfer // of usbmux, held up by a NAK
	outSize int         // bytes in outs
}

// maxHeld bounds the data of OUT requests that wait, in bytes.
const maxHeld = 32 << 20

// Serve is the device on one stream socket, for one plugged period of its
// phone, until ctx ends, the host closes the socket (nil), the phone is
// unplugged (virtualphone.ErrUnplugged) or the host has switched the USB mode
// (ErrModeSwitch). It closes conn and waits for all it has started.
func (g *Gadget) Serve(ctx context.Context, conn net.Conn, cable *virtualphone.Cable) error {
	s := &server{g: g, cable: cable, conn: conn, pending: make(map[uint32]*transfer), in: make([]byte, frameSize+64<<10)}
	if err := g.begin(s); err != nil {
		conn.Close()
		return err
	}
	defer g.end()
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	defer unhook()
	cable.OnIn(s.pump)
	err := s.read()
	cable.OnIn(nil)
	conn.Close()
	s.pumping.Lock() // for good: nobody is at it any more
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrModeSwitch):
		return err
	case s.inErr != nil:
		return s.inErr
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// read takes the host's frames, one after the other.
func (s *server) read() error {
	in := bufio.NewReaderSize(s.conn, 64<<10)
	var (
		head [frameSize]byte
		data []byte
	)
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		command, r, err := parseFrame(&head)
		if err != nil {
			return err
		}
		if command == commandUnlink {
			if err := s.unlink(&r); err != nil {
				return err
			}
			continue
		}
		size := r.packets * isoSize
		if !r.in {
			size += r.length
		}
		if cap(data) < size {
			data = make([]byte, size)
		}
		if _, err := io.ReadFull(in, data[:size]); err != nil {
			return fmt.Errorf("%w: request of %d bytes: %w", ErrProtocol, size, noEOF(err))
		}
		if err := s.submit(&r, data[:size]); err != nil {
			return err
		}
	}
}

// noEOF keeps a cut frame from looking like an orderly end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// submit takes one request. data, what comes with it, is valid until it returns.
func (s *server) submit(r *request, data []byte) error {
	switch {
	case r.endpoint == 0:
		return s.submitControl(r, data)
	case r.in && r.endpoint|0x80 == muxIn && s.hasMux():
		_, err := s.hold(r, nil, true)
		s.pump()
		return err
	case !r.in && r.endpoint == muxOut && s.hasMux():
		return s.submitOut(r, data)
	case !s.has(r):
		return s.answer(r, statusStall, nil, 0)
	case r.in:
		_, err := s.hold(r, nil, false) // until unlinked: nobody has anything to say there
		return err
	}
	return s.answer(r, statusOK, isoDone(r, data), r.length)
}

func (s *server) hasMux() bool {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	return s.g.muxLocked()
}

func (s *server) has(r *request) bool {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	address := r.endpoint
	if r.in {
		address |= 0x80
	}
	return s.g.hasLocked(address)
}

// isoDone is the packets' descriptors of a finished isochronous request: all
// was taken.
func isoDone(r *request, data []byte) []byte {
	if r.packets == 0 {
		return nil
	}
	iso := data[r.length:]
	for i := range r.packets {
		d := iso[i*isoSize:]
		copy(d[8:12], d[4:8]) // actual length
		clear(d[12:16])       // status
	}
	return iso
}

func (s *server) submitControl(r *request, data []byte) error {
	q := parseSetup(r.setup)
	if q.isVendor() && s.g.Faults().SilentControl {
		_, err := s.hold(r, nil, false)
		return err
	}
	before := s.g.Configuration()
	b, ok := s.g.control(q)
	if !ok {
		return s.answer(r, statusStall, nil, 0)
	}
	if q.kind&0x60 == 0 && q.request == setConfiguration {
		// What was cut half-way by the old configuration's end is lost. USB/IP does not
		// carry bus resets, but the kernel gives the device its configuration back
		// after one.
		if before != 0 && int(q.value&0xff) == before {
			_ = s.cable.Reset() // or it is unplugged, which is seen elsewhere
		}
		s.cable.Pipe().Close()
	}
	if r.in {
		b = b[:min(len(b), r.length, int(q.length))]
		if err := s.answer(r, statusOK, b, len(b)); err != nil {
			return err
		}
	} else if err := s.answer(r, statusOK, nil, r.length); err != nil {
		return err
	}
	if q.isVendor() && q.request == setMode && s.g.switchMode() {
		return ErrModeSwitch
	}
	return nil
}

// hold keeps a request until there is an answer to it, queued as an IN transfer
// of usbmux or not.
func (s *server) hold(r *request, data []byte, in bool) (*transfer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) >= maxPending {
		return nil, fmt.Errorf("%w: more than %d requests at once", ErrProtocol, maxPending)
	}
	if s.pending[r.seq] != nil {
		return nil, fmt.Errorf("%w: two requests with number %d", ErrProtocol, r.seq)
	}
	t := &transfer{request: *r, data: data}
	s.pending[r.seq] = t
	if in {
		s.ins = append(s.ins, t)
	}
	return t, nil
}

// answer sends the answer to a request that was never pending.
func (s *server) answer(r *request, status int32, data []byte, actual int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answerLocked(r, status, data, actual)
}

func (s *server) answerLocked(r *request, status int32, data []byte, actual int) error {
	putSubmitted(s.frame[:], r, status, actual)
	if len(data) == 0 {
		_, err := s.conn.Write(s.frame[:])
		return err
	}
	_, err := s.conn.Write(append(s.frame[:frameSize:frameSize], data...))
	return err
}

// unlink takes back a request that is pending still.
func (s *server) unlink(r *request) error {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.pending[r.unlinkSeq]
	status := int32(statusUnlinked)
	if t == nil {
		status = statusOK // it was too late
	} else {
		delete(s.pending, t.seq)
		s.ins = without(s.ins, t)
		s.outs = without(s.outs, t)
		s.outSize -= len(t.data)
	}
	putUnlinked(s.frame[:], r.seq, status)
	_, err := s.conn.Write(s.frame[:])
	return err
}

func without(queue []*transfer, t *transfer) []*transfer {
	for i, q := range queue {
		if q == t {
			return append(queue[:i], queue[i+1:]...)
		}
	}
	return queue
}
