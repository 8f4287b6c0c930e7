package usb

import (
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// memoryPause is between attempts to send the smallest transfer while usbfs has
// no memory for it.
const memoryPause = 20 * time.Millisecond

// outSide is what goes to the phone. Guarded by Pipe.mu, but for piece, which is
// the writer's; halted changes only in the reader's hands, which may look at it
// without the lock.
type outSide struct {
	frames  []*frame
	zlp     *frame // a zero-length transfer, where the kernel makes none
	piece   int    // bytes of the largest transfer
	turn    uint64 // of the latest submission
	halted  bool   // the endpoint is to be recovered, nothing may be submitted
	starved bool   // the writer waits for a completion to try again
	fails   int    // recoveries in a row
	retry   chan struct{}
	lent    *frame // between Lend and Submit; guarded by writeMu
}

// Write sends b to the phone as one packet of the bus's reckoning: a transfer
// that ends short, with a zero-length packet where the length asks for one. It
// returns as soon as the bytes are copied and their transfers submitted, and
// waits only while all frames are in flight. An error concerns this or an
// earlier packet; nothing can be sent after it.
func (p *Pipe) Write(b []byte) (int, error) {
	p.writeMu.Lock()
	defer p.writeMu.Unlock()
	return p.write(b)
}

// write is Write for the holder of writeMu.
func (p *Pipe) write(b []byte) (int, error) {
	for at := 0; at < len(b); {
		f, err := p.frame()
		if err != nil {
			return at, err
		}
		n, err := p.send(f, b[at:])
		if err != nil {
			return at, err
		}
		at += n
	}
	p.bytesOut.Add(uint64(len(b)))
	return len(b), nil
}

// frame waits for an OUT frame.
func (p *Pipe) frame() (*frame, error) {
	if err := p.ended(); err != nil {
		return nil, err
	}
	select {
	case f := <-p.free:
		return f, nil
	default:
	}
	p.blocked.Store(int64(time.Since(p.start)))
	defer p.blocked.Store(0)
	select {
	case f := <-p.free:
		return f, nil
	case <-p.done:
		return nil, p.ended()
	}
}

// send submits the start of b in f and returns how much that was: all that fits,
// or less if there is no memory for more. What ends b ends the packet.
func (p *Pipe) send(f *frame, b []byte) (int, error) {
	for {
		n := copy(f.buf[:p.tx.piece], b)
		ends := n == len(b) && n%p.ep.outMax == 0
		var flags uint32
		if ends && p.tx.zlp == nil {
			flags = urbZeroPacket
		}
		errno, err := p.submit(f, n, flags)
		switch {
		case err != nil:
			return 0, err
		case errno == unix.ENOMEM && p.tx.piece > max(minTransfer, p.ep.outMax):
			// Not even with nothing else in flight: smaller transfers. The phone
			// cannot tell, they are full packets but for the last.
			p.tx.piece = roundDown(max(p.tx.piece/2, minTransfer), p.ep.outMax)
			continue
		case errno == unix.ENOMEM:
			// Other phones have it all, and give some back as their transfers end.
			if err := p.pause(memoryPause); err != nil {
				return 0, err
			}
			continue
		case errno != 0:
			return 0, p.broken(fault{op: "submit OUT", errno: errno})
		}
		if ends && p.tx.zlp != nil {
			if err := p.sendZLP(); err != nil {
				return 0, err
			}
		}
		if ends {
			p.emptyOut.Add(1)
		}
		return n, nil
	}
}

// sendZLP submits a zero-length transfer behind the packet it ends. The frame
// for it is one of its own, so that it need not wait for data to leave; while it
// is in flight itself, the writer waits.
func (p *Pipe) sendZLP() error {
	f := p.tx.zlp
	for {
		p.mu.Lock()
		idle := f.state == frameIdle
		p.tx.starved = !idle
		p.mu.Unlock()
		if idle {
			break
		}
		if err := p.await(); err != nil {
			return err
		}
	}
	errno, err := p.submit(f, 0, 0)
	if err == nil && errno != 0 {
		err = p.broken(fault{op: "submit OUT", errno: errno})
	}
	return err
}

// submit starts an OUT transfer of n bytes. It waits while the endpoint is being
// recovered, while there is no memory as long as a completion may free some, and for
// the pipe's end after a completion that brings it.
func (p *Pipe) submit(f *frame, n int, flags uint32) (unix.Errno, error) {
	for {
		p.mu.Lock()
		var errno unix.Errno
		wait := p.tx.halted || p.bad.is() // if bad, for the end
		if !wait {
			f.prepare(n, flags)
			errno = p.k.submit(f)
			switch {
			case errno == 0:
				p.tx.turn++
				f.turn = p.tx.turn
				f.state = frameFlight
				p.pending.Add(1)
			case errno == unix.EINTR:
				p.mu.Unlock()
				continue
			case errno == unix.ENOMEM:
				wait = p.pending.Load() > 0
			}
		}
		p.tx.starved = wait
		p.mu.Unlock()
		if !wait {
			return errno, nil
		}
		if err := p.await(); err != nil {
			return 0, err
		}
	}
}

// await blocks the writer until something has changed on the OUT side.
func (p *Pipe) await() error {
	p.blocked.Store(int64(time.Since(p.start)))
	defer p.blocked.Store(0)
	select {
	case <-p.tx.retry:
		return nil
	case <-p.done:
		return p.ended()
	}
}

// pause blocks the writer for a while.
func (p *Pipe) pause(d time.Duration) error {
	p.blocked.Store(int64(time.Since(p.start)))
	defer p.blocked.Store(0)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.done:
		return p.ended()
	}
}

