package e2e_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomuxd/e2e"
	"gomuxd/lockdown/trust"
)

// What operators and organisations decide.

// muxctlTrust runs muxctl trust beside the test, which must call the result: it
// waits for the end of the command, which must go well.
func (s *scene) muxctlTrust(args ...string) (end func()) {
	ended := make(chan error, 1)
	go func() {
		_, err := s.Muxctl(limit(s.t), append([]string{"trust"}, args...)...)
		ended <- err
	}()
	return func() {
		s.t.Helper()
		if err := <-ended; err != nil {
			s.t.Errorf("muxctl trust: %v\n%s", err, s.Log())
		}
	}
}

func TestScenePolicyAsk(t *testing.T) {
	s := play(t, "policy-ask", e2e.Config{Args: []string{"--trust-policy", "ask"}})
	s.plug()
	s.await(trust.NotAsked)
	s.status("not-asked")
	s.asked(0, 0)
	trusted := s.muxctlTrust()
	s.await(trust.DialogShown)
	s.tapTrust()
	trusted()
	s.plug() // a record is used without asking
	s.await(trust.Trusted)
	s.told("connecting not-asked dialog-shown trusted gone connecting trusted", "Attached Paired Detached Attached")
	s.asked(1, 0)
	s.disk("record", "used")
}

func TestScenePolicyNever(t *testing.T) {
	s := play(t, "policy-never", e2e.Config{Args: []string{"--trust-policy", "never"}})
	s.plug()
	s.await(trust.Disabled)
	s.status("left-alone")
	s.asked(0, 0)
	pair(t, s.Rig)
	s.hear("Paired")
	s.works()
	s.status("paired-by-a-program")
	s.told("connecting disabled", "Attached Paired")
	s.asked(1, 0)
	s.disk("record", "used")
}

// TestScenePolicyPerDevice leaves all phones alone but one.
func TestScenePolicyPerDevice(t *testing.T) {
	second := strings.TrimSuffix(firstPhone, "0") + "1"
	s := play(t, "policy-per-device", e2e.Config{Phones: 2, Args: []string{"--trust-policy", "never", "--trust-policy", second + "=auto"}})
	dialogs := func(phone, want string) {
		t.Helper()
		if out, err := s.Phone(limit(t), "--phone", phone, "status"); err != nil || !strings.Contains(out, want) {
			t.Errorf("want %q, got %q, %v", want, out, err)
		}
	}
	s.phone("--phone", firstPhone, "replug")
	s.attached()
	s.await(trust.Disabled)
	s.phone("--phone", second, "replug")
	s.hear("Attached")
	s.await(trust.DialogShown)
	s.status("asked")
	s.phone("--phone", second, "tap", "trust")
	s.hear("Paired")
	run(t, s.Rig, "SUCCESS: Validated", "idevicepair", "-u", second, "validate")
	s.await(trust.Trusted)
	s.told("connecting disabled connecting dialog-shown trusted", "Attached Attached Paired")
	dialogs(firstPhone, " 0 dialogs")
	dialogs(second, " 1 dialogs")
}

// TestSceneUnpaired asserts that a person who unpairs is not asked again until told
// to, and that muxctl untrust ends both halves.
func TestSceneUnpaired(t *testing.T) {
	s := playTrusted(t, "unpaired", e2e.Config{})
	run(t, s.Rig, "SUCCESS: Unpaired", "idevicepair", "unpair")
	s.await(trust.NotAsked)
	s.status("by-a-program")
	s.disk("copy deleted", "used")
	trusted := s.muxctlTrust(firstPhone[:12])
	s.await(trust.DialogShown)
	s.tapTrust()
	trusted()
	muxctl(t, s.Rig, "", "untrust", "--yes", firstPhone)
	s.await(trust.NotAsked)
	muxctl(t, s.Rig, "set aside", "records", "list")
	muxctl(t, s.Rig, "untrusted", "records", "show", firstPhone)
	s.told("connecting dialog-shown trusted not-asked dialog-shown trusted not-asked", "Attached Paired Paired")
	s.asked(2, 0)
	s.disk("copy deleted", "copy untrusted", "used")
	fails(t, s.Rig, "", "idevicepair", "validate") // which has the phone ask, by itself
}

