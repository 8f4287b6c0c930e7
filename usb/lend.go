package usb

import "golang.org/x/sys/unix"

// Next is Read without the copy: it gives what the phone sent in one transfer, in
// the transfer's own memory, which is the caller's until Return. Unless it fails, a
// Return must follow.
func (p *Pipe) Next() ([]byte, error) {
	p.readMu.Lock()
	if p.rx.run == maxRun {
		p.rx.run = 0
		p.k.yield()
	}
	if err := p.waitReadable(); err != nil {
		p.readMu.Unlock()
		return nil, err
	}
	b := p.rx.queue[p.rx.head].unread()
	p.bytesIn.Add(uint64(len(b)))
	return b, nil
}

// Return gives back what Next has lent, as read. It reports whether another Next would
// find something right away.
func (p *Pipe) Return() (more bool) {
	defer p.readMu.Unlock()
	p.returnFrame(p.rx.queue[p.rx.head])
	if p.rx.n == 0 {
		p.collect(0)
	}
	if more = p.rx.n > 0; more {
		p.rx.run++
	} else {
		p.rx.run = 0
	}
	return more
}

// Lend gives memory for a packet to the phone, that of its transfer, 48 KiB at least.
// It never waits: nil means that Write must be used, which waits until the phone has taken
// something, or that the packet would need several transfers. Unless it is nil, a
// Submit must follow.
func (p *Pipe) Lend() []byte {
	if !p.writeMu.TryLock() {
		return nil
	}
	if p.tx.zlp == nil && p.ended() == nil {
		select {
		case f := <-p.free:
			if p.tx.piece >= outWhole {
				p.tx.lent = f
				return f.buf
			}
			p.free <- f
		default:
		}
	}
	p.writeMu.Unlock()
	return nil
}

// Submit sends the first n bytes of what Lend has lent as one packet, as Write does,
// but never waits. With n 0 it only gives the memory back. An error is the end of the
// pipe.
func (p *Pipe) Submit(n int) error {
	f := p.tx.lent
	p.tx.lent = nil
	if n == 0 {
		p.free <- f // has room for all
		p.writeMu.Unlock()
		return nil
	}
	ends := n%p.ep.outMax == 0
	var flags uint32
	if ends {
		flags = urbZeroPacket
	}
	switch errno := p.submitNow(f, n, flags); errno {
	case 0:
		p.bytesOut.Add(uint64(n))
		if ends {
			p.emptyOut.Add(1)
		}
		p.writeMu.Unlock()
		return nil
	case unix.ENOMEM:
		// Write knows what to do, but waits. Until it is done nobody else sends.
		b := append([]byte(nil), f.buf[:n]...)
		p.free <- f
		go func() {
			defer p.writeMu.Unlock()
			_, _ = p.write(b) // an error has ended the pipe
		}()
		return nil
	default:
		p.writeMu.Unlock()
		return p.broken(fault{op: "submit OUT", errno: errno})
	}
}

// submitNow starts an OUT transfer. While the endpoint is being recovered the frame
// counts as one that the phone has refused: recoverOut sends it in its turn. So it does
// after a completion that ends the pipe, and then nobody sends it.
func (p *Pipe) submitNow(f *frame, n int, flags uint32) unix.Errno {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.prepare(n, flags)
	p.tx.turn++
	f.turn = p.tx.turn
	if p.tx.halted || p.bad.is() {
		f.state = frameFailed
		return 0
	}
	errno := p.k.submit(f)
	for errno == unix.EINTR {
		errno = p.k.submit(f)
	}
	if errno == 0 {
		f.state = frameFlight
		p.pending.Add(1)
	}
	return errno
}
