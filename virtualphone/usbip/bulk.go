package usbip

import (
	"context"
	"errors"
	"fmt"
)

// carryIn carries out the IN requests of usbmux in turn, until the end (nil) or
// until the phone or the socket fails.
func (s *server) carryIn() error {
	buf := make([]byte, frameSize+64<<10)
	for {
		t, ctx := s.nextIn()
		if t == nil {
			return nil
		}
		if len(buf) < frameSize+t.length {
			buf = make([]byte, frameSize+t.length)
		}
		status, wait := s.g.verdictIn()
		n := 0
		switch {
		case wait:
			<-ctx.Done()
			if s.again(t) {
				continue
			}
			status = statusUnlinked
		case status == statusOK:
			var err error
			n, err = s.cable.BulkInContext(ctx, buf[frameSize:frameSize+t.length])
			if errors.Is(err, context.Canceled) {
				if s.again(t) {
					continue
				}
				status = statusUnlinked
			} else if err != nil {
				return err
			}
		}
		if err := s.finishIn(t, buf, status, n); err != nil {
			return err
		}
	}
}

// nextIn waits for an IN request and takes it. Its context ends when it is
// unlinked, when the faults have changed, and at the end.
func (s *server) nextIn() (*transfer, context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ins) == 0 && !s.ended {
		s.inReady.Wait()
	}
	if s.ended {
		return nil, nil
	}
	t := s.ins[0]
	s.ins = s.ins[:copy(s.ins, s.ins[1:])]
	t.running = true
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	return t, ctx
}

// again puts an interrupted request back in the first place, unless it has been
// unlinked.
func (s *server) again(t *transfer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	if t.unlinked {
		return false
	}
	t.running = false
	s.ins = append(s.ins, nil)
	copy(s.ins[1:], s.ins)
	s.ins[0] = t
	return true
}

// finishIn answers an IN request and, if it came too late for that, its unlink.
// Its data are in buf after room for the frame.
func (s *server) finishIn(t *transfer, buf []byte, status int32, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	delete(s.pending, t.seq)
	if status == statusUnlinked {
		return s.unlinkedLocked(t.unlinkedBy, status)
	}
	putSubmitted(buf, &t.request, status, n)
	if _, err := s.conn.Write(buf[:frameSize+n]); err != nil {
		return err
	}
	if t.unlinked {
		return s.unlinkedLocked(t.unlinkedBy, statusOK)
	}
	return nil
}

// wake has waiting requests look at the faults again.
func (s *server) wake() {
	s.mu.Lock()
	if s.stop != nil {
		s.stop()
	}
	s.mu.Unlock()
	s.outMu.Lock()
	defer s.outMu.Unlock()
	for len(s.outs) > 0 {
		t := s.outs[0]
		if done, err := s.carryOutLocked(&t.request, t.data); !done || err != nil {
			return // the reader finds the error, too
		}
		s.outs = s.outs[1:]
		s.outSize -= len(t.data)
	}
}

// submitOut takes an OUT request of usbmux.
func (s *server) submitOut(r *request, data []byte) error {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	if len(s.outs) == 0 {
		if done, err := s.carryOutLocked(r, data); done || err != nil {
			return err
		}
	}
	if s.outSize += len(data); s.outSize > maxHeld {
		return fmt.Errorf("%w: requests with more than %d bytes wait", ErrProtocol, maxHeld)
	}
	t, err := s.hold(r, append([]byte(nil), data...), false)
	if err == nil {
		s.outs = append(s.outs, t)
	}
	return err
}

// carryOutLocked carries out an OUT request; done is false if it has to wait.
func (s *server) carryOutLocked(r *request, data []byte) (done bool, err error) {
	status, wait, short := s.g.verdictOut()
	if wait {
		return false, nil
	}
	n := 0
	if status == statusOK {
		n = len(data)
		if short {
			n /= 2
		}
		if err := s.cable.BulkOut(data[:n]); err != nil {
			return true, err
		}
		if packet := s.g.cfg.Speed.PacketSize(); r.flags&flagZeroPacket != 0 && n == len(data) && n > 0 && n%packet == 0 {
			if err := s.cable.BulkOut(nil); err != nil {
				return true, err
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, r.seq)
	return true, s.answerLocked(r, status, nil, n)
}
