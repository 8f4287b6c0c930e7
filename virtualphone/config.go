package virtualphone

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Config describes a phone. The zero value is an iPhone 13 on iOS 17.5 without
// a passcode.
type Config struct {
	UDID           string // as usbmuxd spells it: 40 hex digits, or 8-16 with a hyphen
	Name           string
	ProductType    string
	ProductVersion string // of iOS; decides dialog, passcode prompt and TLS version
	BuildVersion   string
	DeviceClass    string
	Model          string // hardware model, e.g. D17AP
	WiFiAddress    string
	Passcode       string // "" = none set, so the phone is never locked
	Locked         bool   // starts locked since boot; needs a Passcode
	Memory         []byte // of Phone.Memory: it is that phone, with its lock and passcode

	MuxMajor      int // mux version it answers, default 2; others for refused versions
	MaxPacketSize int // bulk packet size in bytes, default 512, super speed 1024

	RestoreMode bool // starts in restore mode, see Phone.SetRestoreMode
	NoLockdown  bool // nobody listens on the lockdown port, as on a T2

	// Values go over what lockdownd says otherwise, by domain and key; nil takes a
	// key away.
	Values map[string]map[string]any

	OwnKey            bool // a device key of its own instead of the one phones of a process share
	Behavior          Behavior
	HeartbeatInterval time.Duration // of com.apple.mobile.heartbeat, default 10 s
	Faults            Faults

	Log *zap.Logger // nil = none
}

var udidShape = regexp.MustCompile(`^([0-9a-fA-F]{40}|[0-9a-fA-F]{8}-[0-9a-fA-F]{16})$`)

// defaults fills what is empty.
func (c *Config) defaults() {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&c.UDID, "00008110-000A11112222001E"},
		{&c.Name, "Virtual iPhone"},
		{&c.ProductType, "iPhone14,5"},
		{&c.ProductVersion, "17.5"},
		{&c.BuildVersion, "21F79"},
		{&c.DeviceClass, "iPhone"},
		{&c.Model, "D17AP"},
		{&c.WiFiAddress, "02:00:5e:10:00:01"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if c.MuxMajor == 0 {
		c.MuxMajor = 2
	}
	if c.MaxPacketSize == 0 {
		c.MaxPacketSize = 512
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
}

func (c *Config) validate() error {
	switch {
	case !udidShape.MatchString(c.UDID):
		return fmt.Errorf("udid %q is neither 40 hex digits nor 8-16 with a hyphen", c.UDID)
	case c.MaxPacketSize < 8 || c.MaxPacketSize > 1024 || c.MaxPacketSize&(c.MaxPacketSize-1) != 0:
		return fmt.Errorf("packet size %d is not a power of two from 8 to 1024", c.MaxPacketSize)
	case c.Locked && c.Passcode == "":
		return fmt.Errorf("a phone without a passcode cannot be locked")
	case c.MuxMajor < 0:
		return fmt.Errorf("mux version %d is negative", c.MuxMajor)
	}
	if _, err := strconv.Atoi(strings.SplitN(c.ProductVersion, ".", 2)[0]); err != nil {
		return fmt.Errorf("product version %q does not start with a number", c.ProductVersion)
	}
	return nil
}

// major is the first number of the product version.
func (c *Config) major() int {
	n, _ := strconv.Atoi(strings.SplitN(c.ProductVersion, ".", 2)[0])
	return n
}

// iOS is the major number of the iOS that the phone's system is akin to. Systems
// had numbers of their own until all took the year's.
func (c *Config) iOS() int {
	n := c.major()
	if n >= 26 {
		return n
	}
	switch c.DeviceClass {
	case "Watch": // watchOS 4 came with iOS 11
		return n + 7
	case "RealityDevice": // visionOS 1 came with iOS 17
		return n + 16
	case "iBridge": // bridgeOS 2 came with iOS 11
		return n + 9
	}
	return n // iPadOS and tvOS count as iOS does
}

// genericName is what a device of the class is called before its owner names it.
func (c *Config) genericName() string {
	switch c.DeviceClass {
	case "iPod":
		return "iPod touch"
	case "Watch":
		return "Apple Watch"
	case "AppleTV":
		return "Apple TV"
	case "RealityDevice":
		return "Apple Vision Pro"
	}
	return c.DeviceClass
}
