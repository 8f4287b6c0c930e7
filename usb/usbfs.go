package usb

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// urb is struct usbdevfs_urb of linux/usbdevice_fs.h.
type urb struct {
	kind         uint8
	endpoint     uint8
	status       int32
	flags        uint32
	buffer       unsafe.Pointer
	bufferLength int32
	actualLength int32
	startFrame   int32
	packets      int32
	errorCount   int32
	signal       uint32
	userContext  uintptr
}

const (
	urbTypeBulk   = 3
	urbZeroPacket = 0x40 // end with a zero-length packet where the length asks for one
)

// Capabilities of usbfs, as GET_CAPABILITIES tells them.
const (
	capZeroPacket = 0x01
	capMmap       = 0x20
)

// getDriver is struct usbdevfs_getdriver.
type getDriver struct {
	iface uint32
	name  [256]byte
}

// interfaceIoctl is struct usbdevfs_ioctl.
type interfaceIoctl struct {
	iface int32
	code  int32
	data  unsafe.Pointer
}

// controlTransfer is struct usbdevfs_ctrltransfer.
type controlTransfer struct {
	requestType uint8
	request     uint8
	value       uint16
	index       uint16
	length      uint16
	timeout     uint32 // ms
	data        unsafe.Pointer
}

// The direction bits of request numbers differ between architectures; they are
// taken from requests of the random device that have them.
const (
	iocNone  = unix.RNDZAPENTCNT - 0x5204
	iocRead  = unix.RNDGETENTCNT - 0x00045200
	iocWrite = unix.RNDADDTOENTCNT - 0x00045201
	iocUSB   = 'U' << 8

	sizeInt = 4 << 16

	reqControl         = iocRead | iocWrite | iocUSB | unsafe.Sizeof(controlTransfer{})<<16
	reqSetConfig       = iocRead | iocUSB | 5 | sizeInt
	reqGetDriver       = iocWrite | iocUSB | 8 | unsafe.Sizeof(getDriver{})<<16
	reqSubmitURB       = iocRead | iocUSB | 10 | unsafe.Sizeof(urb{})<<16
	reqDiscardURB      = iocNone | iocUSB | 11
	reqReapURBNDelay   = iocWrite | iocUSB | 13 | unsafe.Sizeof(uintptr(0))<<16
	reqClaimInterface  = iocRead | iocUSB | 15 | sizeInt
	reqReleaseIface    = iocRead | iocUSB | 16 | sizeInt
	reqReset           = iocNone | iocUSB | 20
	reqIoctl           = iocRead | iocWrite | iocUSB | 18 | unsafe.Sizeof(interfaceIoctl{})<<16
	reqClearHalt       = iocRead | iocUSB | 21 | sizeInt
	reqDisconnect      = iocNone | iocUSB | 22
	reqGetCapabilities = iocRead | iocUSB | 26 | sizeInt
)

// usbfsDriver is the name under which usbfs itself holds an interface.
const usbfsDriver = "usbfs"

// calmAfter is how many good completions end the careful mode of a node.
const calmAfter = 64

// node is an open device node: the kernel that a Pipe talks to.
//
// Submitting and reaping do not wait in the kernel, so they go past Go's
// scheduler, which halves their cost. They do wait for the device's lock,
// though, which the kernel holds while it disconnects or configures the phone;
// a thread that waits there past the scheduler holds up every collection of
// garbage. From the first bad completion on they go through the scheduler, until
// things have been calm for a while.
type node struct {
	fd      int // file owns it
	file    *os.File
	conn    syscall.RawConn
	caps    uint32
	noMmap  bool
	careful int    // good completions until the fast way is taken again
	reaped  *frame // where the kernel puts the address of a completed URB
	yielder
}

// openNode opens a device node. The error is that of open(2).
func openNode(path string) (*node, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	n := &node{fd: fd}
	// Kernels too old to know the request have no capabilities either.
	ioctl(fd, reqGetCapabilities, unsafe.Pointer(&n.caps))
	if err := n.poll(path); err != nil {
		return nil, err
	}
	return n, nil
}

// poll hands the descriptor to Go's poller. A non-blocking file is polled for
// ever; its Fd method, which would end that, is never called.
func (n *node) poll(name string) error {
	n.file = os.NewFile(uintptr(n.fd), name)
	conn, err := n.file.SyscallConn()
	if err != nil {
		n.file.Close()
		return fmt.Errorf("poll %s: %w", name, err)
	}
	n.conn = conn
	if n.yielder, err = newYielder(); err != nil {
		n.file.Close()
		return err
	}
	return nil
}

