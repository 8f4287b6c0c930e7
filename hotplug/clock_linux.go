package hotplug

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// clock tells when the wall clock jumped, as it does on resume from suspend.
type clock struct{ file *os.File }

// openClock arms a timer which never expires and which the kernel cancels when
// the wall clock is set or the system resumes. It costs no periodic wake-up.
func openClock() (*clock, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("resume timer: %w", err)
	}
	never := unix.ItimerSpec{Value: unix.NsecToTimespec(1<<63 - 1)}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &never, nil); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("resume timer: %w", err)
	}
	return &clock{file: os.NewFile(uintptr(fd), "resume timer")}, nil
}

func (c *clock) close() error { return c.file.Close() }

// wait returns nil after each jump and an error once the clock is closed.
func (c *clock) wait() error {
	var b [8]byte
	_, err := c.file.Read(b[:])
	if errors.Is(err, unix.ECANCELED) {
		return nil // and the kernel has armed the timer again
	}
	return err
}
