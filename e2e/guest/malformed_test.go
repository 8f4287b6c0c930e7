//go:build guest

package guest_test

import (
	"path/filepath"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// TestMalformedDescriptors proves that a phone whose configuration descriptors
// are broken is logged with its place and skipped, and that a good phone beside
// it works and never notices.
func TestMalformedDescriptors(t *testing.T) {
	d := start(t)
	good := attach(t, 1, virtualphone.Config{}, usbip.Config{})
	ids := visible(t, good)
	quiet, err := dial(ids[good.UDID()], virtualphone.EchoPort)
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	odd := attach(t, 0, virtualphone.Config{}, usbip.Config{Faults: usbip.Faults{BadDescriptors: true}})
	place := filepath.Base(sysfs(t, odd))
	if !againstC() {
		logged(t, d, 20*time.Second, "device skipped", "/"+place+`"`, "malformed descriptors")
	}
	if err := echoOn(quiet, 100_000); err != nil {
		t.Errorf("the other phone's old connection: %v", err)
	}
	visible(t, good)
	odd.Unplug()
	visible(t, good)
}
