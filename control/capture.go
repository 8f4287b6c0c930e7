package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// The stream of a capture is one record after another, numbers big-endian:
//
//	 0  4  length of the record, this header included
//	 4  4  length of the mux packet on the wire; 0 in a record without a packet
//	 8  8  time, in nanoseconds since 1970
//	16  4  packets that were dropped before this one: the reader was too slow
//	20  1  1 to the phone, 0 from it
//	21  1  length of the mux header: 8 or 16
//	22  2  0
//	24     the packet, or as much of it as is shown
//
// A record without a packet comes first, when the capture has begun, and after
// silence.
const captureHeader = 24

// maxCaptured is the longest packet in a capture, in bytes. It is the longest that
// package mux takes.
const maxCaptured = 64 << 10

// captureQueue is how many bytes wait for the reader of a capture at most, twice:
// what is being written, and what has come meanwhile.
const captureQueue = 4 << 20

// maxCaptures is how many captures run at the same time: each takes memory.
const maxCaptures = 8

// lockdownPort is where lockdownd listens on every phone, and where pair records go
// by in the clear.
const lockdownPort = 62078

// Packet is one mux packet as it is on the wire.
type Packet struct {
	Time   time.Time
	Out    bool   // to the phone, else from it
	Header int    // length of the mux header in bytes: 8 or 16
	Data   []byte // from the mux header on; valid during the call that it is given to
}

// Captured is one record of a capture.
type Captured struct {
	Packet
	Length  int    // of the packet on the wire; more than len(Data) if it is cut, 0 for none
	Dropped uint32 // packets before it that are missing
	More    bool   // the next record is here already; the reader alone knows
}

// append appends the record to b.
func (c Captured) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(captureHeader+len(c.Data)))
	b = binary.BigEndian.AppendUint32(b, uint32(c.Length))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Time.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, c.Dropped)
	out := byte(0)
	if c.Out {
		out = 1
	}
	b = append(b, out, byte(c.Header), 0, 0)
	return append(b, c.Data...)
}

// errCapture is wrapped if a stream is no capture.
var errCapture = errors.New("not the stream of a capture: use a muxctl and a daemon of the same version")

// readCaptured reads the next record into buf, of captureHeader+maxCaptured bytes,
// which its Data is part of. At the end of the stream the error is io.EOF.
func readCaptured(r io.Reader, buf []byte) (c Captured, err error) {
	head := buf[:captureHeader]
	if _, err := io.ReadFull(r, head); err != nil {
		return c, err
	}
	length, wire := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
	if length < captureHeader || length > captureHeader+maxCaptured || length-captureHeader > wire || wire > maxCaptured || head[20] > 1 || head[22] != 0 || head[23] != 0 {
		return c, fmt.Errorf("%w: a record that begins with %x", errCapture, head)
	}
	c = Captured{
		Packet: Packet{
			Time:   time.Unix(0, int64(binary.BigEndian.Uint64(head[8:]))),
			Out:    head[20] == 1,
			Header: int(head[21]),
			Data:   buf[captureHeader:length],
		},
		Length:  int(wire),
		Dropped: binary.BigEndian.Uint32(head[16:]),
	}
	if wire > 0 && (c.Header != 8 && c.Header != 16 || len(c.Data) < c.Header) {
		return c, fmt.Errorf("%w: %d bytes of a packet with a header of %d", errCapture, len(c.Data), c.Header)
	}
	if _, err := io.ReadFull(r, c.Data); err != nil {
		return c, fmt.Errorf("%w: it ends within a packet", errCapture)
	}
	return c, nil
}

// shown is how many bytes of a packet a capture shows, 0 for none of it.
func (req CaptureRequest) shown(p Packet) int {
	const protoTCP, tcpHeader = 6, 20
	if len(p.Data) < p.Header || binary.BigEndian.Uint32(p.Data) != protoTCP {
		return len(p.Data) // VERSION, SETUP and CONTROL are of no port
	}
	b := p.Data[p.Header:]
	if len(b) < tcpHeader {
		return p.Header // whose it is cannot be told
	}
	port := binary.BigEndian.Uint16(b)
	if p.Out {
		port = binary.BigEndian.Uint16(b[2:])
	}
	switch {
	case len(req.Ports) > 0 && !slices.Contains(req.Ports, port):
		return 0
	case port == lockdownPort && !req.Secrets:
		return p.Header + tcpHeader
	}
	return len(p.Data)
}

