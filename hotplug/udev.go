package hotplug

import (
	"os"
	"path/filepath"
	"time"
)

// settleTime is how long a device may wait for udevd. A rule that takes longer,
// a udevd that died, or one whose messages do not reach this namespace must not
// hide a phone.
const settleTime = 3 * time.Second

// udevd tells from its files below /run how far udevd has come.
type udevd struct{ run string }

// settled reports whether udevd has applied its rules to the device with this
// device number, or is not there to do it. udevd keeps a file for each device
// that it has handled, and removes it when the device leaves.
func (u udevd) settled(devno string) bool {
	if devno == "" || !exists(filepath.Join(u.run, "udev/control")) {
		return true
	}
	data := filepath.Join(u.run, "udev/data")
	return !exists(data) || exists(filepath.Join(data, "c"+devno))
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
