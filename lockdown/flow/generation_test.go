package flow_test

import (
	"slices"
	"testing"
	"time"

	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

// generation is how phones of a time pair, and how long they remember it.
type generation struct {
	seen    string
	dialogs uint64
	disk    string
	days    int
	asks    []string // requests that only this kind gets
}

var (
	noLockdown = generation{seen: "no-lockdown"}
	bagless    = generation{"connecting paired trusted", 0, "bagless used", 180, []string{"ValidatePair"}} // below iOS 4
	legacy     = generation{"connecting paired trusted", 0, "record used", 180, []string{"ValidatePair"}}  // below iOS 7
	asking     = generation{"connecting dialog-shown paired trusted", 1, "record used", 180, []string{"SetValue", "StartService"}}
	modern     = generation{"connecting dialog-shown paired trusted", 1, "record used", 30, []string{"SetValue", "StartService"}} // from iOS 11 on
)

// generations are the first connections of all kinds of devices: phones by version,
// others by the name of their preset.
var generations = []struct {
	device string
	is     generation
}{
	{"3.1.3", bagless}, {"4.3.5", legacy}, {"5.1.1", legacy}, {"6.1.6", legacy}, {"7.1.2", asking}, {"9.3.5", asking},
	{"10.3.4", asking}, {"12.5.7", modern}, {"17.5", modern}, {"26.0", modern},
	{"iphone-3gs", legacy}, {"iphone-4", legacy}, {"iphone-5s", asking}, {"iphone-8", modern}, {"iphone-13", modern},
	{"iphone-17", modern}, {"ipod-7", modern}, {"ipad-9", modern}, {"watch", modern}, {"appletv", modern}, {"vision", modern},
	{"t2", noLockdown},
}

var generationStories = func() (all []story) {
	for _, g := range generations {
		cfg, err := virtualphone.Preset(g.device)
		if err != nil {
			cfg = virtualphone.Config{ProductVersion: g.device}
		}
		cfg.Passcode = code
		var asked []string
		all = append(all, story{
			name: "first connection of " + g.device, phone: cfg,
			before: func(r *rig) {
				r.phone.OnRequest(func(request string, done bool) { asked = append(asked, request) })
			},
			tell: func(r *rig) {
				switch {
				case g.is.dialogs > 0:
					r.accept()
				case g.is.days > 0:
					r.expect(2*time.Second, trust.Trusted)
				default:
					r.expect(time.Second, trust.NoLockdown)
				}
				if d := r.status().Expires; g.is.days > 0 && (d == nil || *d != g.is.days) {
					r.t.Errorf("want %d days, got %v", g.is.days, d)
				}
				for _, request := range []string{"ValidatePair", "SetValue", "StartService"} {
					if got, want := slices.Contains(asked, request), slices.Contains(g.is.asks, request); got != want {
						r.t.Errorf("asked for %s: %v, want %v", request, got, want)
					}
				}
			},
			seen: g.is.seen, disk: g.is.disk, dialogs: g.is.dialogs,
		})
	}
	return append(all, story{
		name: "iOS 6, locked", phone: virtualphone.Config{ProductVersion: "6.1.6", Passcode: code, Locked: true},
		tell: func(r *rig) {
			r.expect(time.Second, trust.Locked)
			r.must(r.phone.Unlock(code))
			r.expect(20*time.Second, trust.Trusted)
		},
		seen: "connecting locked(PasswordProtected) paired trusted", disk: "record used",
	})
}()

func TestPresetsHaveTheirStories(t *testing.T) {
	missing := virtualphone.Presets()
	for _, g := range generations {
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == g.device })
	}
	if len(missing) > 0 {
		t.Errorf("not played: %v", missing)
	}
}
