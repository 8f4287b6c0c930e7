package virtualphone

import (
	"context"
	"encoding/binary"
	"sync"
)

// Cable is one plugged period: the two bulk endpoints of the usbmux interface
// at the level of USB transfers, as a host controller sees them. All methods
// may be called from several goroutines; IN transfers are served in turn.
type Cable struct {
	phone  *Phone
	packet int // bytes, bulk packet size
	ctx    context.Context
	cancel context.CancelFunc // ends ctx at unplug

	mu        sync.Mutex // guards all below, the link and its conns
	inReady   sync.Cond  // there may be something for an IN transfer, or an end
	onIn      func()     // called for the same reason, without the lock
	woken     bool       // onIn is to be called when the lock is given back
	unplugged bool
	unplugIn  int   // packets of the host until the cable is pulled, 0 = off
	pipe      *pipe // the latest claim
	link      link

	out     []byte // OUT message being gathered
	outSkip bool   // dropping the rest of an oversized OUT message

	in      []byte // rest of the IN message being transferred
	inLen   int    // whole length of that message, bytes
	zlpDue  bool   // the message filled its last transfer exactly
	scratch []byte // where a message is built that does not fit one transfer
}

func newCable(p *Phone) *Cable {
	c := &Cable{phone: p, packet: p.cfg.MaxPacketSize}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.inReady.L = &c.mu
	c.link.init(c)
	return c
}

// unlock gives mu back and calls onIn if that is due.
func (c *Cable) unlock() {
	var f func()
	if c.woken {
		c.woken, f = false, c.onIn
	}
	c.mu.Unlock()
	if f != nil {
		f()
	}
}

// wait is cond.Wait, but for a wake-up that is still to be told: then it returns
// when it has told it.
func (c *Cable) wait(cond *sync.Cond) {
	if c.woken && c.onIn != nil {
		c.unlock()
		c.mu.Lock()
		return
	}
	cond.Wait()
}

// OnIn has f called each time that there may be something new for TryBulkIn, an
// error at last: by whoever brought it, without the cable's lock, and from
// several goroutines at a time. nil ends that, but for calls that are on their way.
func (c *Cable) OnIn(f func()) {
	c.mu.Lock()
	defer c.unlock()
	c.onIn = f
}

// Phone is the phone at the other end.
func (c *Cable) Phone() *Phone { return c.phone }

// Unplug ends the plugged period; see Phone.Unplug.
func (c *Cable) Unplug() { c.phone.unplug(c) }

// BulkOut takes the data of one OUT transfer. A transfer whose length is not a
// multiple of the packet size (a ZLP, too) ends the message. It never blocks,
// keeps nothing of b and fails only with ErrUnplugged.
func (c *Cable) BulkOut(b []byte) error {
	c.mu.Lock()
	defer c.unlock()
	if c.unplugged {
		return ErrUnplugged
	}
	c.transferOutLocked(b)
	return nil
}

// LoseOut is BulkOut for a transfer that the bus has lost. Those that the host had
// sent after it are not its mistake: the phone is out of step and takes nothing until
// the next VERSION.
func (c *Cable) LoseOut() {
	c.mu.Lock()
	defer c.unlock()
	c.link.lost = true
	c.out = c.out[:0]
}

func (c *Cable) transferOutLocked(b []byte) {
	ends := len(b)%c.packet != 0 || len(b) == 0
	if len(b) > 0 && c.outCompleteLocked() {
		c.phone.violate(&c.phone.violations.MissingZLP, "message of %d bytes not ended by a zero-length packet", len(c.out))
		c.messageLocked(c.out)
		c.out = c.out[:0]
	}
	switch {
	case c.outSkip:
		c.outSkip = !ends
	case len(c.out)+len(b) > maxMessage:
		c.phone.violate(&c.phone.violations.Oversized, "message of %d bytes or more", len(c.out)+len(b))
		c.out = c.out[:0]
		c.outSkip = !ends
	case ends && len(c.out) == 0:
		if len(b) > 0 {
			c.messageLocked(b)
		}
	default:
		c.out = append(c.out, b...)
		if ends {
			c.messageLocked(c.out)
			c.out = c.out[:0]
		}
	}
}

// outCompleteLocked reports whether the gathered message has its announced
// length, so that only its ZLP is still to come.
func (c *Cable) outCompleteLocked() bool {
	return len(c.out) >= shortHeader && binary.BigEndian.Uint32(c.out[4:]) == uint32(len(c.out))
}

// messageLocked hands one whole OUT message to the link.
func (c *Cable) messageLocked(b []byte) {
	c.phone.stats.outBytes.Add(uint64(len(b)))
	c.phone.stats.outPackets.Add(1)
	c.link.input(b)
	if c.unplugIn > 0 {
		if c.unplugIn--; c.unplugIn == 0 {
			c.phone.wg.Go(c.Unplug) // which takes the lock
		}
	}
}

// BulkIn carries out one IN transfer: it waits for data and fills b, ending
// early after a message that is over. A message that ends with a full packet
// just where b ends leaves its ZLP for the next call, which returns 0 and nil.
// As on a bus, len(b) should be a multiple of the packet size.
func (c *Cable) BulkIn(b []byte) (int, error) { return c.bulkIn(b, nil, nil) }

// BulkInContext is BulkIn that gives up with ctx's error when ctx ends, as a
// host controller does for an unlinked request. Nothing is lost then.
func (c *Cable) BulkInContext(ctx context.Context, b []byte) (int, error) {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.unlock()
		c.inReady.Broadcast()
	})
	defer stop()
	return c.bulkIn(b, nil, ctx)
}

