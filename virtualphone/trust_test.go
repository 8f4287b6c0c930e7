package virtualphone

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/virtualphone/service"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// observe starts the insecure notification proxy and observes request_pair; the
// returned function waits for it.
func observe(t testing.TB, h *muxHost) func() {
	t.Helper()
	l := lockdownOf(h)
	a := l.want("StartService", map[string]any{"Service": ServiceInsecureNotification}, "")
	if a["EnableServiceSSL"] == true {
		t.Error("the insecure proxy wants TLS")
	}
	c := h.mustDial(uint16(a["Port"].(uint64)))
	heard := func(want string) {
		t.Helper()
		var m map[string]any
		if _, err := service.ReadPlist(c, &m); err != nil || m["Name"] != want {
			t.Fatalf("notification = %v, %v; want %s", m, err, want)
		}
	}
	// Observing is not answered. When a notification of our own has come back, it is
	// done.
	for _, m := range []map[string]any{
		{"Command": "ObserveNotification", "Name": service.RequestPair},
		{"Command": "ObserveNotification", "Name": service.RequestHostBUID},
		{"Command": "PostNotification", "Name": service.RequestHostBUID},
	} {
		must(t, service.WritePlist(c, m, false))
	}
	heard(service.RequestHostBUID)
	return func() { t.Helper(); heard(service.RequestPair) }
}

func TestTrustFlow(t *testing.T) {
	p := newPhone(t, Config{Passcode: "1234", Locked: true})
	h := dialPhone(t, plug(t, p))
	l := lockdownOf(h)
	c := l.computer("HOST", "BUID")
	l.pair(c, "PasswordProtected")
	if d := p.State().Dialog; d != NoDialog {
		t.Fatalf("dialog of a locked phone = %s", d)
	}
	if err := p.Unlock("0000"); !errors.Is(err, ErrPasscode) {
		t.Fatalf("wrong passcode: %v", err)
	}
	must(t, p.Unlock("1234"))
	wait := observe(t, h)
	for _, err := range []error{p.TapTrust(), p.TapDontTrust(), p.DismissDialog(), p.CancelPasscode(), p.EnterPasscode("1234")} {
		if !errors.Is(err, ErrNoDialog) {
			t.Errorf("answer without a dialog: %v", err)
		}
	}
	l.pair(c, "PairingDialogResponsePending")
	l.pair(c, "PairingDialogResponsePending")
	must(t, p.DismissDialog())
	l.pair(c, "PairingDialogResponsePending")
	must(t, p.TapTrust())
	if d := p.State().Dialog; d != PasscodeDialog {
		t.Fatalf("dialog after Trust = %s", d)
	}
	if err := p.TapTrust(); !errors.Is(err, ErrNoDialog) {
		t.Errorf("second tap: %v", err)
	}
	must(t, p.CancelPasscode())
	l.pair(c, "PairingDialogResponsePending")
	must(t, p.TapTrust())
	if err := p.EnterPasscode("9"); !errors.Is(err, ErrPasscode) {
		t.Errorf("wrong passcode: %v", err)
	}
	must(t, p.EnterPasscode("1234"))
	wait()
	// The host comes back with a new HostID, as hosts do; the BUID tells who it is.
	again := l.computer("HOST-NEW", "BUID")
	l.pair(again, "")
	if s := p.State(); len(s.Hosts) != 1 || s.Hosts[0] != "HOST-NEW" || s.Accepted {
		t.Errorf("state = %+v", s)
	}
	if n := p.Stats().Dialogs; n != 3 {
		t.Errorf("dialogs = %d, want 3", n)
	}
	// A record that is known pairs without a question, another host does not.
	l.pair(again, "")
	l.pair(l.computer("OTHER", "OTHER-BUID"), "PairingDialogResponsePending")
	must(t, p.TapDontTrust())
	l.pair(l.computer("OTHER-2", "OTHER-BUID"), "UserDeniedPairing")

	// Locked is fine for a host that is trusted; locked since boot is not.
	must(t, p.Lock())
	lockdownOf(h).start(again, again.cert)
	must(t, p.Reboot())
	h = dialPhone(t, p.Cable())
	l = lockdownOf(h)
	l.want("StartSession", map[string]any{"HostID": again.id()}, "PasswordProtected")
	l.want("StartService", map[string]any{"Service": ServiceInsecureNotification}, "PasswordProtected")
	must(t, p.Unlock("1234"))
	l.start(again, again.cert)
	// The replug has forgotten the refusal.
	l = lockdownOf(h)
	l.pair(l.computer("OTHER-3", "OTHER-BUID"), "PairingDialogResponsePending")
	clean(t, p)
}