// packetQueue holds the records that wait for the reader of a capture. Whoever adds
// never waits: what finds no room is dropped and counted.
type packetQueue struct {
	req   CaptureRequest
	added chan struct{} // capacity 1: look again

	mu             sync.Mutex
	buf, spare     []byte // never grow
	missing        uint32 // dropped since the last record
	count, dropped uint64 // in all
}

func newPacketQueue(req CaptureRequest) *packetQueue {
	return &packetQueue{
		req:   req,
		added: make(chan struct{}, 1),
		buf:   make([]byte, 0, captureQueue),
		spare: make([]byte, 0, captureQueue),
	}
}

func (q *packetQueue) add(p Packet) {
	n := q.req.shown(p)
	if n == 0 {
		return
	}
	q.mu.Lock()
	if len(q.buf)+captureHeader+n > cap(q.buf) {
		q.missing++
		q.dropped++
		q.mu.Unlock()
		return
	}
	c := Captured{Packet: p, Length: len(p.Data), Dropped: q.missing}
	c.Data = p.Data[:n]
	q.buf = c.append(q.buf)
	q.missing = 0
	q.count++
	q.mu.Unlock()
	select {
	case q.added <- struct{}{}:
	default:
	}
}

// take gives what has come since the last call, which is valid until the next one. If
// that ends with dropped packets, an empty record tells so.
func (q *packetQueue) take() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.buf
	q.buf, q.spare = q.spare[:0], b
	if q.missing > 0 {
		q.buf = Captured{Packet: Packet{Time: time.Now()}, Dropped: q.missing}.append(q.buf)
		q.missing = 0
	}
	return b
}

// postCapture streams a phone's packets until the client hangs up, also when the
// phone is unplugged and comes back.
func (s *Server) postCapture(w http.ResponseWriter, r *http.Request) (any, error) {
	var req CaptureRequest
	if err := decode(w, r, &req); err != nil {
		return nil, err
	}
	if slices.Contains(req.Ports, 0) {
		return nil, Errorf(CodeBadRequest, "there is no port 0: give ports from 1 to 65535")
	}
	_, d, err := s.findPhone(r)
	if err != nil {
		return nil, err
	}
	peer := guestOf(r.Context()).peer
	if req.Secrets && !privileged(peer) {
		return nil, Errorf(CodeForbidden, "what pairing exchanges hold is shown to root alone: use sudo, or leave out --with-secrets")
	}
	if !s.captures.take(peer) {
		return nil, Errorf(CodeBusy, "too many captures are running: end another one")
	}
	defer s.captures.give(peer)

	q := newPacketQueue(req)
	stop := sync.OnceFunc(s.actions.Watch(*d.UDID, q.add))
	defer func() {
		stop()
		q.mu.Lock()
		count, dropped := q.count, q.dropped
		q.mu.Unlock()
		s.acted(r, "capture ended", zap.String("udid", *d.UDID), zap.Uint64("packets", count), zap.Uint64("dropped", dropped))
	}()
	s.acted(r, "capture started", zap.String("udid", *d.UDID), zap.Uint16s("ports", req.Ports), zap.Bool("secrets", req.Secrets))

	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	empty := func() []byte { return Captured{Packet: Packet{Time: time.Now()}}.append(nil) }
	silence := time.NewTimer(s.cfg.KeepAlive)
	defer silence.Stop()
	over := r.Context().Done()
	for b := empty(); ; b = q.take() {
		if len(b) > 0 {
			// Without a deadline: a reader may pause, and nobody waits for it.
			if _, err := w.Write(b); err != nil || control.Flush() != nil {
				return nil, nil
			}
			silence.Reset(s.cfg.KeepAlive)
			continue
		}
		if over == nil {
			return nil, nil
		}
		select {
		case <-q.added:
		case <-silence.C:
			silence.Reset(s.cfg.KeepAlive)
			if _, err := w.Write(empty()); err != nil || control.Flush() != nil {
				return nil, nil
			}
		case <-over: // who has shut down writing alone still gets what has come
			stop()
			over = nil
		}
	}
}
