package usb

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// resetTimeout bounds a reset: the kernel tries a few times, each with time-outs of
// its own, to get a device that does not answer back to where it was.
const resetTimeout = 15 * time.Second

// resets are those that the kernel is busy with. Each phone has a turn of its own:
// one that hangs holds up nobody else.
var resets = newResetting(resetNode)

// Reset has the kernel reset one device on the bus, nothing else on it. Whoever holds
// its interface loses it: a Pipe ends with ErrClaimLost, and should be closed before.
// The kernel then gives the device its address and configuration back. If that comes
// out otherwise than it was, the device leaves the bus and comes back as another one,
// which is no error here. It fails with ErrGone, ErrPermission, ErrReset, ErrHung, or
// with ctx's error.
func Reset(ctx context.Context, at Address) error { return resets.do(ctx, at, resetTimeout) }

// resetNode waits for the device's lock and for the bus.
func resetNode(at Address) error {
	// A descriptor of its own: that of the pipe may be in use, or closed. libusb's way
	// claims and releases interfaces around the reset, which is not wanted.
	n, err := openNode(at.Node)
	if err != nil {
		return openError(at, err)
	}
	defer n.close()
	return resetError(ioctl(n.fd, reqReset, nil))
}

func resetError(errno unix.Errno) error {
	switch errno {
	case 0, unix.ENODEV: // ENODEV: it is enumerated anew
		return nil
	case unix.ESHUTDOWN:
		return fmt.Errorf("%w (reset: %s)", ErrGone, unix.ErrnoName(errno))
	}
	return fmt.Errorf("%w: %s", ErrReset, unix.ErrnoName(errno))
}

// resetting does resets, one of each device at a time.
type resetting struct {
	reset func(Address) error

	mu   sync.Mutex      // guards busy
	busy map[string]bool // by node
}

func newResetting(reset func(Address) error) *resetting {
	return &resetting{reset: reset, busy: make(map[string]bool)}
}

// begin reports whether the kernel is not busy with this device.
func (r *resetting) begin(node string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[node] {
		return false
	}
	r.busy[node] = true
	return true
}

func (r *resetting) end(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, node)
}

func (r *resetting) do(ctx context.Context, at Address, limit time.Duration) error {
	if !r.begin(at.Node) {
		return fmt.Errorf("%w: the kernel is still busy with an earlier reset", ErrHung)
	}
	result := make(chan error, 1)
	go func() { // waited for below, as long as it makes sense
		err := r.reset(at)
		r.end(at.Node)
		result <- err
	}()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timeout.C:
		return fmt.Errorf("%w: reset given up after %v", ErrHung, limit)
	}
}
