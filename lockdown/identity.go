package lockdown

import (
	"context"
	"strconv"
	"strings"
)

// Identity is what a phone tells about itself without being paired. A phone may
// leave out any of it. All of it is text from outside.
type Identity struct {
	DeviceName     string `plist:"DeviceName"`     // the user's name for it: "Anna's iPhone"
	DeviceClass    string `plist:"DeviceClass"`    // "iPhone", "iPad", "iPod", "Watch", "AppleTV", ...
	ProductType    string `plist:"ProductType"`    // "iPhone15,2"
	ProductVersion string `plist:"ProductVersion"` // "17.5.1"
	BuildVersion   string `plist:"BuildVersion"`   // "21F90"
	UniqueDeviceID string `plist:"UniqueDeviceID"` // UDID
	WiFiAddress    string `plist:"WiFiAddress"`    // MAC address, lower case with colons
}

// Identity asks the phone for its identity, with one request if the phone gives
// all its values at once. It asks again for class and version if those are
// missing, because TLS depends on them.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	var id Identity
	if err := refusalIsNone(c.Value(ctx, "", "", &id)); err != nil {
		return Identity{}, err
	}
	if err := c.complete(ctx, &id); err != nil {
		return Identity{}, err
	}
	c.identity = id
	return id, nil
}

// complete asks for class and version, if missing, one by one.
func (c *Client) complete(ctx context.Context, id *Identity) error {
	for _, f := range []struct {
		key string
		to  *string
	}{{"ProductVersion", &id.ProductVersion}, {"DeviceClass", &id.DeviceClass}} {
		if *f.to != "" {
			continue
		}
		if err := refusalIsNone(c.Value(ctx, "", f.key, f.to)); err != nil {
			return err
		}
	}
	return nil
}

// generation returns an Identity with at least class and version, if the phone
// gives them; the one known already if there is one.
func (c *Client) generation(ctx context.Context) (Identity, error) {
	if c.identity.ProductVersion == "" {
		if err := c.complete(ctx, &c.identity); err != nil {
			return Identity{}, err
		}
	}
	return c.identity, nil
}

// refusalIsNone drops a refusal: what the phone does not tell is unknown.
func refusalIsNone(err error) error {
	if isRefusal(err) {
		return nil
	}
	return err
}

// Major is the first number of ProductVersion, 0 if there is none.
func (id Identity) Major() int {
	first, _, _ := strings.Cut(id.ProductVersion, ".")
	n, err := strconv.Atoi(first)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// olderThan says whether the phone certainly runs a system before the given iOS
// major version. Only classes that count their versions as iOS does can be that
// old, or tell: watchOS 1 and visionOS 1 are younger than their number.
func (id Identity) olderThan(major int) bool {
	switch id.DeviceClass {
	case "iPhone", "iPad", "iPod", "AppleTV":
		return id.Major() > 0 && id.Major() < major
	case "Watch": // watchOS 2 came with iOS 9
		return id.Major() > 0 && id.Major()+7 < major
	}
	return false
}