func TestForgetting(t *testing.T) {
	for _, tt := range []struct {
		name    string
		forget  func(*Phone)
		reboots bool
	}{
		{"location and privacy", (*Phone).ResetLocationAndPrivacy, false},
		{"network", func(p *Phone) { must(t, p.ResetNetworkSettings()) }, true},
		{"all", func(p *Phone) { must(t, p.ResetAllSettings()) }, true},
		{"expired", (*Phone).ExpirePairings, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, h, c := paired(t, Config{})
			before := p.Cable()
			p.SetPasscode("1")
			tt.forget(p)
			if rebooted := p.Cable() != before; rebooted != tt.reboots || p.State().LockedSinceBoot != tt.reboots {
				t.Errorf("rebooted: %t, state %+v", rebooted, p.State())
			}
			must(t, p.Unlock("1"))
			if tt.reboots {
				h = dialPhone(t, p.Cable())
			}
			lockdownOf(h).want("StartSession", map[string]any{"HostID": c.id()}, "InvalidHostID")
		})
	}
}

func TestPairingsLapse(t *testing.T) {
	sharedDeviceKey()
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{})
		must(t, err)
		defer p.Close()
		h := dialPhone(t, plug(t, p))
		defer h.close()
		l := lockdownOf(h)
		c := l.computer("H", "B")
		l.pair(c, "PairingDialogResponsePending")
		must(t, p.TapTrust())
		l.pair(c, "")
		use := func(want string) {
			l := lockdownOf(h)
			l.want("StartSession", map[string]any{"HostID": "H"}, want)
			l.c.Close()
		}
		time.Sleep(29 * 24 * time.Hour)
		use("")
		time.Sleep(29 * 24 * time.Hour)
		use("")
		time.Sleep(31 * 24 * time.Hour)
		use("InvalidHostID")
	})
}

func TestLateDialog(t *testing.T) {
	sharedDeviceKey()
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{ProductVersion: "26.0", Behavior: Behavior{DialogDelay: 20 * time.Second}})
		must(t, err)
		defer p.Close()
		h := dialPhone(t, plug(t, p))
		l := lockdownOf(h)
		c := l.computer("H", "B")
		l.pair(c, "PairingDialogResponsePending")
		asked := time.Now()
		l.pair(c, "PairingDialogResponsePending")
		if _, err := p.Wait(t.Context(), func(s State) bool { return s.Dialog == TrustDialog }); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(asked); d != 20*time.Second {
			t.Errorf("dialog after %v, want 20s", d)
		}
		must(t, p.DismissDialog())
		l.pair(c, "PairingDialogResponsePending")
		p.Unplug() // takes back what is still to come
		time.Sleep(time.Minute)
		if d := p.State().Dialog; d != NoDialog {
			t.Errorf("dialog after unplug = %s", d)
		}
		h.close()
	})
}

func TestProhibitions(t *testing.T) {
	p := newPhone(t, Config{})
	h := dialPhone(t, plug(t, p))
	l := lockdownOf(h)
	c := l.computer("H", "B")
	p.SetBehavior(Behavior{PairingForbidden: true})
	l.pair(c, "PairingProhibitedOverThisConnection")
	p.SetBehavior(Behavior{MCProtected: true})
	l.pair(c, "MCProtected")
	p.SetBehavior(Behavior{})
	l.pair(c, "PairingDialogResponsePending")
}

