//go:build guest

package guest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// stateless is why the C daemon takes no part in these tests.
const stateless = "has no states of trust"

// TestTrustFirstConnection proves the way of a phone from its first plug to the
// first program that uses it: it is listed before any trust, said to wait for its
// owner, and open to programs right after Trust and the passcode.
func TestTrustFirstConnection(t *testing.T) {
	skipC(t, stateless)
	start(t)
	p := attach(t, 0, virtualphone.Config{Passcode: passcode}, usbip.Config{})
	does(t, listed(t, p))
	awaitTrust(t, p, trust.DialogShown)
	muxctl(t, []string{"dialog-shown", "tap Trust", p.UDID()}, "status")
	does(t, refuses("", "idevicepair", "validate")(t, p))

	tapTrust(t, p)
	awaitTrust(t, p, trust.Trusted)
	does(t,
		says("SUCCESS: Validated", "idevicepair", "validate")(t, p),
		says("Virtual iPhone", "ideviceinfo", "-k", "DeviceName")(t, p),
		says(p.UDID(), "idevicepair", "list")(t, p))
	muxctl(t, []string{"trusted", "iPhone 13", "128 GB"}, "status")
	record(t, p)
	dialogs(t, p, 1)
	info, err := os.Stat(filepath.Join(recordDir, p.UDID()+".plist"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("the record's mode is %v", info.Mode())
	}
}

// TestTrustDenied proves that Don't Trust is said, and that the next plug is
// another chance.
func TestTrustDenied(t *testing.T) {
	skipC(t, stateless)
	start(t)
	p := attach(t, 0, virtualphone.Config{Passcode: passcode}, usbip.Config{})
	awaitTrust(t, p, trust.DialogShown)
	does(t, p.TapDontTrust())
	before := awaitTrust(t, p, trust.Denied)
	muxctl(t, []string{"denied", "plug"}, "status")
	does(t, refuses("denied the trust dialog", "idevicepair", "pair")(t, p), listed(t, p))
	dialogs(t, p, 1)

	p.Unplug()
	visible(t)
	p.replug(t)
	awaitAnew(t, p, before, trust.DialogShown)
	tapTrust(t, p)
	awaitTrust(t, p, trust.Trusted)
	does(t, says("SUCCESS: Validated", "idevicepair", "validate")(t, p))
	record(t, p)
	dialogs(t, p, 2)
}

// TestTrustLocked proves that a locked phone is listed, said to be locked, and
// asked when it is unlocked; and that once trusted it needs no word of anyone
// after a reboot but the first unlock.
func TestTrustLocked(t *testing.T) {
	skipC(t, stateless)
	start(t)
	p := attach(t, 0, virtualphone.Config{Passcode: passcode, Locked: true}, usbip.Config{})
	does(t, listed(t, p))
	awaitTrust(t, p, trust.Locked)
	muxctl(t, []string{"locked", "nlock"}, "status")
	does(t, refuses("passcode", "idevicepair", "pair")(t, p))
	dialogs(t, p, 0)
	does(t, p.Unlock(passcode))
	before := becomeTrusted(t, p)
	does(t, says("SUCCESS: Validated", "idevicepair", "validate")(t, p))

	does(t, p.Reboot())
	p.port(t)
	awaitAnew(t, p, before, trust.LockedSinceBoot)
	muxctl(t, []string{"locked-since-boot", "nlock"}, "status")
	does(t, refuses("passcode", "idevicepair", "validate")(t, p), listed(t, p))
	does(t, p.Unlock(passcode))
	awaitTrust(t, p, trust.Trusted)
	does(t, says("SUCCESS: Validated", "idevicepair", "validate")(t, p))
	record(t, p)
	dialogs(t, p, 1)
}

// TestTrustForgotten proves that a phone whose owner has reset Location & Privacy,
// while it was here or away, is asked anew, and that the record it refuses is kept.
func TestTrustForgotten(t *testing.T) {
	skipC(t, stateless)
	for _, away := range []bool{false, true} {
		t.Run(map[bool]string{false: "while attached", true: "while away"}[away], func(t *testing.T) {
			start(t)
			p := attach(t, 0, virtualphone.Config{Passcode: passcode}, usbip.Config{})
			before := becomeTrusted(t, p)
			old := record(t, p)
			if away {
				p.Unplug()
				visible(t)
				p.ResetLocationAndPrivacy()
				p.replug(t)
				awaitAnew(t, p, before, trust.DialogShown)
			} else {
				p.ResetLocationAndPrivacy()
				// A program meets it first, and the daemon then looks, too.
				does(t, refuses("", "idevicepair", "validate")(t, p))
				awaitTrust(t, p, trust.DialogShown)
			}
			muxctl(t, []string{"dialog-shown", "asks again"}, "status")
			tapTrust(t, p)
			awaitTrust(t, p, trust.Trusted)
			does(t, says("SUCCESS: Validated", "idevicepair", "validate")(t, p))
			now := record(t, p)
			muxctl(t, []string{now.HostID, "invalidhostid"}, "records", "show", p.UDID())
			if now.HostID == old.HostID {
				t.Error("the record is the one that the phone has forgotten")
			}
			if len(now.Copies) != 1 || now.Copies[0].Reason != "invalidhostid" {
				t.Errorf("want the old record kept, got %+v", now.Copies)
			}
			dialogs(t, p, 2)
		})
	}
}

// TestTrustErased proves that a phone which comes back erased, with its UDID and
// a key of its own making, is met as a stranger: what was kept of the old one does
// not stand in the way.
func TestTrustErased(t *testing.T) {
	skipC(t, stateless)
	start(t)
	p := attach(t, 0, virtualphone.Config{Passcode: passcode}, usbip.Config{})
	before := becomeTrusted(t, p)
	old, key := record(t, p), p.DevicePublicKey()

	does(t, p.EraseAll())
	p.port(t)
	// In its first screens it pairs with everyone and asks nothing.
	before = awaitAnew(t, p, before, trust.Trusted)
	if string(p.DevicePublicKey()) == string(key) {
		t.Fatal("the erased phone has the key of before")
	}
	now := record(t, p)
	if now.HostID == old.HostID || len(now.Copies) != 1 {
		t.Errorf("want a new record and the old one kept, got %+v after %s", now, old.HostID)
	}
	does(t, says("SUCCESS: Validated", "idevicepair", "validate")(t, p))
	dialogs(t, p, 1)

	// Erased while it was away, and in its owner's hands when it comes back.
	p.Unplug()
	visible(t)
	does(t, p.EraseAll(), p.FinishSetup())
	p.replug(t)
	awaitAnew(t, p, before, trust.DialogShown)
	tapTrust(t, p)
	awaitTrust(t, p, trust.Trusted)
	does(t, says("SUCCESS: Validated", "idevicepair", "validate")(t, p))
	if now := record(t, p); len(now.Copies) != 2 {
		t.Errorf("want both old records kept, got %+v", now)
	}
	dialogs(t, p, 2)
}

// TestTrustByClient proves that idevicepair may be the one who pairs: where the
// daemon is told to leave it to clients, and at the same time as the daemon, where
// both end with one record and the owner is asked once.
func TestTrustByClient(t *testing.T) {
	skipC(t, stateless)
	for _, policy := range []trust.Policy{trust.Never, trust.Auto} {
		t.Run(string(policy), func(t *testing.T) {
			forget(t)
			invocation{args: []string{"--trust-policy", string(policy)}}.launch(t)
			p := attach(t, 0, virtualphone.Config{Passcode: passcode}, usbip.Config{})
			visible(t, p)
			if policy == trust.Never {
				awaitTrust(t, p, trust.Disabled)
				if n := p.Stats().PairRequests; n > 0 {
					t.Errorf("the daemon has sent %d Pair requests", n)
				}
			}
			t.Cleanup(p.answering())
			eventually(t, time.Minute, func() error { return says("SUCCESS: Paired", "idevicepair", "pair")(t, p) })
			if policy == trust.Auto {
				awaitTrust(t, p, trust.Trusted)
			}
			does(t,
				says("SUCCESS: Validated", "idevicepair", "validate")(t, p),
				says("Virtual iPhone", "ideviceinfo", "-k", "DeviceName")(t, p))
			record(t, p)
			dialogs(t, p, 1)
		})
	}
}

// TestTrustUnpaired proves that a person who unpairs is not asked by the daemon
// until an operator says so.
func TestTrustUnpaired(t *testing.T) {
	skipC(t, stateless)
	start(t)
	p := attach(t, 0, virtualphone.Config{}, usbip.Config{})
	becomeTrusted(t, p)
	does(t, says("SUCCESS: Unpaired", "idevicepair", "unpair")(t, p))
	awaitTrust(t, p, trust.NotAsked)
	muxctl(t, []string{"not-asked"}, "status")
	if hosts := p.State().Hosts; len(hosts) > 0 {
		t.Errorf("the phone still trusts %v", hosts)
	}
	dialogs(t, p, 1)
	told := make(chan error, 1)
	go func() {
		_, err := tool("muxctl", "trust", p.UDID())
		told <- err
	}()
	becomeTrusted(t, p)
	does(t, <-told, says("SUCCESS: Validated", "idevicepair", "validate")(t, p))
	dialogs(t, p, 2)
}

// TestTrustBelowMux proves that devices without a multiplexer, which no program
// can use, are shown to operators by the port they are in.
func TestTrustBelowMux(t *testing.T) {
	skipC(t, stateless)
	for _, tt := range []struct {
		name string
		usb  usbip.Config
		want trust.State
	}{
		{"recovery mode", usbip.Config{Product: usbip.ProductRecovery}, trust.Recovery},
		{"DFU mode", usbip.Config{Product: usbip.ProductDFU}, trust.DFU},
		{"no usbmux interface", usbip.Config{NoMux: true}, trust.NoMux},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start(t)
			p := attach(t, 0, virtualphone.Config{}, tt.usb)
			port := filepath.Base(sysfs(t, p))
			shown(t, func(d control.Device) bool { return d.PortPath == port && d.Trust == string(tt.want) })
			var all []control.Device
			does(t, json.Unmarshal([]byte(muxctl(t, nil, "list", "--json")), &all))
			if len(all) != 1 || all[0].PortPath != port || all[0].UDID != nil || all[0].DeviceID != nil || all[0].Reason == "" || all[0].NextStep == "" {
				t.Errorf("muxctl list: %+v", all)
			}
			muxctl(t, []string{string(tt.want)}, "list")
			muxctl(t, []string{string(tt.want), "port " + port}, "status")
			does(t, says("", "idevice_id", "-l")(t, p))
			visible(t)
			p.Unplug()
			eventually(t, 30*time.Second, func() error {
				all, err := control.Dial(controlPath).Devices(t.Context())
				if err == nil && len(all) > 0 {
					err = fmt.Errorf("still shown: %+v", all)
				}
				return err
			})
		})
	}
}