// TryBulkIn is BulkIn that does not wait: done is false while there is nothing.
func (c *Cable) TryBulkIn(b []byte) (n int, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unplugged {
		return 0, false, ErrUnplugged
	}
	n, done = c.transferInLocked(b)
	c.woken = false // done says so
	c.phone.stats.inBytes.Add(uint64(n))
	return n, done, nil
}

// bulkIn ends with net.ErrClosed when pipe is closed and with ctx's error when
// it ends; either may be nil.
func (c *Cable) bulkIn(b []byte, p *pipe, ctx context.Context) (int, error) {
	c.mu.Lock()
	defer c.unlock()
	for {
		if p != nil && p.closed {
			return 0, p.endLocked()
		}
		if c.unplugged {
			return 0, ErrUnplugged
		}
		if ctx != nil && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if n, done := c.transferInLocked(b); done {
			c.phone.stats.inBytes.Add(uint64(n))
			return n, nil
		}
		c.wait(&c.inReady)
	}
}

// transferInLocked does one transfer; done is false when there is nothing.
func (c *Cable) transferInLocked(b []byte) (n int, done bool) {
	f := c.phone.faults.Load()
	if f.StallIn {
		return 0, false
	}
	if f.FragmentIn > 0 && f.FragmentIn < len(b) {
		b = b[:f.FragmentIn]
	}
	if c.zlpDue {
		c.zlpDue = false
		return 0, true
	}
	if len(b) == 0 {
		return 0, true
	}
	for n < len(b) {
		if len(c.in) == 0 {
			direct := c.nextInLocked(b[n:])
			if direct > 0 {
				n += direct
			} else if len(c.in) == 0 {
				return n, n > 0
			}
		}
		k := copy(b[n:], c.in)
		c.in = c.in[k:]
		n += k
		if len(c.in) > 0 {
			return n, true
		}
		if n == len(b) {
			c.zlpDue = c.inLen%c.packet == 0
			return n, true
		}
		if !f.CoalesceIn {
			return n, true
		}
	}
	return n, true
}

// nextInLocked takes the next message: straight into b where it fits for sure,
// else into c.in. It returns how much it put into b.
func (c *Cable) nextInLocked(b []byte) int {
	if q := c.link.popQueued(); q != nil {
		c.in, c.inLen = q, len(q)
		c.phone.stats.inPackets.Add(1)
		return 0
	}
	room := b
	if len(b) < maxPhonePacket {
		if c.scratch == nil {
			c.scratch = make([]byte, maxPhonePacket)
		}
		room = c.scratch
	}
	n := c.link.output(room)
	if n == 0 {
		return 0
	}
	c.phone.stats.inPackets.Add(1)
	c.inLen = n
	if len(b) >= maxPhonePacket {
		return n
	}
	c.in = c.scratch[:n]
	return 0
}

// wakeLocked tells waiting IN transfers that there is something to send.
func (c *Cable) wakeLocked() {
	c.woken = true
	c.inReady.Broadcast()
}

// kick looks at every conn again after a change of the faults.
func (c *Cable) kick() {
	c.mu.Lock()
	defer c.unlock()
	for _, k := range c.link.conns {
		k.ackDue = k.ackDue || k.serving // the window may have changed
		k.enqueueLocked()
	}
	c.wakeLocked()
}

func (c *Cable) inject(b []byte) error {
	c.mu.Lock()
	defer c.unlock()
	if c.unplugged {
		return ErrUnplugged
	}
	c.link.queuePacket(b)
	return nil
}

func (c *Cable) sendPacket(proto uint32, body []byte) error {
	c.mu.Lock()
	defer c.unlock()
	if c.unplugged {
		return ErrUnplugged
	}
	c.link.queueBody(proto, body)
	return nil
}

func (c *Cable) resetAll(text string) {
	c.mu.Lock()
	defer c.unlock()
	for _, k := range c.link.conns {
		k.abortLocked(text)
	}
}

// openConns is the number of connections the link holds.
func (c *Cable) openConns() int {
	c.mu.Lock()
	defer c.unlock()
	return len(c.link.conns)
}

// Reset is a reset of the USB device, as a host's hub does it: the claim ends with
// ErrUSBReset, connections with ErrHostGone, and the next host begins with VERSION.
// It fails only with ErrUnplugged.
func (c *Cable) Reset() error {
	if f := c.phone.Faults(); f.UntilReset {
		c.phone.SetFaults(Faults{})
	}
	c.mu.Lock()
	defer c.unlock()
	if c.unplugged {
		return ErrUnplugged
	}
	c.phone.stats.resets.Add(1)
	if c.pipe != nil && !c.pipe.closed {
		c.pipe.closed, c.pipe.reset = true, true
	}
	c.link.drop(ErrHostGone)
	c.link.queue = nil
	c.link.major, c.link.setup = 0, false
	c.in, c.zlpDue = nil, false
	c.out, c.outSkip = c.out[:0], false
	c.wakeLocked()
	return nil
}

// end is the unplug itself: every transfer and conn ends with ErrUnplugged.
func (c *Cable) end() {
	c.cancel()
	c.mu.Lock()
	defer c.unlock()
	c.unplugged = true
	c.link.drop(ErrUnplugged)
	c.link.queue = nil
	c.in, c.out, c.scratch = nil, nil, nil
	c.wakeLocked()
}
