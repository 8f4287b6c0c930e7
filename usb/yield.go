package usb

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxRun is how many transfers the reader takes without a wait before it yields.
const maxRun = 16

// yielder lets Go's poller look at all descriptors in between. It does so by itself
// when no goroutine can run, else only each 10 ms: beside a reader that always finds
// more, a client would wait that long for each step of a connect, several times.
type yielder struct {
	event *os.File // an eventfd
	conn  syscall.RawConn
}

func newYielder() (yielder, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return yielder{}, os.NewSyscallError("eventfd", err)
	}
	y := yielder{event: os.NewFile(uintptr(fd), "yield")}
	if y.conn, err = y.event.SyscallConn(); err != nil {
		y.event.Close()
		return yielder{}, err
	}
	return y, nil
}

// yield waits until the poller has been asked, and all that it woke has had its turn.
func (y yielder) yield() {
	told := false
	_ = y.conn.Read(func(fd uintptr) bool { // fails when closed
		if told {
			return true // never read: each write is an edge
		}
		told = true
		one := uint64(1)
		_, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&one)), 8)
		return errno != 0
	})
	runtime.Gosched() // behind those that the poller woke
}

func (y yielder) close() error { return y.event.Close() }