// supervisor makes the identity of an organisation: a PEM file with certificate
// and key, and the certificate for the phone.
func supervisor(t *testing.T) (file string, certificate []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	certificate, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "supervisor.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})...)
	does(t, os.WriteFile(file, b, 0o600))
	return file, certificate
}

// TestTrustManaged proves that a supervised phone pairs by its supervisor's
// identity and asks nobody, and that what management forbids is said.
func TestTrustManaged(t *testing.T) {
	skipC(t, stateless)
	file, certificate := supervisor(t)
	for _, tt := range []struct {
		name     string
		args     []string
		behavior virtualphone.Behavior
		want     trust.State
		client   func(*testing.T, *phone) error
	}{
		{"by identity", []string{"--supervisor", file}, virtualphone.Behavior{}, trust.Trusted,
			says("SUCCESS: Validated", "idevicepair", "validate")},
		{"without identity", nil, virtualphone.Behavior{MCProtected: true}, trust.SupervisedChallenge,
			refuses("ERROR", "idevicepair", "pair")},
		{"prohibited", nil, virtualphone.Behavior{PairingForbidden: true}, trust.PairingProhibited,
			refuses("ERROR", "idevicepair", "pair")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forget(t)
			invocation{args: tt.args}.launch(t)
			p := attach(t, 0, virtualphone.Config{Passcode: passcode, Behavior: tt.behavior}, usbip.Config{})
			does(t, p.Supervise(certificate), listed(t, p))
			// It may have been asked before it was supervised.
			before := shown(t, func(d control.Device) bool { return d.UDID != nil })
			p.Unplug()
			visible(t)
			asked := p.Stats().Dialogs
			p.replug(t)
			awaitAnew(t, p, before, tt.want)
			muxctl(t, []string{string(tt.want)}, "status")
			does(t, tt.client(t, p))
			dialogs(t, p, asked)
		})
	}
}

