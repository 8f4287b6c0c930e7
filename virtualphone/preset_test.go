package virtualphone

import (
	"strings"
	"testing"
)

func TestPresets(t *testing.T) {
	udids := make(map[string]bool)
	for _, tt := range []struct {
		name, class, version string
		ios                  int
		dialog               bool
		result               bool // replies carry Result
	}{
		{name: "iphone-3gs", class: "iPhone", version: "6.1.6", ios: 6, result: true},
		{name: "iphone-4", class: "iPhone", version: "4.3.5", ios: 4, result: true},
		{name: "iphone-5s", class: "iPhone", version: "9.3.5", ios: 9, dialog: true},
		{name: "iphone-8", class: "iPhone", version: "12.4.1", ios: 12, dialog: true},
		{name: "iphone-13", class: "iPhone", version: "17.5", ios: 17, dialog: true},
		{name: "iphone-17", class: "iPhone", version: "26.0", ios: 26, dialog: true},
		{name: "ipod-7", class: "iPod", version: "15.7.9", ios: 15, dialog: true},
		{name: "ipad-9", class: "iPad", version: "17.5", ios: 17, dialog: true},
		{name: "watch", class: "Watch", version: "10.5", ios: 17, dialog: true},
		{name: "appletv", class: "AppleTV", version: "17.5", ios: 17, dialog: true},
		{name: "vision", class: "RealityDevice", version: "2.0", ios: 18, dialog: true},
		{name: "t2", class: "iBridge", version: "8.5", ios: 17},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := Preset(tt.name)
			must(t, err)
			p := newPhone(t, cfg)
			if n := cfg.iOS(); n != tt.ios || udids[cfg.UDID] {
				t.Errorf("akin to iOS %d, want %d; UDID %s", n, tt.ios, cfg.UDID)
			}
			udids[cfg.UDID] = true
			h := dialPhone(t, plug(t, p))
			if tt.name == "t2" {
				if _, err := h.dial(LockdownPort); err != errRefused {
					t.Errorf("lockdown port: %v, want refused", err)
				}
				return
			}
			l := lockdownOf(h)
			if a := l.want("QueryType", nil, ""); (a["Result"] == "Success") != tt.result {
				t.Errorf("answer %v", a)
			}
			for key, want := range map[string]any{
				"DeviceClass": tt.class, "ProductVersion": tt.version, "UniqueDeviceID": cfg.UDID,
				"TelephonyCapability": tt.class == "iPhone",
			} {
				if got := l.value("", key); got != want {
					t.Errorf("%s = %v, want %v", key, got, want)
				}
			}
			c := l.computer("H", "B")
			if tt.dialog {
				l.pair(c, "PairingDialogResponsePending")
				must(t, p.TapTrust())
			}
			l.pair(c, "")
			l.start(c, c.cert)
			if tt.name == "ipad-9" {
				if n := l.value("com.apple.disk_usage", "TotalDiskCapacity"); n != uint64(64_000_000_000) {
					t.Errorf("capacity %v", n)
				}
				l.want("GetValue", map[string]any{"Key": "SIMStatus"}, "MissingValue")
			}
			if n := p.Stats().Dialogs; n > 0 != tt.dialog {
				t.Errorf("%d dialogs", n)
			}
			clean(t, p)
		})
	}
	if len(udids) != len(Presets()) {
		t.Errorf("%d presets, this test knows %d", len(Presets()), len(udids))
	}
	if _, err := Preset("fridge"); err == nil || !strings.Contains(err.Error(), "iphone-3gs") {
		t.Errorf("unknown preset: %v", err)
	}
}