// signed makes the PKCS #7 answer of a supervisor by hand.
func signed(t testing.TB, key *rsa.PrivateKey, challenge []byte, attributes bool) []byte {
	t.Helper()
	mar := func(v any, params string) []byte {
		b, err := asn1.MarshalWithParams(v, params)
		must(t, err)
		return b
	}
	raw := func(tag byte, parts ...[]byte) asn1.RawValue {
		var b []byte
		for _, p := range parts {
			b = append(b, p...)
		}
		class, n := asn1.ClassUniversal, int(tag)
		if tag >= 0xa0 {
			class, n = asn1.ClassContextSpecific, int(tag&0x1f)
		}
		return asn1.RawValue{Class: class, Tag: n, IsCompound: true, Bytes: b}
	}
	data := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	sha := mar(raw(16, mar(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, "")), "")
	rsaOID := mar(raw(16, mar(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, ""), []byte{5, 0}), "")
	digest := sha256.Sum256(challenge)
	var attrs []byte
	if attributes {
		attrs = append(mar(raw(16, mar(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}, ""), mar(raw(17, mar(data, "")), "")), ""),
			mar(raw(16, mar(oidMessageDigest, ""), mar(raw(17, mar(digest[:], "")), "")), "")...)
		digest = sha256.Sum256(mar(raw(17, attrs), ""))
	}
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	must(t, err)
	signer := [][]byte{mar(1, ""), mar(raw(16, mar(raw(16), ""), mar(1, "")), ""), sha}
	if attributes {
		signer = append(signer, mar(raw(0xa0, attrs), ""))
	}
	signer = append(signer, rsaOID, mar(sig, ""))
	sd := raw(16, mar(1, ""), mar(raw(17, sha), ""),
		mar(raw(16, mar(data, ""), mar(raw(0xa0, mar(challenge, "")), "")), ""),
		mar(raw(17, mar(raw(16, signer...), "")), ""))
	return mar(raw(16, mar(oidSignedData, ""), mar(raw(0xa0, mar(sd, "")), "")), "")
}

func TestSupervised(t *testing.T) {
	key := testKeys()[2]
	boss := certificate(t, &key.PublicKey, nil, key, x509.SHA256WithRSA)
	for _, attributes := range []bool{true, false} {
		p := newPhone(t, Config{Passcode: "1"})
		must(t, p.Supervise(boss.Raw))
		h := dialPhone(t, plug(t, p))
		l := lockdownOf(h)
		c := l.computer("H", "B")
		pair := func(options map[string]any, want string) map[string]any {
			return l.want("Pair", map[string]any{"PairRecord": c.record, "PairingOptions": options}, want)
		}
		must(t, p.Lock())
		challenge := func() []byte {
			a := pair(map[string]any{"SupervisorCertificate": boss.Raw, "ExtendedPairingErrors": true}, "MCChallengeRequired")
			return a["ExtendedResponse"].(map[string]any)["PairingChallenge"].([]byte)
		}
		ch := challenge()
		pair(map[string]any{"ChallengeResponse": signed(t, testKeys()[1], ch, attributes)}, "MCChallengeFailed")
		pair(map[string]any{"ChallengeResponse": signed(t, key, []byte("another challenge"), attributes)}, "MCChallengeFailed")
		if a := pair(map[string]any{"ChallengeResponse": signed(t, key, ch, attributes)}, ""); a["EscrowBag"] != nil {
			t.Error("a locked supervised phone gave an escrow bag")
		}
		must(t, p.Unlock("1"))
		a := pair(map[string]any{"ChallengeResponse": signed(t, key, challenge(), attributes)}, "")
		if b, _ := a["EscrowBag"].([]byte); len(b) != escrowSize {
			t.Errorf("escrow bag = %x", b)
		}
		if n := p.Stats().Dialogs; n != 0 {
			t.Errorf("%d dialogs", n)
		}
	}
}