// ioctl lets the scheduler know that the call may take its time.
func ioctl(fd int, req uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, uintptr(arg))
	return errno
}

// ioctlNow is ioctl for calls that return at once.
func ioctlNow(fd int, req uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), req, uintptr(arg))
	return errno
}

// claim takes an interface of the active configuration; EBUSY if a driver or
// another program has it.
func (n *node) claim(iface int) unix.Errno {
	arg := uint32(iface)
	return ioctl(n.fd, reqClaimInterface, unsafe.Pointer(&arg))
}

func (n *node) release(iface int) unix.Errno {
	arg := uint32(iface)
	return ioctl(n.fd, reqReleaseIface, unsafe.Pointer(&arg))
}

// driver is the name of the driver that holds an interface, "" for none.
func (n *node) driver(iface int) string {
	arg := getDriver{iface: uint32(iface)}
	if ioctl(n.fd, reqGetDriver, unsafe.Pointer(&arg)) != 0 {
		return ""
	}
	return unix.ByteSliceToString(arg.name[:])
}

// detach takes an interface from its kernel driver.
func (n *node) detach(iface int) unix.Errno {
	arg := interfaceIoctl{iface: int32(iface), code: int32(reqDisconnect)}
	return ioctl(n.fd, reqIoctl, unsafe.Pointer(&arg))
}

// setConfiguration selects a configuration; EBUSY while an interface of the
// active one is in use. It takes up to 5 s.
func (n *node) setConfiguration(value int) unix.Errno {
	arg := uint32(value)
	return ioctl(n.fd, reqSetConfig, unsafe.Pointer(&arg))
}

// controlIn does a request to endpoint 0 that the phone answers with data.
func (n *node) controlIn(requestType, request uint8, value, index uint16, data []byte) (int, unix.Errno) {
	arg := controlTransfer{
		requestType: requestType,
		request:     request,
		value:       value,
		index:       index,
		length:      uint16(len(data)),
		timeout:     uint32(requestTimeout / time.Millisecond),
		data:        unsafe.Pointer(unsafe.SliceData(data)),
	}
	got, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(n.fd), reqControl, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 {
		return 0, errno
	}
	return int(got), 0
}

// submit implements kernel.
func (n *node) submit(f *frame) unix.Errno {
	if n.careful > 0 {
		return ioctl(n.fd, reqSubmitURB, unsafe.Pointer(f))
	}
	errno := ioctlNow(n.fd, reqSubmitURB, unsafe.Pointer(f))
	if errno != 0 {
		n.careful = calmAfter
	}
	return errno
}

// reap implements kernel.
func (n *node) reap() (*frame, unix.Errno) {
	var errno unix.Errno
	if n.careful > 0 {
		errno = ioctl(n.fd, reqReapURBNDelay, unsafe.Pointer(&n.reaped))
	} else {
		errno = ioctlNow(n.fd, reqReapURBNDelay, unsafe.Pointer(&n.reaped))
	}
	if errno != 0 {
		if errno != unix.EAGAIN {
			n.careful = calmAfter
		}
		return nil, errno
	}
	if n.reaped.status != 0 {
		n.careful = calmAfter
	} else if n.careful > 0 {
		n.careful--
	}
	return n.reaped, 0
}

// discard implements kernel.
func (n *node) discard(f *frame) unix.Errno {
	return ioctl(n.fd, reqDiscardURB, unsafe.Pointer(f))
}

// clearHalt implements kernel.
func (n *node) clearHalt(endpoint uint8) unix.Errno {
	arg := uint32(endpoint)
	return ioctl(n.fd, reqClearHalt, unsafe.Pointer(&arg))
}

// wait implements kernel. usbfs tells completions as writability, at the edge.
func (n *node) wait(ready func(uintptr) bool) error { return n.conn.Write(ready) }

// interrupt implements kernel.
func (n *node) interrupt(t time.Time) { n.file.SetWriteDeadline(t) }

// alloc implements kernel. Mapped memory spares the kernel a copy; where there
// is none, the heap does, since Go does not move what is on it.
func (n *node) alloc(size int) (b []byte, mapped bool) {
	if n.caps&capMmap != 0 && !n.noMmap {
		b, err := unix.Mmap(n.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err == nil {
			return b, true
		}
	}
	return make([]byte, size), false
}

// free implements kernel.
func (n *node) free(b []byte) { unix.Munmap(b) }

// zeroPacket implements kernel.
func (n *node) zeroPacket() bool { return n.caps&capZeroPacket != 0 }

// close implements kernel.
func (n *node) close() error { return errors.Join(n.file.Close(), n.yielder.close()) }
