package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"gomuxd/control"
	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// awaitTrust waits until the first phone is in a state, and returns all states that
// it was seen in on the way.
func awaitTrust(t *testing.T, r *e2e.Rig, want trust.State) (seen []trust.State) {
	t.Helper()
	done := errors.New("there")
	ctx, cancel := context.WithCancel(limit(t))
	defer cancel()
	err := control.Dial(r.Control()).Watch(ctx, func(ev control.Event) error {
		if ev.Type == control.DeviceRemoved {
			return nil
		}
		seen = append(seen, trust.State(ev.Device.Trust))
		if trust.State(ev.Device.Trust) == want {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatalf("want state %v, saw %v, %v\n%s", want, seen, err, r.Log())
	}
	return seen
}

// muxctl runs the operator's tool, which must succeed and print want.
func muxctl(t *testing.T, r *e2e.Rig, want string, args ...string) string {
	t.Helper()
	out, err := r.Muxctl(limit(t), args...)
	if err != nil || !strings.Contains(out, want) {
		t.Fatalf("muxctl %v: want %q, got %q, %v\n%s", args, want, out, err, r.Log())
	}
	return out
}

// TestTrustStory plays what happens to a phone in the order in which people meet
// it, with the phone, muxctl and Debian's idevicepair as the three parties.
func TestTrustStory(t *testing.T) {
	r := start(t, e2e.Config{Passcode: "1234"})
	run(t, r, firstPhone, "idevice_id", "-l") // listed before any trust
	awaitTrust(t, r, trust.DialogShown)
	muxctl(t, r, "Trust", "status")

	// Don't Trust, then another chance by the plug.
	phone(t, r, "tap", "dont-trust")
	awaitTrust(t, r, trust.Denied)
	muxctl(t, r, "denied", "status")
	phone(t, r, "replug")
	awaitTrust(t, r, trust.DialogShown)

	phone(t, r, "tap", "trust")
	phone(t, r, "passcode", "1234")
	awaitTrust(t, r, trust.Trusted)
	run(t, r, "SUCCESS: Validated", "idevicepair", "validate")
	run(t, r, "Virtual iPhone", "ideviceinfo", "-k", "DeviceName")

	var list []control.Device
	if err := json.Unmarshal([]byte(muxctl(t, r, "", "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Trust != string(trust.Trusted) || list[0].Model != "iPhone 13" ||
		list[0].Capacity == nil || list[0].ExpiresInDays == nil || *list[0].ExpiresInDays != 30 {
		t.Errorf("muxctl list: %+v", list)
	}
	muxctl(t, r, "", "trust", "--touch", firstPhone[:12])
}

// TestForgotten asserts that a phone which has forgotten this computer is asked
// anew, that the old record is kept, and that trust comes back.
func TestForgotten(t *testing.T) {
	r := start(t, e2e.Config{})
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "tap", "trust")
	awaitTrust(t, r, trust.Trusted)
	phone(t, r, "forget")
	phone(t, r, "replug")
	if seen := awaitTrust(t, r, trust.DialogShown); !slices.Contains(seen, trust.ForgottenByPhone) && !strings.Contains(r.Log(), string(trust.ForgottenByPhone)) {
		t.Errorf("the forgetting was not said: %v", seen)
	}
	muxctl(t, r, "asks again", "status")
	phone(t, r, "tap", "trust")
	awaitTrust(t, r, trust.Trusted)
	muxctl(t, r, "invalidhostid", "records", "show", firstPhone)
	run(t, r, "SUCCESS: Validated", "idevicepair", "validate")
}

// TestForgottenWhilePluggedIn asserts that the failure of a tool leads to the new
// question: nothing else tells of a reset.
func TestForgottenWhilePluggedIn(t *testing.T) {
	r := start(t, e2e.Config{})
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "tap", "trust")
	awaitTrust(t, r, trust.Trusted)
	phone(t, r, "forget")
	fails(t, r, "Invalid HostID", "ideviceinfo", "-k", "DeviceName")
	awaitTrust(t, r, trust.DialogShown)
	muxctl(t, r, "asks again", "status")
	phone(t, r, "tap", "trust")
	awaitTrust(t, r, trust.Trusted)

	// muxctl trust does not take the daemon's word for it either.
	phone(t, r, "forget")
	told := make(chan error, 1)
	go func() {
		_, err := r.Muxctl(limit(t), "trust")
		told <- err
	}()
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "tap", "trust")
	if err := <-told; err != nil {
		t.Errorf("muxctl trust: %v", err)
	}
	run(t, r, "SUCCESS: Validated", "idevicepair", "validate")
}

// TestLocked asserts that a locked phone is listed, said to be locked, and asked
// as soon as it is unlocked.
func TestLocked(t *testing.T) {
	r := start(t, e2e.Config{Passcode: "1234"})
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "lock")
	awaitTrust(t, r, trust.Locked)
	run(t, r, firstPhone, "idevice_id", "-l")
	muxctl(t, r, "nlock", "status")
	phone(t, r, "unlock", "1234")
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "tap", "trust")
	phone(t, r, "passcode", "1234")
	awaitTrust(t, r, trust.Trusted)

	// After a restart it knows us, and waits for its first unlock.
	phone(t, r, "reboot")
	awaitTrust(t, r, trust.LockedSinceBoot)
	phone(t, r, "unlock", "1234")
	awaitTrust(t, r, trust.Trusted)
}

