//go:build guest

package guest_test

import (
	"strings"
	"testing"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// TestRestoreMode proves that a phone in restore mode, whose restored answers in
// lockdownd's place, is listed and carries data, that the ordinary tools fail on
// it and do not hang, and that the daemon does not complain of it.
func TestRestoreMode(t *testing.T) {
	d := start(t)
	p := attach(t, 0, virtualphone.Config{RestoreMode: true}, usbip.Config{})
	ids := visible(t, p)
	if err := listed(t, p); err != nil {
		t.Error(err)
	}
	answer, err := queryType(ids[p.UDID()])
	if err != nil || !strings.Contains(answer, "<string>com.apple.mobile.restored</string>") {
		t.Errorf("want restored to answer, got %q, %v", answer, err)
	}
	if err := refuses("", "ideviceinfo")(t, p); err != nil {
		t.Error(err)
	}
	if err := refuses("com.apple.mobile.restored", "idevicepair", "validate")(t, p); err != nil {
		t.Error(err)
	}
	if err := echo(ids[p.UDID()], 100_000); err != nil {
		t.Error(err)
	}
	visible(t, p)
	if !againstC() {
		calm(t, d)
	}
}

// calm checks that our daemon has not complained.
func calm(t *testing.T, d *daemon) {
	t.Helper()
	for line := range strings.Lines(d.Log()) {
		if strings.Contains(line, " WARN ") || strings.Contains(line, " ERROR ") {
			t.Errorf("the daemon complains: %s", line)
		}
	}
}
