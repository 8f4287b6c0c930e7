package hotplug

import (
	"bytes"
	"errors"
	"os"

	"go.uber.org/zap"
)

// source yields uevents. It is the seam between the kernel and the tests.
type source interface {
	// receive waits for the next message, which is valid until the next call. It
	// returns errLost when messages were dropped, errDrained when the queue that
	// dropped them is empty again, and os.ErrClosed after close; any other error
	// ends the source.
	receive() ([]byte, sender, error)
	// close ends a receive that waits. It may be called once, from any goroutine.
	close() error
}

// errLost says that the socket could not hold all messages. Until it has been
// emptied more may be dropped without notice; errDrained says that this is over.
var (
	errLost    = errors.New("uevents were lost")
	errDrained = errors.New("uevents are no longer lost")
)

// sender is what the kernel says about the origin of a message.
type sender struct {
	port      uint32 // netlink port id; 0 is the kernel
	uid       uint32 // valid if creds
	creds     bool
	truncated bool // the message did not fit the buffer
}

// trusted reports whether a message of this format may come from this sender: the
// kernel's own from the kernel, udevd's from root.
func (s sender) trusted(msg []byte) bool {
	if bytes.HasPrefix(msg, []byte(udevName)) {
		return s.creds && s.uid == 0
	}
	return s.port == 0
}

// hint is what the reader passes on: a reason to look at sysfs. It carries
// nothing that is believed without looking, but that udevd is done.
type hint struct {
	path         string // "" with lost, drained and err
	udev         bool
	removed      bool
	bus, address int
	lost         bool  // messages are missing: look at everything
	drained      bool  // no more are: look at everything once more
	err          error // the source ended
}

// reader turns the messages of one source into hints.
type reader struct {
	log     *zap.Logger
	wanted  func(vendor uint16) bool
	hints   chan<- hint
	stop    <-chan struct{}
	skipped uint64
}

// run reads until the source ends or stop is closed.
func (r *reader) run(src source) {
	for {
		msg, from, err := src.receive()
		var h hint
		switch {
		case err == nil:
			var ok bool
			if h, ok = r.judge(msg, from); !ok {
				continue
			}
		case errors.Is(err, errLost):
			h.lost = true
		case errors.Is(err, errDrained):
			h.drained = true
		case errors.Is(err, os.ErrClosed):
			return
		default:
			h.err = err
		}
		select {
		case r.hints <- h:
		case <-r.stop:
			return
		}
		if h.err != nil {
			return
		}
	}
}

// judge makes a hint of a message about a device that may be ours. It does not
// allocate for others.
func (r *reader) judge(msg []byte, from sender) (hint, bool) {
	if !from.trusted(msg) {
		r.skip("uevent of a stranger skipped", zap.Uint32("sender_port", from.port), zap.Uint32("sender_uid", from.uid))
		return hint{}, false
	}
	if from.truncated {
		return hint{lost: true}, true // it may have been about a phone
	}
	e, ok, err := parseUevent(msg, r.wanted)
	if err != nil {
		r.skip("uevent skipped", zap.ByteString("sysfs", e.path[:min(len(e.path), maxPath)]), zap.Error(err))
		return hint{}, false
	}
	if !ok {
		return hint{}, false
	}
	return hint{path: string(e.path), udev: e.udev, removed: e.removed, bus: e.bus, address: e.address}, true
}

// skip logs what cannot be used, with the first, second, fourth ... occurrence at
// Warn, so that a flood of it does not become a flood of lines.
func (r *reader) skip(msg string, fields ...zap.Field) {
	r.skipped++
	level := zap.DebugLevel
	if r.skipped&(r.skipped-1) == 0 {
		level = zap.WarnLevel
	}
	if ce := r.log.Check(level, msg); ce != nil {
		ce.Write(append(fields, zap.Uint64("skipped", r.skipped))...)
	}
}