// wakeWriterLocked ends an await.
func (p *Pipe) wakeWriterLocked() {
	if p.tx.starved {
		p.tx.starved = false
		select {
		case p.tx.retry <- struct{}{}:
		default:
		}
	}
}

// sentLocked takes an OUT frame back from the kernel.
func (p *Pipe) sentLocked(f *frame) {
	s := &p.tx
	p.pending.Add(-1)
	errno := f.errno()
	cancelled := errno == unix.ENOENT || errno == unix.ECONNRESET
	switch {
	case errno == 0 && f.actualLength == f.bufferLength:
		if s.halted {
			// It overtook the one that was to be sent again.
			p.badLocked(fault{op: "OUT transfer after a stall", kind: ErrStalled})
		}
		if f.bufferLength > 0 {
			s.fails = 0
		}
	case errno == unix.EPIPE || s.halted && cancelled:
		s.halted = true
		f.state = frameFailed
		if f.actualLength > 0 {
			p.badLocked(fault{op: "OUT transfer, part of it sent", errno: errno, kind: ErrStalled})
		}
		return
	case errno == 0:
		p.badLocked(fault{op: "OUT transfer cut short", kind: ErrTransfer})
	case p.closed.Load():
	default:
		p.badLocked(fault{op: "OUT transfer", errno: errno})
	}
	f.state = frameIdle
	if f != s.zlp {
		p.free <- f // has room for all
	}
	p.wakeWriterLocked()
}

// recoverOut, called by the reader, brings a halted OUT endpoint back and sends
// again, in order, what did not leave: the phone has refused it as a whole. A
// transfer that was refused part-way has ended the pipe before.
func (p *Pipe) recoverOut() {
	s := &p.tx
	if s.fails >= maxRecoveries {
		p.broken(fault{op: "OUT transfer", errno: unix.EPIPE})
		return
	}
	s.fails++
	p.recoveries.Add(1)
	p.log.Warn("OUT endpoint halted, clearing it", zap.Int("in_a_row", s.fails))
	// Nothing is submitted while halted, so these are all there are.
	var flight []*frame
	p.mu.Lock()
	for _, f := range s.frames {
		if f.state == frameFlight {
			flight = append(flight, f)
		}
	}
	p.mu.Unlock()
	for _, f := range flight {
		p.k.discard(f)
	}
	err := p.k.wait(func(uintptr) bool {
		p.collect(0)
		return p.pending.Load() == 0 || p.bad.is()
	})
	if err != nil || p.bad.is() {
		return
	}
	if errno := p.k.clearHalt(p.ep.out); errno != 0 {
		p.broken(fault{op: "clear halt of OUT", errno: errno, kind: haltKind(errno, unix.EPIPE)})
		return
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	var again []*frame
	for _, f := range s.frames {
		if f.state == frameFailed {
			again = append(again, f)
		}
	}
	slices.SortFunc(again, func(a, b *frame) int { return int(int64(a.turn - b.turn)) })
	s.halted = false
	for _, f := range again {
		f.prepare(int(f.bufferLength), f.flags)
		if errno := p.k.submit(f); errno != 0 {
			p.badLocked(fault{op: "submit OUT again", errno: errno})
			break
		}
		f.state = frameFlight
		p.pending.Add(1)
	}
	p.wakeWriterLocked()
}