// TestTrustUnplugged proves at twenty moments, spread over all that is said
// between plug and trust and over the time in which the owner thinks, that a phone
// which is unplugged then is back at the next plug, is trusted when its owner
// allows it, and leaves nothing in the daemon.
func TestTrustUnplugged(t *testing.T) {
	skipC(t, stateless)
	d := start(t)
	// How much is said when nothing comes in between.
	p := attach(t, 0, virtualphone.Config{Passcode: passcode}, usbip.Config{})
	t.Cleanup(p.answering())
	awaitTrust(t, p, trust.Trusted)
	whole := p.Stats().OutPackets
	p.Unplug()
	visible(t)

	const packets, dialogs = 14, 6 // moments of either kind
	var before usage
	for i := range packets + dialogs {
		p := attach(t, 1+i, virtualphone.Config{Passcode: passcode}, usbip.Config{})
		switch {
		case i < packets:
			t.Cleanup(p.answering())
			moment := whole * uint64(i) / packets
			for p.Stats().OutPackets < moment && t.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
		case i%2 == 0:
			awaitDialog(t, p, virtualphone.TrustDialog)
		default:
			awaitDialog(t, p, virtualphone.TrustDialog)
			does(t, p.TapTrust())
			awaitDialog(t, p, virtualphone.PasscodeDialog)
		}
		said, s := p.Stats().OutPackets, p.State()
		p.Unplug()
		t.Logf("unplugged after %d packets of %d, dialog %s, trusting %d", said, whole, s.Dialog, len(s.Hosts))
		visible(t)
		p.replug(t)
		if i >= packets {
			t.Cleanup(p.answering())
		}
		awaitTrust(t, p, trust.Trusted)
		record(t, p)
		if i%5 == 4 { // at each would take long
			does(t, says("SUCCESS: Validated", "idevicepair", "validate", "-u", p.UDID())(t, p))
		}
		p.Unplug()
		visible(t)
		if i == 4 {
			before = d.settled(t)
		}
	}
	if after := d.settled(t); after.fds > before.fds+2 {
		t.Errorf("descriptors grew from %d to %d", before.fds, after.fds)
	}
}

