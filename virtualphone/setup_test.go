package virtualphone

import (
	"bytes"
	"crypto/x509"
	"testing"
)

func TestErase(t *testing.T) {
	for _, own := range []bool{false, true} {
		p, h, c := paired(t, Config{OwnKey: own, Name: "Anna"})
		key := p.DevicePublicKey()
		p.SetPasscode("1")
		boss := certificate(t, &testKeys()[2].PublicKey, nil, testKeys()[2], x509.SHA256WithRSA)
		must(t, p.Supervise(boss.Raw))
		if !p.State().Supervised {
			t.Error("not supervised")
		}
		lockdownOf(h).want("SetValue", map[string]any{"Key": "UntrustedHostBUID", "Value": "B"}, "")
		must(t, p.EraseAll())
		s := p.State()
		if !s.Plugged || !s.Setup || s.PasscodeSet || s.Locked || s.Supervised || len(s.Hosts) != 0 || s.Name != "iPhone" {
			t.Errorf("erased: %+v", s)
		}
		if p.Value("", "UntrustedHostBUID") != nil || p.Value("", "ActivationState") != "Unactivated" {
			t.Error("values are left")
		}
		if bytes.Equal(p.DevicePublicKey(), key) {
			t.Error("the device key is the old one")
		}
		h = dialPhone(t, p.Cable())
		l := lockdownOf(h)
		l.want("StartSession", map[string]any{"HostID": c.id()}, "InvalidHostID")
		l.pair(c, "InvalidPairRecord") // its certificate holds the old key
		l = lockdownOf(h)
		again := l.computer("HOST-2", "BUID-1")
		l.pair(again, "")
		l.start(again, again.cert)
		if n := p.Stats().Dialogs; n != 1 {
			t.Errorf("%d dialogs, want that before the erasure only", n)
		}
		must(t, p.FinishSetup())
		if err := p.FinishSetup(); err == nil {
			t.Error("setup finished twice")
		}
		if s := p.State(); s.Setup || len(s.Hosts) != 1 || p.Value("", "ActivationState") != "Activated" {
			t.Errorf("after setup: %+v", s)
		}
		l = lockdownOf(h)
		l.pair(l.computer("OTHER", "OTHER-BUID"), "PairingDialogResponsePending")
		// Erased anew it has another key yet.
		second := p.DevicePublicKey()
		must(t, p.EraseAll())
		if k := p.DevicePublicKey(); bytes.Equal(k, second) || bytes.Equal(k, key) {
			t.Error("the second erasure brought an old key back")
		}
		clean(t, p)
	}
}

func TestSetupAssistant(t *testing.T) {
	p := newPhone(t, Config{Behavior: Behavior{SetupAssistant: true}})
	l := lockdownOf(dialPhone(t, plug(t, p)))
	if v := p.Value("com.apple.purplebuddy", "SetupDone"); v != false {
		t.Errorf("SetupDone %v", v)
	}
	l.pair(l.computer("H", "B"), "")
	p.SetBehavior(Behavior{})
	if p.State().Setup || p.Value("com.apple.purplebuddy", "SetupDone") != true {
		t.Error("still in setup")
	}
	l.pair(l.computer("H2", "B2"), "PairingDialogResponsePending")
}

// TestResetNames: the resets that reboot take the phone's name.
func TestResetNames(t *testing.T) {
	for _, reset := range []func(*Phone) error{(*Phone).ResetNetworkSettings, (*Phone).ResetAllSettings} {
		p := newPhone(t, Config{Name: "Anna", DeviceClass: "iPod", Passcode: "1"})
		must(t, reset(p))
		if s := p.State(); s.Name != "iPod touch" || !s.PasscodeSet || !s.LockedSinceBoot {
			t.Errorf("after the reset: %+v", s)
		}
	}
}
