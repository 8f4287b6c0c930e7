package service

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// maxHandles is how many files one AFC connection may have open.
const maxHandles = 256

// AFC serves com.apple.afc over fs: the packets of afc_packet.go, answered one after
// the other. A packet that asks for what it cannot have is answered with a status; one
// whose header makes no sense is answered and ends the connection. Handles belong to
// the connection and are closed with it. A connection's buffers stay below 520 KiB,
// however large its reads and writes; a directory listing takes what it needs while it
// is sent.
func AFC(fs *FS) Handler {
	return func(ctx context.Context, c net.Conn) {
		defer bind(ctx, c)()
		s := newAFCSession(fs, c, c)
		defer s.close()
		// The host has been told, or is gone.
		_ = s.serve()
	}
}

// afcSession is one AFC connection. It belongs to one goroutine.
type afcSession struct {
	fs      *FS
	r       *bufio.Reader
	w       io.Writer
	handles map[uint64]*handle
	next    uint64 // number of the next handle
	in, out []byte // scratch, grown as needed up to bulkBuffer
}

func newAFCSession(fs *FS, r io.Reader, w io.Writer) *afcSession {
	return &afcSession{fs: fs, r: bufio.NewReaderSize(r, 4<<10), w: w, handles: make(map[uint64]*handle), next: 1}
}

// close closes the session's handles.
func (s *afcSession) close() {
	for _, h := range s.handles {
		h.close()
	}
	clear(s.handles)
}

// serve answers packets until the connection ends, which is an error in any case.
func (s *afcSession) serve() error {
	for {
		var head [afcHeader]byte
		if _, err := io.ReadFull(s.r, head[:]); err != nil {
			return err
		}
		p, err := parsePacket(&head)
		if err != nil {
			return errors.Join(err, s.answerStatus(p, statusHeaderInvalid))
		}
		if err := s.handle(p); err != nil {
			return err
		}
	}
}

// handle reads the rest of p, carries it out and answers it. Its error is one of the
// connection.
func (s *afcSession) handle(p packet) error {
	n := p.entire - afcHeader
	if p.op == opFileWrite {
		return s.write(p, n)
	}
	if n > maxArgs {
		if _, err := io.CopyN(io.Discard, s.r, int64(n)); err != nil {
			return err
		}
		return s.answerStatus(p, statusTooMuchData)
	}
	s.in = sized(s.in, int(n))
	if _, err := io.ReadFull(s.r, s.in); err != nil {
		return err
	}
	return s.carryOut(p, &args{b: s.in})
}

// write stores the n bytes that follow the header of p, piece by piece. What does not
// fit is read and dropped, so that the next packet is found.
func (s *afcSession) write(p packet, n uint64) error {
	if n < 8 {
		if _, err := s.r.Discard(int(n)); err != nil {
			return err
		}
		return s.answerStatus(p, statusInvalidArg)
	}
	var num [8]byte
	if _, err := io.ReadFull(s.r, num[:]); err != nil {
		return err
	}
	n -= 8
	st := statusOK
	h := s.handles[binary.LittleEndian.Uint64(num[:])]
	switch {
	case h == nil:
		st = statusInvalidArg
	case !h.writable():
		st = statusPermDenied
	}
	for n > 0 {
		s.in = sized(s.in, int(min(n, bulkBuffer)))
		got, err := s.r.Read(s.in)
		if got > 0 && st == statusOK {
			st = h.write(s.in[:got])
		}
		if n -= uint64(got); err != nil && n > 0 {
			return err
		}
	}
	return s.answerStatus(p, st)
}

// read answers p with up to n bytes of h. The answer's length is fixed before its
// first byte leaves; should another connection cut the file meanwhile, zeros fill up.
func (s *afcSession) read(p packet, h *handle, n uint64) error {
	n = min(n, h.left())
	s.out = packet{entire: afcHeader + n, this: afcHeader, number: p.number, op: opData}.append(s.out[:0])
	for room := uint64(bulkBuffer - afcHeader); ; room = bulkBuffer {
		head := len(s.out)
		piece := int(min(n, room))
		s.out = sized(s.out, head+piece)
		clear(s.out[head+h.read(s.out[head:]):])
		if _, err := s.w.Write(s.out); err != nil {
			return err
		}
		if n -= uint64(piece); n == 0 {
			return nil
		}
		s.out = s.out[:0]
	}
}

// answerStatus answers p with st.
func (s *afcSession) answerStatus(p packet, st status) error {
	return s.answerNum(p, opStatus, uint64(st))
}

// answerNum answers p with an operation that has a number.
func (s *afcSession) answerNum(p packet, op operation, n uint64) error {
	const size = afcHeader + 8
	s.out = packet{entire: size, this: size, number: p.number, op: op}.append(s.out[:0])
	s.out = binary.LittleEndian.AppendUint64(s.out, n)
	_, err := s.w.Write(s.out)
	return err
}

// answerList answers p with strings, each ended by a NUL.
func (s *afcSession) answerList(p packet, list []string) error {
	n := 0
	for _, e := range list {
		n += len(e) + 1
	}
	b := make([]byte, 0, afcHeader+n)
	b = packet{entire: afcHeader + uint64(n), this: afcHeader, number: p.number, op: opData}.append(b)
	for _, e := range list {
		b = append(append(b, e...), 0)
	}
	_, err := s.w.Write(b)
	return err
}

// sized returns b with length n; what it held up to the shorter length is kept.
func sized(b []byte, n int) []byte {
	if n <= cap(b) {
		return b[:n]
	}
	grown := make([]byte, n)
	copy(grown, b)
	return grown
}