// TestTrustOnce proves that after one Trust no plug, no restart of the phone and
// none of the daemon, in good order or killed, raises another dialog.
func TestTrustOnce(t *testing.T) {
	skipC(t, stateless)
	d := start(t)
	p := attach(t, 0, virtualphone.Config{Passcode: passcode}, usbip.Config{})
	becomeTrusted(t, p)
	stopped := func() { d.stop(); d = launch(t) }
	killed := func() { does(t, d.cmd.Process.Kill()); <-d.done; d = launch(t) }
	wornOut(t, p, cycles(100), stopped, killed)
	does(t, says("SUCCESS: Validated", "idevicepair", "validate")(t, p))
	record(t, p)
	dialogs(t, p, 1)
}

// TestTrustMany proves that many phones may wait for their owners at once: each
// shows one dialog, each is answered by its own owner, and each gets its record.
func TestTrustMany(t *testing.T) {
	skipC(t, stateless)
	start(t)
	const n = 16
	phones := make([]*phone, n)
	for i := range phones {
		phones[i] = attach(t, i, virtualphone.Config{Passcode: passcode}, usbip.Config{Speed: []usbip.Speed{usbip.High, usbip.Super}[i%2]})
	}
	visible(t, phones...)
	for _, p := range phones {
		awaitTrust(t, p, trust.DialogShown)
	}
	// Two owners say no; it is no one else's business.
	for i, p := range phones {
		if i%8 == 5 {
			does(t, p.TapDontTrust())
		} else {
			tapTrust(t, p)
		}
	}
	var errs []error
	for i, p := range phones {
		dialogs(t, p, 1)
		if i%8 == 5 {
			awaitTrust(t, p, trust.Denied)
			if _, err := os.Stat(filepath.Join(recordDir, p.UDID()+".plist")); err == nil {
				t.Errorf("phone %s said no, yet there is a record", p.UDID())
			}
			continue
		}
		awaitTrust(t, p, trust.Trusted)
		record(t, p)
		errs = append(errs, says("SUCCESS: Validated", "idevicepair", "validate", "-u", p.UDID())(t, p))
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}
