package usb

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is what a Pipe needs of usbfs: a node, or a test's stand-in. Submit and
// reap are called under the pipe's lock, the rest is safe beside them.
type kernel interface {
	// submit starts f's transfer. Transfers of one endpoint are carried out and
	// complete in the order of their submission.
	submit(f *frame) unix.Errno
	// reap returns a completed frame. EAGAIN: none is; ENODEV: none is, and the
	// device is gone.
	reap() (*frame, unix.Errno)
	// discard cancels f's transfer and returns when it has completed, which is
	// never if the host controller does not let go. EINVAL: it had completed.
	discard(f *frame) unix.Errno
	// clearHalt asks the phone to forget a stall. It takes up to 5 s.
	clearHalt(endpoint uint8) unix.Errno
	// wait calls ready, and again after each completion, until it returns true.
	// ready must not block. At the time set by interrupt it fails with
	// os.ErrDeadlineExceeded.
	wait(ready func(uintptr) bool) error
	// yield lets others run who wait for descriptors.
	yield()
	// interrupt ends each wait at t; never for the zero time.
	interrupt(t time.Time)
	// alloc returns memory for transfers, mapped from the kernel if it can be;
	// only mapped memory is given back with free.
	alloc(size int) (b []byte, mapped bool)
	free(b []byte)
	// zeroPacket reports whether submit knows urbZeroPacket.
	zeroPacket() bool
	release(iface int) unix.Errno
	close() error
}

// frameState says who has a frame.
type frameState uint8

const (
	frameIdle   frameState = iota // nobody
	frameFlight                   // the kernel
	frameQueued                   // IN: holds data that is still to be read
	frameFailed                   // OUT: came back undone, is to be sent again
)

// frame is one transfer and its memory. The kernel writes to both until it has
// been reaped, so the pipe's lists keep every frame alive and nothing moves it.
type frame struct {
	urb // must be the first field: the kernel hands back its address

	buf    []byte
	mapped bool
	state  frameState
	pos    int    // IN: bytes that have been read
	turn   uint64 // OUT: order of submission
}

// newFrame makes a frame with memory for size bytes.
func newFrame(k kernel, endpoint uint8, size int) *frame {
	f := &frame{}
	f.kind = urbTypeBulk
	f.endpoint = endpoint
	f.buf, f.mapped = k.alloc(size)
	f.buffer = unsafe.Pointer(unsafe.SliceData(f.buf))
	return f
}

// prepare makes the next transfer one of n bytes.
func (f *frame) prepare(n int, flags uint32) {
	f.bufferLength = int32(n)
	f.flags = flags
	f.status, f.actualLength, f.errorCount = 0, 0, 0
	f.pos = 0
}

// errno is how the transfer ended, 0 for well.
func (f *frame) errno() unix.Errno { return unix.Errno(-f.status) }

// unread is the data of an IN frame that has not been read.
func (f *frame) unread() []byte { return f.buf[f.pos:f.actualLength] }

// in reports the direction.
func (f *frame) in() bool { return f.endpoint&endpointIn != 0 }

// endpointIn marks the addresses of endpoints that send to the host.
const endpointIn = 0x80
