package usb

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const (
	// maxRecoveries is how often in a row an endpoint is brought back after a
	// halt or a failed transfer, without a good transfer in between.
	maxRecoveries = 3

	// closeGrace is how long Close lets transfers to the phone end that are on
	// their way: the last resets of a session.
	closeGrace = 50 * time.Millisecond

	// closeTimeout is how long Close waits for the kernel to let go.
	closeTimeout = time.Second
)

// endpoints is what the descriptors say of the usbmux interface.
type endpoints struct {
	iface         int
	in, out       uint8 // addresses
	inMax, outMax int   // wMaxPacketSize, bytes
}

// pipeConfig is what a pipe is told by its owner.
type pipeConfig struct {
	log *zap.Logger
	// lost says what a transfer that the kernel took away means. It looks at
	// sysfs, which may wait for the device's lock. Nil: just ErrGone.
	lost func(unix.Errno) error
	// released is called at the end of teardown. May be nil.
	released func()
}

// Pipe is the pair of bulk endpoints of one phone. One goroutine reads, one
// writes, any may call the rest.
//
// Read also collects the completions of what has been written: a Pipe that
// nobody reads takes only as many packets as it has OUT frames.
type Pipe struct {
	k     kernel
	log   *zap.Logger
	ep    endpoints
	plan  buffers
	cfg   pipeConfig
	start time.Time // of the clock of blocked

	readMu  sync.Mutex // held by Read for its whole duration, guards the in side
	writeMu sync.Mutex // held by Write for its whole duration
	mu      sync.Mutex // guards the out side, every frame in flight and the calls of submit and reap

	rx  inSide
	tx  outSide
	bad fault // a completion that ends the pipe; guarded by mu and readMu both

	free     chan *frame // OUT frames that are nobody's
	done     chan struct{}
	failMu   sync.Mutex // guards cause
	cause    error
	closed   atomic.Bool
	closing  sync.Once
	gone     chan struct{} // closed when teardown has ended
	closeErr error         // valid after gone
	limit    time.Duration // closeTimeout

	bytesIn, bytesOut atomic.Uint64
	blocked           atomic.Int64 // when the writer began to wait, since start; 0 if it does not
	pending           atomic.Int32 // OUT transfers in flight
	recoveries        atomic.Uint64
	emptyOut          atomic.Uint64 // zero-length packets sent
}

// fault is a completion, or a refusal, that ends the pipe.
type fault struct {
	op    string // "" while there is none
	errno unix.Errno
	kind  error // nil: find out by the errno
}

func (f fault) is() bool { return f.op != "" }

