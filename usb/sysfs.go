package usb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sysDevice is the directory of a device in sysfs. The kernel answers from
// memory, without asking the phone.
type sysDevice struct {
	dir string // "" when it is not known
	at  Address
}

func newSysDevice(root string, at Address) sysDevice {
	if at.SysPath == "" {
		return sysDevice{at: at}
	}
	return sysDevice{dir: filepath.Join(root, at.SysPath), at: at}
}

// read gives an attribute without the newline; "" if there is none.
func (d sysDevice) read(name string) string {
	if d.dir == "" {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// descriptors are the device's, as the kernel has read them. The error is ErrGone if
// it has left, else errNoSysfs.
func (d sysDevice) descriptors() (descriptors, error) {
	if d.dir == "" {
		return descriptors{}, errNoSysfs
	}
	raw, err := os.ReadFile(filepath.Join(d.dir, "descriptors"))
	switch {
	case err != nil && !d.present():
		return descriptors{}, ErrGone
	case err != nil:
		return descriptors{}, fmt.Errorf("%w: %w", errNoSysfs, err)
	}
	parsed, err := parseDescriptors(raw)
	if err != nil {
		return descriptors{}, fmt.Errorf("%w: %s: %w", errNoSysfs, d.at.SysPath, err)
	}
	return parsed, nil
}

// errNoSysfs is that sysfs does not have the descriptors, or that they make no sense.
var errNoSysfs = errors.New("sysfs does not describe the phone")

// present reports whether the device at the address is still there.
func (d sysDevice) present() bool {
	if d.dir == "" {
		_, err := os.Stat(d.at.Node)
		return !errors.Is(err, fs.ErrNotExist)
	}
	return d.read("devnum") == strconv.Itoa(d.at.Address)
}

// configuration is the active one, 0 if the device is unconfigured; ok is false
// if sysfs does not say.
func (d sysDevice) configuration() (value int, ok bool) {
	if d.dir == "" {
		return 0, false
	}
	text, err := os.ReadFile(filepath.Join(d.dir, "bConfigurationValue"))
	if err != nil {
		return 0, false
	}
	value, _ = strconv.Atoi(strings.TrimSpace(string(text))) // empty when unconfigured
	return value, true
}

// speed is the negotiated speed in bits per second.
func (d sysDevice) speed() uint64 { return parseSpeed(d.read("speed")) }

// parseSpeed reads what sysfs says in Mbit/s: "1.5", "12", "480", "5000",
// "10000", "20000". What it does not know counts as high speed.
func parseSpeed(s string) uint64 {
	mbits, err := strconv.ParseFloat(s, 64)
	if err != nil || !(mbits > 0 && mbits < 1e6) { // not a number is neither
		return 480e6
	}
	return uint64(mbits * 1e6)
}