// TestUnpaired asserts that a person who unpairs is not asked again by the
// daemon, until told to, and that muxctl untrust ends both halves.
func TestUnpaired(t *testing.T) {
	r := start(t, e2e.Config{})
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "tap", "trust")
	awaitTrust(t, r, trust.Trusted)
	run(t, r, "SUCCESS: Unpaired", "idevicepair", "unpair")
	awaitTrust(t, r, trust.NotAsked)
	told := make(chan error, 1)
	go func() {
		_, err := r.Muxctl(limit(t), "trust", firstPhone)
		told <- err
	}()
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "tap", "trust")
	awaitTrust(t, r, trust.Trusted)
	if err := <-told; err != nil {
		t.Errorf("muxctl trust: %v", err)
	}
	muxctl(t, r, "", "untrust", "--yes", firstPhone)
	awaitTrust(t, r, trust.NotAsked)
	muxctl(t, r, "set aside", "records", "list")
	muxctl(t, r, "untrusted", "records", "show", firstPhone)
	fails(t, r, "", "idevicepair", "validate")
}

// TestNeverAskedAgain asserts that after one Trust no replug and no restart of
// the phone raises another dialog.
func TestNeverAskedAgain(t *testing.T) {
	r := start(t, e2e.Config{})
	awaitTrust(t, r, trust.DialogShown)
	phone(t, r, "tap", "trust")
	awaitTrust(t, r, trust.Trusted)
	for i := range 100 {
		if i%20 == 19 {
			phone(t, r, "reboot")
		} else {
			phone(t, r, "replug")
		}
		awaitTrust(t, r, trust.Trusted)
	}
	out, err := r.Phone(limit(t), "status")
	if err != nil || !strings.Contains(out, "1 dialog") {
		t.Errorf("want one dialog in all, got %q, %v", out, err)
	}
}

// TestPolicyAsk asserts that under the policy ask no dialog is raised until an
// operator says so.
func TestPolicyAsk(t *testing.T) {
	r := start(t, e2e.Config{Args: []string{"--trust-policy", "ask"}})
	awaitTrust(t, r, trust.NotAsked)
	out, err := r.Phone(limit(t), "status")
	if err != nil || !strings.Contains(out, "0 dialogs") {
		t.Errorf("want no dialog, got %q, %v", out, err)
	}
	fails(t, r, "", "idevicepair", "validate")
}
