package service

import (
	"bytes"
	"image/png"
	"slices"
	"testing"
)

// askPlist sends m and returns the phone's next answer.
func askPlist(t *testing.T, h Handler, m any) (next func() map[string]any) {
	t.Helper()
	host := start(t, h)
	tell(t, host, m, true)
	return func() map[string]any {
		t.Helper()
		var a map[string]any
		if inBinary, err := ReadPlist(host, &a); err != nil || !inBinary {
			t.Fatalf("want a binary answer, got %v, %v", inBinary, err)
		}
		return a
	}
}

func TestInstallationBrowse(t *testing.T) {
	for _, tt := range []struct {
		kind string
		want []string
	}{
		{"", []string{"org.example.notes", "org.example.metro"}},
		{"User", []string{"org.example.notes", "org.example.metro"}},
		{"System", []string{"com.apple.Preferences", "com.apple.mobileslideshow"}},
		{"Any", []string{"com.apple.Preferences", "com.apple.mobileslideshow", "org.example.notes", "org.example.metro"}},
	} {
		next := askPlist(t, Installation(SampleApps), map[string]any{
			"Command": "Browse", "ClientOptions": map[string]any{"ApplicationType": tt.kind, "ReturnAttributes": []string{"CFBundleIdentifier", "Moon"}},
		})
		var got []string
		for a := next(); a["Status"] != "Complete"; a = next() {
			for _, app := range a["CurrentList"].([]any) {
				app := app.(map[string]any)
				got = append(got, app["CFBundleIdentifier"].(string))
				if len(app) != 1 {
					t.Errorf("want one attribute, got %v", app)
				}
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: want %v, got %v", tt.kind, tt.want, got)
		}
	}
}

func TestInstallationLookup(t *testing.T) {
	a := askPlist(t, Installation(SampleApps), map[string]any{
		"Command": "Lookup", "ClientOptions": map[string]any{"BundleIDs": []string{"org.example.metro", "moon"}},
	})()
	found, _ := a["LookupResult"].(map[string]any)
	app, _ := found["org.example.metro"].(map[string]any)
	if a["Status"] != "Complete" || len(found) != 1 || app["CFBundleDisplayName"] != "Metro Map" {
		t.Errorf("want the metro map, got %v", a)
	}
	if a := askPlist(t, Installation(nil), map[string]any{"Command": "Browse"})(); a["Status"] != "Complete" {
		t.Errorf("want an empty list, got %v", a)
	}
	if a := askPlist(t, Installation(SampleApps), map[string]any{"Command": "Uninstall"})(); a["Error"] == nil {
		t.Errorf("want an error, got %v", a)
	}
}

func TestSpringBoard(t *testing.T) {
	a := askPlist(t, SpringBoard(SampleApps), map[string]any{"command": "getIconPNGData", "bundleId": "org.example.metro"})()
	data, _ := a["pngData"].([]byte)
	if img, err := png.Decode(bytes.NewReader(data)); err != nil || img.Bounds().Dx() != iconSize {
		t.Errorf("want an icon, got %v, %v", a, err)
	}
	for _, m := range []map[string]any{{"command": "getIconPNGData", "bundleId": "moon"}, {"command": "setIconState"}} {
		if a := askPlist(t, SpringBoard(SampleApps), m)(); a["Error"] == nil {
			t.Errorf("%v: want an error, got %v", m, a)
		}
	}
	host := start(t, SpringBoard(SampleApps))
	tell(t, host, map[string]any{"command": "getIconState"}, true)
	var state []any
	if _, err := ReadPlist(host, &state); err != nil || len(state) != 2 || len(state[1].([]any)) != len(SampleApps) {
		t.Errorf("want a dock and a page, got %v, %v", state, err)
	}
}
