package virtualphone

import (
	"fmt"
	"maps"
	"strings"
)

// A preset is a device by its marketing name. Old ones have a UDID of 40 digits.
type preset struct {
	name, udid, class, product, model string
	version, build                    string
	system                            string // ProductName
	family                            uint64 // of SupportedDeviceFamilies
	arch                              string
	phone                             bool   // TelephonyCapability
	capacity                          uint64 // bytes
	noLockdown                        bool
}

const gb = 1_000_000_000

// presets are the devices that differ in how they pair.
var presets = []preset{
	{"iphone-3gs", "2b6f0cc904d137be2e1730235f5664094b831186", "iPhone", "iPhone2,1", "N88AP", "6.1.6", "10B500", "iPhone OS", 1, "armv7", true, 16 * gb, false},
	{"iphone-4", "3f786850e387550fdab836ed7e6dc881de23001b", "iPhone", "iPhone3,1", "N90AP", "4.3.5", "8L1", "iPhone OS", 1, "armv7", true, 16 * gb, false},
	{"iphone-5s", "89e6c98d92887913cadf06b2adb97f26cde4849b", "iPhone", "iPhone6,1", "N51AP", "9.3.5", "13G36", "iPhone OS", 1, "arm64", true, 32 * gb, false},
	{"iphone-8", "e0c9035898dd52fc65c41454cec9c4d2611bfb37", "iPhone", "iPhone10,1", "D20AP", "12.4.1", "16G102", "iPhone OS", 1, "arm64", true, 64 * gb, false},
	{"iphone-13", "00008110-000A11112222001E", "iPhone", "iPhone14,5", "D17AP", "17.5", "21F79", "iPhone OS", 1, "arm64e", true, 128 * gb, false},
	{"iphone-17", "00008150-001C2D3344550026", "iPhone", "iPhone18,3", "V57AP", "26.0", "23A341", "iPhone OS", 1, "arm64e", true, 256 * gb, false},
	{"ipod-7", "1f8ac10f23c5b5bc1167bda84b833e5c057a77d2", "iPod", "iPod9,1", "N112AP", "15.7.9", "19H365", "iPhone OS", 1, "arm64", false, 32 * gb, false},
	{"ipad-9", "00008030-000B44445555802E", "iPad", "iPad12,1", "J181AP", "17.5", "21F79", "iPhone OS", 2, "arm64e", false, 64 * gb, false},
	{"watch", "00008301-000C66667777002E", "Watch", "Watch6,1", "N157sAP", "10.5", "21T576", "Watch OS", 4, "arm64_32", false, 32 * gb, false},
	{"appletv", "7c4a8d09ca3762af61e59520943dc26494f8941b", "AppleTV", "AppleTV5,3", "J42dAP", "17.5", "21L569", "Apple TVOS", 3, "arm64", false, 32 * gb, false},
	{"vision", "00008112-000D88889999401E", "RealityDevice", "RealityDevice14,1", "N301AP", "2.0", "22N320", "xrOS", 7, "arm64e", false, 256 * gb, false},
	{"t2", "00008012-000EAAAABBBB002E", "iBridge", "iBridge2,5", "J132AP", "8.5", "21P5077", "BridgeOS", 0, "arm64", false, 0, true},
}

// Presets lists the names that Preset takes.
func Presets() []string {
	names := make([]string, len(presets))
	for i, s := range presets {
		names[i] = s.name
	}
	return names
}

// Preset is the Config of a device by name: iphone-3gs (iOS 6, no dialog), iphone-4
// (iOS 4), iphone-5s (9), iphone-8 (12), iphone-13 (17.5, what the zero Config is),
// iphone-17 (26.0; its slow dialog is the caller's Behavior.DialogDelay), ipod-7
// (15), ipad-9 (17.5), watch (watchOS 10), appletv (tvOS 17), vision (visionOS 2),
// t2 (no lockdownd). The USB product id is not in it.
func Preset(name string) (Config, error) {
	for i := range presets {
		if presets[i].name == name {
			return presets[i].config(), nil
		}
	}
	return Config{}, fmt.Errorf("no preset %q; there are: %s", name, strings.Join(Presets(), ", "))
}

func (s *preset) config() Config {
	c := Config{
		UDID: s.udid, ProductType: s.product, ProductVersion: s.version, BuildVersion: s.build,
		DeviceClass: s.class, Model: s.model, NoLockdown: s.noLockdown,
	}
	c.Name = "Virtual " + c.genericName()
	own := map[string]any{
		"ProductName": s.system, "CPUArchitecture": s.arch, "TelephonyCapability": s.phone,
		"SupportedDeviceFamilies": []any{s.family}, "HardwarePlatform": nil,
	}
	if !s.phone {
		maps.Copy(own, map[string]any{
			"BasebandStatus":  "NoTelephonyCapabilty", // spelt so
			"BasebandVersion": nil, "InternationalMobileEquipmentIdentity": nil, "SIMStatus": nil,
		})
	}
	disk := map[string]any{}
	if s.capacity > 0 {
		const system = 8_814_657_536
		disk["TotalDiskCapacity"] = s.capacity
		disk["TotalDataCapacity"] = s.capacity - system
		disk["TotalDataAvailable"] = (s.capacity - system) / 2
	}
	c.Values = map[string]map[string]any{"": own, domainDisk: disk}
	return c
}