// newPipe starts a pipe on a claimed interface. It owns k from then on, also if
// it fails.
func newPipe(k kernel, ep endpoints, plan buffers, cfg pipeConfig) (*Pipe, error) {
	p := &Pipe{
		k: k, ep: ep, plan: plan, cfg: cfg, log: cfg.log,
		start: time.Now().Add(-1), // so that no instant is 0
		limit: closeTimeout,
		free:  make(chan *frame, plan.outCount+1),
		done:  make(chan struct{}),
		gone:  make(chan struct{}),
	}
	p.rx.collect = p.collect
	p.tx.retry = make(chan struct{}, 1)
	p.tx.piece = roundDown(plan.outSize, ep.outMax)
	for range plan.outCount {
		f := newFrame(k, ep.out, p.tx.piece)
		p.tx.frames = append(p.tx.frames, f)
		p.free <- f
	}
	if !k.zeroPacket() {
		// It holds no data: a zero-length transfer of its own ends packets.
		p.tx.zlp = newFrame(k, ep.out, 0)
		p.tx.frames = append(p.tx.frames, p.tx.zlp)
	}
	if err := p.startReading(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// roundDown makes n a multiple of unit, one at least.
func roundDown(n, unit int) int { return max(n/unit, 1) * unit }

// Stats is what a pipe has done and is doing.
type Stats struct {
	BytesIn    uint64        `json:"bytes_in"`
	BytesOut   uint64        `json:"bytes_out"`
	Pending    int           `json:"pending"`    // packets on their way to the phone
	Blocked    time.Duration `json:"blocked"`    // how long Write has been waiting for the phone to take something, 0 if it is not
	Recoveries uint64        `json:"recoveries"` // halts cleared and failed transfers repeated

	// What zero-length packets have done: EmptyIn had a transfer of their own,
	// since the one before was full to the last byte; ShortIn ended a transfer of
	// full packets before it was full; EmptyOut ended packets to the phone.
	EmptyIn   uint64 `json:"empty_in"`
	ShortIn   uint64 `json:"short_in"`
	EmptyOut  uint64 `json:"empty_out"`
	LargestIn int    `json:"largest_in"` // transfer, bytes
}

// Stats returns the pipe's counters. A phone that does not take what is sent to
// it shows as Blocked growing.
func (p *Pipe) Stats() Stats {
	s := Stats{
		BytesIn:    p.bytesIn.Load(),
		BytesOut:   p.bytesOut.Load(),
		Pending:    int(p.pending.Load()),
		Recoveries: p.recoveries.Load(),
		EmptyOut:   p.emptyOut.Load(),
	}
	p.mu.Lock()
	s.EmptyIn, s.ShortIn, s.LargestIn = p.rx.empty, p.rx.short, p.rx.largest
	p.mu.Unlock()
	if at := p.blocked.Load(); at != 0 {
		s.Blocked = time.Since(p.start) - time.Duration(at)
	}
	return s
}

// Waiting reports whether packets are on their way to the phone. The mark stays the
// same as long as the phone takes none and no more are submitted.
func (p *Pipe) Waiting() (mark uint64, waiting bool) {
	n := p.pending.Load()
	return p.bytesOut.Load()<<16 + uint64(n), n > 0
}

// Err is why the pipe has ended, nil while it has not, net.ErrClosed after Close.
func (p *Pipe) Err() error {
	p.failMu.Lock()
	defer p.failMu.Unlock()
	return p.cause
}

// ended is Err for those inside, who must not see anything but the end after it.
func (p *Pipe) ended() error {
	if p.closed.Load() {
		return net.ErrClosed
	}
	select {
	case <-p.done:
		return p.Err()
	default:
		return nil
	}
}

// fail ends the pipe with a cause, once, and wakes reader and writer.
func (p *Pipe) fail(cause error) {
	p.failMu.Lock()
	defer p.failMu.Unlock()
	if p.cause != nil {
		return
	}
	p.cause = cause
	close(p.done)
	p.k.interrupt(time.Unix(1, 0)) // now and always
}

// broken ends the pipe for a fault. It may wait for the device's lock, so no
// lock of the pipe that Close needs at once is held.
func (p *Pipe) broken(f fault) error {
	err := p.name(f)
	p.fail(err)
	return p.Err()
}

// name finds the error for a fault.
func (p *Pipe) name(f fault) error {
	kind := f.kind
	if kind == nil {
		kind = kindOf(f.errno)
		// ENODEV needs no second opinion, which would take until the kernel has
		// taken the phone down.
		if kind == ErrGone && f.errno != unix.ENODEV && p.cfg.lost != nil {
			kind = p.cfg.lost(f.errno)
		}
	}
	if f.errno == 0 {
		return fmt.Errorf("%w (%s)", kind, f.op)
	}
	return fmt.Errorf("%w (%s: %s)", kind, f.op, unix.ErrnoName(f.errno))
}

// kindOf sorts the errno of a completion or of a refused transfer.
func kindOf(errno unix.Errno) error {
	switch errno {
	case unix.EPIPE:
		return ErrStalled
	case unix.EOVERFLOW:
		return ErrOverflow
	case unix.ENOMEM:
		return ErrMemory
	case unix.EPROTO, unix.EILSEQ, unix.ETIME, unix.ETIMEDOUT, unix.ECOMM, unix.ENOSR, unix.EREMOTEIO, unix.EIO, unix.EXDEV:
		return ErrTransfer
	}
	// ENODEV, ESHUTDOWN: unplugged, or unbound by a new configuration. ENOENT,
	// ECONNRESET: cancelled by someone else. ESRCH, EINVAL, EHOSTUNREACH: no
	// such configuration, endpoint or state any more.
	return ErrGone
}

// transient reports whether a transfer that ended so may be repeated.
func transient(errno unix.Errno) bool {
	return kindOf(errno) == ErrTransfer
}

// Close ends the pipe: Read and Write return net.ErrClosed, transfers are taken
// back, the interface is released, the node closed. It waits for that, but not
// for long: a kernel that does not let go gets ErrStuck, and the rest is done in
// the background. It may be called again, and by the reader and the writer.
func (p *Pipe) Close() error {
	p.closing.Do(func() {
		p.closed.Store(true)
		p.fail(net.ErrClosed)
		go p.teardown() // waited for below, unless the kernel hangs
	})
	timeout := time.NewTimer(p.limit)
	defer timeout.Stop()
	select {
	case <-p.gone:
		return p.closeErr
	case <-timeout.C:
		return ErrStuck
	}
}

// teardown is alone with the pipe once Read and Write have left: later calls of
// them see that it is closed and touch nothing. It keeps their locks from nobody,
// since it may hang.
func (p *Pipe) teardown() {
	defer close(p.gone)
	p.readMu.Lock()
	p.readMu.Unlock() //lint:ignore SA2001 waits for Read
	p.writeMu.Lock()
	p.writeMu.Unlock() //lint:ignore SA2001 waits for Write

	if errors.Is(p.Err(), net.ErrClosed) {
		p.k.interrupt(time.Now().Add(closeGrace))
		p.k.wait(func(uintptr) bool {
			p.collect(0)
			return p.pending.Load() == 0 || p.bad.is() || p.tx.halted
		})
	}
	for _, list := range [][]*frame{p.rx.frames, p.tx.frames} {
		for _, f := range list {
			if f.state == frameFlight {
				p.k.discard(f)
			}
		}
	}
	p.collect(0)
	if p.ep.iface >= 0 {
		p.k.release(p.ep.iface)
	}
	for _, list := range [][]*frame{p.rx.frames, p.tx.frames} {
		for _, f := range list {
			if f.mapped {
				p.k.free(f.buf)
				f.buf, f.buffer = nil, nil
			}
		}
	}
	p.closeErr = p.k.close()
	p.log.Debug("transfers ended", zap.Any("stats", p.Stats()))
	if p.cfg.released != nil {
		p.cfg.released()
	}
}

// collect reaps all there is. It reports whether the reader has something to do.
func (p *Pipe) collect(uintptr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		f, errno := p.k.reap()
		switch {
		case errno == unix.EAGAIN:
			if p.rx.idle > 0 && p.rx.flight == 0 && !p.rx.busy() && !p.tx.halted && !p.bad.is() {
				p.receiveIdleLocked() // what was sent may have given memory back
			}
			return p.rx.busy() || p.tx.halted || p.bad.is()
		case errno == unix.EINTR:
		case errno == unix.ENODEV:
			// The last word, whatever the transfers have said before.
			p.bad = fault{op: "reap", errno: errno, kind: ErrGone}
			return true
		case errno != 0:
			p.badLocked(fault{op: "reap", errno: errno})
			return true
		case f.in():
			p.receivedLocked(f)
		default:
			p.sentLocked(f)
		}
	}
}

// badLocked notes the first fault. The reader acts on it when it has handed out
// the data that came before.
func (p *Pipe) badLocked(f fault) {
	if !p.bad.is() {
		p.bad = f
	}
}
