package usb

import (
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// minTransfer is the smallest IN or OUT transfer, in bytes, that memory need is
// answered with.
const minTransfer = 4 << 10

// inSide is the reader's: what comes from the phone. Guarded by Pipe.readMu.
type inSide struct {
	frames  []*frame
	queue   []*frame // have data, in order; a ring of len(frames)
	head, n int
	flight  int
	idle    int   // frames for which there was no memory
	length  int   // bytes of a transfer
	fails   int   // recoveries in a row
	run     int   // transfers since the reader waited
	halt    fault // the endpoint is to be recovered
	collect func(uintptr) bool

	// For Stats. Guarded by Pipe.mu.
	empty, short uint64
	largest      int
}

// busy reports whether the reader need not wait.
func (s *inSide) busy() bool { return s.n > 0 || s.halt.is() }

func (s *inSide) push(f *frame) {
	f.state = frameQueued
	s.queue[(s.head+s.n)%len(s.queue)] = f
	s.n++
}

func (s *inSide) pop() {
	s.queue[s.head] = nil
	s.head = (s.head + 1) % len(s.queue)
	s.n--
}

// startReading submits the IN transfers: all that there is memory for.
func (p *Pipe) startReading() error {
	s := &p.rx
	// A transfer that is no multiple of the packet size invites an overflow.
	s.length = (p.plan.inSize + p.ep.inMax - 1) / p.ep.inMax * p.ep.inMax
	for range p.plan.inCount {
		s.frames = append(s.frames, newFrame(p.k, p.ep.in, s.length))
	}
	s.queue = make([]*frame, len(s.frames))
	p.mu.Lock()
	for _, f := range s.frames {
		p.receiveLocked(f)
	}
	bad := p.bad
	p.mu.Unlock()
	if bad.is() {
		return p.broken(bad)
	}
	if s.idle > 0 {
		p.log.Info("little memory for transfers", zap.Int("transfers", s.flight), zap.Int("bytes", s.length))
	}
	return nil
}

// Read gives what the phone sent, in order, and waits until there is something.
// Data that came before an error is given first. It fails with net.ErrClosed
// after Close and with one of this package's errors when the transfers ended.
func (p *Pipe) Read(b []byte) (int, error) {
	p.readMu.Lock()
	defer p.readMu.Unlock()
	if len(b) == 0 {
		return 0, p.ended()
	}
	if err := p.waitReadable(); err != nil {
		return 0, err
	}
	f := p.rx.queue[p.rx.head]
	n := copy(b, f.unread())
	f.pos += n
	if f.pos == int(f.actualLength) {
		p.returnFrame(f)
	}
	p.bytesIn.Add(uint64(n))
	return n, nil
}

// waitReadable waits until data is queued.
func (p *Pipe) waitReadable() error {
	for {
		switch {
		case p.closed.Load():
			return p.ended()
		case p.rx.n > 0:
			return nil
		}
		if err := p.attend(); err != nil {
			return err
		}
	}
}

// returnFrame takes the first queued frame, which has been read, out of the queue.
func (p *Pipe) returnFrame(f *frame) {
	p.rx.pop()
	p.receiveAgain(f)
}

// attend does what there is to do while no data is queued: it recovers, ends, or
// waits.
func (p *Pipe) attend() error {
	if p.bad.is() {
		p.collect(0) // may know better: that the phone has gone
		return p.broken(p.bad)
	}
	if err := p.ended(); err != nil {
		return err
	}
	if p.rx.halt.is() {
		p.recoverIn()
		return nil
	}
	if p.tx.halted {
		p.recoverOut()
		return nil
	}
	if err := p.k.wait(p.rx.collect); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		p.fail(fmt.Errorf("wait for transfers: %w", err))
	}
	return nil
}

// receiveAgain submits a frame that has been read, and those for which there was
// no memory before. A fault waits until all data has been read.
func (p *Pipe) receiveAgain(f *frame) {
	p.mu.Lock()
	p.receiveLocked(f)
	if p.rx.idle > 0 && !p.rx.halt.is() && !p.bad.is() {
		p.receiveIdleLocked()
	}
	p.mu.Unlock()
}

