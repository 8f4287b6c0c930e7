package usb

import (
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const (
	testIn  = 0x85
	testOut = 0x04
)

// fakeKernel behaves as usbfs does, without a device: the test completes what is
// pending, or has drive do it with a virtual phone.
type fakeKernel struct {
	t testing.TB

	// Set before use.
	noZLP     bool                    // no urbZeroPacket
	memory    int                     // bytes that may be in flight, 0 for no limit
	sink      bool                    // OUT transfers complete at once
	onSubmit  func(*frame) unix.Errno // may refuse
	onDiscard func(*frame)            // may block
	onClear   func(ep uint8) unix.Errno

	mu        sync.Mutex // guards all below
	pending   map[uint8][]*frame
	completed []*frame
	inFlight  int
	gone      bool
	cleared   []uint8
	sent      [][]byte // OUT transfers that completed well, a ZLP as an empty one
	mapped    int
	released  bool
	closed    bool
	yields    int

	ready    chan struct{} // an edge
	deadline time.Time
	changed  chan struct{} // closed and replaced with the deadline
}

func newFakeKernel(t testing.TB) *fakeKernel {
	k := &fakeKernel{
		t:       t,
		pending: make(map[uint8][]*frame),
		ready:   make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	return k
}

func (k *fakeKernel) submit(f *frame) unix.Errno {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		k.t.Error("submit after close")
	}
	if k.onSubmit != nil {
		if errno := k.onSubmit(f); errno != 0 {
			return errno
		}
	}
	if k.gone {
		return unix.ENODEV
	}
	if k.memory > 0 && k.inFlight+int(f.bufferLength) > k.memory {
		return unix.ENOMEM
	}
	if slices.Contains(k.pending[f.endpoint], f) || slices.Contains(k.completed, f) {
		k.t.Error("a frame submitted twice")
	}
	k.inFlight += int(f.bufferLength)
	k.pending[f.endpoint] = append(k.pending[f.endpoint], f)
	if k.sink && !f.in() {
		k.completeLocked(f, 0, int(f.bufferLength))
	}
	return 0
}

// completeLocked ends the transfer of a pending frame.
func (k *fakeKernel) completeLocked(f *frame, errno unix.Errno, n int) {
	list := k.pending[f.endpoint]
	i := slices.Index(list, f)
	if i < 0 {
		k.t.Error("completed a frame that is not pending")
		return
	}
	k.pending[f.endpoint] = slices.Delete(list, i, i+1)
	f.status = -int32(errno)
	f.actualLength = int32(n)
	if !f.in() && errno == 0 {
		k.sent = append(k.sent, slices.Clone(f.buf[:n]))
		if f.flags&urbZeroPacket != 0 && n%512 == 0 {
			k.sent = append(k.sent, nil)
		}
	}
	k.completed = append(k.completed, f)
	k.edge()
}

func (k *fakeKernel) edge() {
	select {
	case k.ready <- struct{}{}:
	default:
	}
}

// finish completes the oldest transfer of an endpoint, with data for IN.
func (k *fakeKernel) finish(ep uint8, errno unix.Errno, data []byte) {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.pending[ep]) == 0 {
		k.t.Fatalf("no transfer pending on endpoint %#02x", ep)
	}
	f := k.pending[ep][0]
	n := len(data)
	if f.in() {
		copy(f.buf, data)
	}
	k.completeLocked(f, errno, n)
}

// finishOut completes the oldest OUT transfer well.
func (k *fakeKernel) finishOut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.pending[testOut][0]
	k.completeLocked(f, 0, int(f.bufferLength))
}

// unplug has all transfers complete as the kernel does.
func (k *fakeKernel) unplug() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gone = true
	for _, ep := range []uint8{testIn, testOut} {
		for _, f := range slices.Clone(k.pending[ep]) {
			k.completeLocked(f, unix.ESHUTDOWN, 0)
		}
	}
	k.edge()
}

func (k *fakeKernel) count(ep uint8) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.pending[ep])
}

func (k *fakeKernel) sentLog() [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.sent)
}

func (k *fakeKernel) reap() (*frame, unix.Errno) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.completed) == 0 {
		if k.gone {
			return nil, unix.ENODEV
		}
		return nil, unix.EAGAIN
	}
	f := k.completed[0]
	k.completed = k.completed[1:]
	k.inFlight -= int(f.bufferLength)
	return f, 0
}

func (k *fakeKernel) discard(f *frame) unix.Errno {
	if k.onDiscard != nil {
		k.onDiscard(f)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Contains(k.pending[f.endpoint], f) {
		return unix.EINVAL
	}
	k.completeLocked(f, unix.ENOENT, 0)
	return 0
}

func (k *fakeKernel) clearHalt(ep uint8) unix.Errno {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(k.pending[ep]); n > 0 {
		k.t.Errorf("halt cleared with %d transfers pending", n)
	}
	k.cleared = append(k.cleared, ep)
	if k.onClear != nil {
		return k.onClear(ep)
	}
	return 0
}

func (k *fakeKernel) yield() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.yields++
}

func (k *fakeKernel) wait(ready func(uintptr) bool) error {
	for {
		k.mu.Lock()
		deadline, changed := k.deadline, k.changed
		k.mu.Unlock()
		var expired <-chan time.Time
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				return os.ErrDeadlineExceeded
			}
			timer := time.NewTimer(left)
			defer timer.Stop()
			expired = timer.C
		}
		if ready(0) {
			return nil
		}
		select {
		case <-k.ready:
		case <-changed:
		case <-expired:
		}
	}
}

func (k *fakeKernel) interrupt(t time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deadline = t
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *fakeKernel) alloc(size int) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mapped++
	return make([]byte, size), true
}

func (k *fakeKernel) free([]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mapped--
}

func (k *fakeKernel) zeroPacket() bool { return !k.noZLP }

func (k *fakeKernel) release(iface int) unix.Errno {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.pending[testIn])+len(k.pending[testOut]) > 0 {
		k.t.Error("interface released with transfers pending")
	}
	k.released = true
	return 0
}

func (k *fakeKernel) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		k.t.Error("closed twice")
	}
	k.closed = true
	return nil
}

// checkClean asserts that a closed pipe has left nothing behind.
func (k *fakeKernel) checkClean() {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed || !k.released || k.mapped != 0 || len(k.pending[testIn])+len(k.pending[testOut])+len(k.completed) != 0 {
		k.t.Errorf("left behind: closed %v, released %v, %d buffers, %d IN, %d OUT, %d not reaped",
			k.closed, k.released, k.mapped, len(k.pending[testIn]), len(k.pending[testOut]), len(k.completed))
	}
}

var testEndpoints = endpoints{iface: 1, in: testIn, out: testOut, inMax: 512, outMax: 512}

// start makes a pipe on k that is closed, and checked, at the end of the test.
func start(t testing.TB, k *fakeKernel, plan buffers) *Pipe {
	t.Helper()
	p, err := newPipe(k, testEndpoints, plan, pipeConfig{log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		k.checkClean()
	})
	return p
}