// TestSceneUntrustedAway asserts that a phone which is away when trust is ended hears
// of that when it comes.
func TestSceneUntrustedAway(t *testing.T) {
	s := playTrusted(t, "untrusted-away", e2e.Config{})
	s.unplug()
	muxctl(t, s.Rig, "", "untrust", "--yes", firstPhone)
	s.disk("untrusted", "used")
	s.plug()
	s.await(trust.NotAsked)
	s.status("returned")
	if hosts := s.look().State.Hosts; len(hosts) != 0 {
		t.Errorf("the phone still trusts %q", hosts)
	}
	s.told("connecting dialog-shown trusted gone connecting not-asked", "Attached Paired Detached Attached")
	s.asked(1, 0)
	s.disk("copy untrusted", "used")
}

func TestScenePairingProhibited(t *testing.T) {
	s := play(t, "pairing-prohibited", e2e.Config{})
	s.phone("behavior", "pairing-forbidden", "on")
	s.plug()
	s.await(trust.PairingProhibited)
	s.status("refused")
	s.asked(0, 0)
	s.disk()
	s.phone("behavior", "pairing-forbidden", "off") // by its management
	s.await(trust.DialogShown)
	s.tapTrust()
	s.told("connecting pairing-prohibited dialog-shown trusted", "Attached Paired")
	s.asked(1, 0)
	s.disk("record", "used")
}

// supervisor makes a file with an organisation's identity, which has the certificate
// that its phones were supervised with.
func supervisor(t *testing.T) (file string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "Organisation"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var identity bytes.Buffer
	for _, b := range []pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&identity, &b); err != nil {
			t.Fatal(err)
		}
	}
	file = filepath.Join(t.TempDir(), "identity.pem")
	if err := os.WriteFile(file, identity.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// supervise makes the phone one that its management lets pair with supervisors only.
func (s *scene) supervise(identity string) {
	s.t.Helper()
	certificate := strings.TrimSuffix(identity, ".pem") + "-public.pem"
	data, err := os.ReadFile(identity)
	if err == nil {
		block, _ := pem.Decode(data)
		err = os.WriteFile(certificate, pem.EncodeToMemory(block), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.phone("supervise", certificate)
	s.phone("behavior", "mc-protected", "on")
}

func TestSceneSupervised(t *testing.T) {
	identity := supervisor(t)
	s := play(t, "supervised", e2e.Config{Passcode: "1234", Args: []string{"--supervisor", identity}})
	s.supervise(identity)
	s.plug()
	s.hear("Paired")
	s.works()
	s.await(trust.Trusted)
	s.status("trusted")
	s.told("connecting trusted", "Attached Paired")
	s.asked(0, 0)
	s.disk("record", "used")
}

// TestSceneSupervisedLocked asserts that the record which a locked phone gives makes
// way for a whole one, and never the other way round.
func TestSceneSupervisedLocked(t *testing.T) {
	identity := supervisor(t)
	s := play(t, "supervised-locked", e2e.Config{Passcode: "1234", Args: []string{"--supervisor", identity}})
	s.supervise(identity)
	s.phone("lock")
	s.plug()
	s.hear("Paired")
	s.works()
	s.await(trust.Trusted)
	s.disk("record without bag", "used")
	s.phone("unlock", "1234")
	s.plug()
	s.await(trust.Trusted)
	s.works()
	s.told("connecting trusted gone connecting trusted", "Attached Paired Detached Attached")
	s.asked(0, 0)
	s.disk("record without bag", "used")
}

func TestSceneSupervisedByOthers(t *testing.T) {
	identity, other := supervisor(t), supervisor(t)
	for _, tt := range []struct {
		name string
		args []string
	}{{"no-identity", nil}, {"other-identity", []string{"--supervisor", other}}} {
		t.Run(tt.name, func(t *testing.T) {
			s := play(t, "supervised-"+tt.name, e2e.Config{Args: tt.args})
			s.supervise(identity)
			s.plug()
			s.await(trust.SupervisedChallenge)
			s.status("refused")
			fails(t, s.Rig, "", "idevicepair", "validate")
			s.unplug()
			s.told("connecting supervised-challenge gone", "Attached Detached")
			s.asked(0, 0)
			s.disk()
		})
	}
}