// receiveIdleLocked submits all frames that are nobody's.
func (p *Pipe) receiveIdleLocked() {
	p.rx.idle = 0
	for _, f := range p.rx.frames {
		if f.state == frameIdle && !p.bad.is() {
			p.receiveLocked(f)
		}
	}
}

// receiveLocked submits an IN transfer. While the endpoint is to be recovered or
// the pipe ends, the frame stays idle. So it does when there is no memory and
// another transfer is in flight; the last one shrinks until it fits. What even the
// smallest finds no memory for waits for packets to the phone, which give some back.
func (p *Pipe) receiveLocked(f *frame) {
	s := &p.rx
	f.state = frameIdle
	if s.halt.is() || p.bad.is() || p.closed.Load() {
		return
	}
	for {
		f.prepare(s.length, 0)
		errno := p.k.submit(f)
		switch {
		case errno == 0:
			f.state = frameFlight
			s.flight++
			return
		case errno == unix.EINTR:
		case errno == unix.ENOMEM && s.flight > 0:
			s.idle++
			return
		case errno == unix.ENOMEM && s.length > max(minTransfer, p.ep.inMax):
			s.length = roundDown(max(s.length/2, minTransfer), p.ep.inMax)
		case errno == unix.ENOMEM && p.pending.Load() > 0:
			s.idle++
			return
		default:
			p.badLocked(fault{op: "submit IN", errno: errno})
			return
		}
	}
}

// receivedLocked takes an IN frame back from the kernel. The data of a transfer
// that failed is good: it came before the failure.
func (p *Pipe) receivedLocked(f *frame) {
	s := &p.rx
	s.flight--
	f.state = frameIdle
	errno := f.errno()
	switch {
	case errno == 0 && f.actualLength == 0:
		s.empty++
		p.receiveLocked(f) // a zero-length packet ends no stream
		return
	case errno == 0:
		s.fails = 0
		s.largest = max(s.largest, int(f.actualLength))
		if f.actualLength < f.bufferLength && int(f.actualLength)%p.ep.inMax == 0 {
			s.short++
		}
	case s.halt.is() && (errno == unix.ENOENT || errno == unix.ECONNRESET):
		// Discarded by recoverIn.
	case errno == unix.EPIPE, transient(errno):
		if !s.halt.is() {
			s.halt = fault{op: "IN transfer", errno: errno}
		}
	case p.closed.Load():
	default:
		p.badLocked(fault{op: "IN transfer", errno: errno})
	}
	if f.actualLength > 0 {
		s.push(f)
	}
}

// recoverIn brings a halted IN endpoint back: no transfer may be in flight when
// the halt is cleared. Nothing is lost, since a phone repeats what was not
// acknowledged. After a failed transfer, a packet whose acknowledgement was lost
// may come twice; the session then falls out of step and ends.
func (p *Pipe) recoverIn() {
	s := &p.rx
	why := s.halt
	if s.fails >= maxRecoveries {
		p.broken(why)
		return
	}
	s.fails++
	p.recoveries.Add(1)
	level := zap.WarnLevel
	if why.errno != unix.EPIPE {
		level = zap.DebugLevel // every unplug begins so
	}
	p.log.Log(level, "IN endpoint halted, clearing it", zap.String("errno", unix.ErrnoName(why.errno)), zap.Int("in_a_row", s.fails))
	for _, f := range s.frames {
		if f.state == frameFlight {
			p.k.discard(f)
		}
	}
	err := p.k.wait(func(uintptr) bool {
		p.collect(0)
		return s.flight == 0 || p.bad.is()
	})
	if err != nil || p.bad.is() {
		return
	}
	if errno := p.k.clearHalt(p.ep.in); errno != 0 {
		p.broken(fault{op: "clear halt of IN", errno: errno, kind: haltKind(errno, why.errno)})
		return
	}
	p.mu.Lock()
	s.halt = fault{}
	p.receiveIdleLocked()
	p.mu.Unlock()
}

// haltKind sorts the errno of a refused CLEAR_HALT: either the phone is not there,
// or what the halt was cleared for stays.
func haltKind(errno, why unix.Errno) error {
	if kind := kindOf(errno); kind == ErrGone {
		return kind
	}
	return kindOf(why)
}
