package usbip

import "fmt"

// pump carries out the IN requests of usbmux in turn, as far as there is something
// for them. Whoever brings a request or data calls it: that takes no goroutine, which
// would have to be woken for each. One at a time is at it, and looks again for those
// who came meanwhile.
func (s *server) pump() {
	s.again.Store(true)
	for s.again.Load() && s.pumping.TryLock() {
		s.again.Store(false)
		for s.carryIn() {
		}
		s.pumping.Unlock()
	}
}

// carryIn carries out one IN request, and reports whether there may be more.
func (s *server) carryIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ins) == 0 || s.inErr != nil {
		return false
	}
	t := s.ins[0]
	if len(s.in) < frameSize+t.length {
		s.in = make([]byte, frameSize+t.length)
	}
	status, wait := s.g.verdictIn()
	if wait {
		return false
	}
	n := 0
	if status == statusOK {
		var (
			done bool
			err  error
		)
		if n, done, err = s.cable.TryBulkIn(s.in[frameSize : frameSize+t.length]); err != nil {
			s.inErr = err
			s.conn.Close() // ends read
		}
		if !done {
			return false
		}
	}
	s.ins = s.ins[:copy(s.ins, s.ins[1:])]
	delete(s.pending, t.seq)
	putSubmitted(s.in, &t.request, status, n)
	if _, s.inErr = s.conn.Write(s.in[:frameSize+n]); s.inErr != nil {
		s.conn.Close()
	}
	return true
}

// wake has waiting requests look at the faults again.
func (s *server) wake() {
	s.pump()
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
	switch status {
	case statusTransfer:
		s.cable.LoseOut()
	case statusOK:
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
