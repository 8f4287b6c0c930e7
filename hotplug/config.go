package hotplug

import (
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Config says where to look and what to report. The zero value watches the
// running system and reports Apple's devices.
type Config struct {
	// Log gets what an operator must know at Warn and Info, the rest at Debug.
	// nil logs nothing.
	Log *zap.Logger

	SysRoot string // where sysfs is mounted; default /sys
	RunRoot string // where udevd keeps its state, as RunRoot/udev; default /run
	DevRoot string // where the device nodes are; default /dev

	// Allow, when not empty, leaves everything unreported that matches none of
	// its rules. A rule that names a vendor and a product also makes a device
	// eligible that Monitor would not know by itself, of any vendor: it is Mux if
	// it has the usbmux interface and NoMux if not.
	Allow []Rule
	// Deny leaves devices unreported that match one of its rules. It wins over
	// Allow.
	Deny []Rule

	// Manual leaves what arrives after the first scan unreported until Rescan.
	// Departures are reported all the same.
	Manual bool

	// Poll makes Run look at sysfs every PollInterval even where a netlink
	// socket can be had: for network namespaces that no uevent reaches.
	Poll bool
	// PollInterval is the time between two looks at sysfs while there are no
	// uevents; default 2 s. With uevents it has no effect.
	PollInterval time.Duration
}

// defaultPollInterval keeps a plug-in below what a person waits for, at one
// directory listing per tick.
const defaultPollInterval = 2 * time.Second

// validate fills in the defaults. It reports the first field that makes no sense.
func (c Config) validate() (Config, error) {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.SysRoot == "" {
		c.SysRoot = "/sys"
	}
	if c.RunRoot == "" {
		c.RunRoot = "/run"
	}
	if c.DevRoot == "" {
		c.DevRoot = "/dev"
	}
	if c.PollInterval < 0 {
		return c, fmt.Errorf("poll interval %v is negative", c.PollInterval)
	}
	if c.PollInterval == 0 {
		c.PollInterval = defaultPollInterval
	}
	return c, policy{allow: c.Allow, deny: c.Deny}.validate()
}
