package virtualphone

import (
	"fmt"
	"io"
	"net"
)

var errPipeClosed = fmt.Errorf("usb pipe: %w", net.ErrClosed)

// pipeTransfer is the size of a pipe's IN transfers in bytes.
const pipeTransfer = 64 << 10

// pipe is a host's claim on the interface, in-process.
type pipe struct {
	c      *Cable
	closed bool // guarded by c.mu
	reset  bool // likewise: by a reset of the device
}

// Pipe claims the interface. Read gives what the phone sends, in order; Write
// takes exactly one mux packet and ends it with a ZLP where it needs one. Close
// unblocks both with net.ErrClosed and leaves the phone plugged; after an unplug
// both give ErrUnplugged, after a reset of the device ErrUSBReset. A new claim closes the one before, and the rest of a
// message that was cut half-way is dropped.
func (c *Cable) Pipe() io.ReadWriteCloser {
	p := &pipe{c: c}
	c.mu.Lock()
	defer c.unlock()
	if c.pipe != nil {
		c.pipe.closed = true
	}
	c.pipe = p
	c.in, c.zlpDue = nil, false
	c.out, c.outSkip = c.out[:0], false
	c.wakeLocked()
	return p
}

// Read implements io.Reader.
func (p *pipe) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	b = b[:min(len(b), pipeTransfer)]
	for {
		n, err := p.c.bulkIn(b, p, nil)
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write implements io.Writer.
func (p *pipe) Write(b []byte) (int, error) {
	c := p.c
	c.mu.Lock()
	defer c.unlock()
	for c.phone.faults.Load().StallOut && !p.closed && !c.unplugged {
		c.wait(&c.inReady)
	}
	switch {
	case p.closed:
		return 0, p.endLocked()
	case c.unplugged:
		return 0, ErrUnplugged
	case len(b) > maxMessage:
		c.transferOutLocked(b)
		if len(b)%c.packet == 0 {
			c.transferOutLocked(nil)
		}
	case len(b) > 0:
		c.messageLocked(b)
	}
	return len(b), nil
}

func (p *pipe) endLocked() error {
	if p.reset {
		return ErrUSBReset
	}
	return errPipeClosed
}

// Close implements io.Closer. It is idempotent.
func (p *pipe) Close() error {
	p.c.mu.Lock()
	defer p.c.unlock()
	p.closed = true
	p.c.wakeLocked()
	return nil
}
