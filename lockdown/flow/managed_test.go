package flow_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"gomuxd/lockdown"
	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
	"gomuxd/virtualphone"
)

// organisation supervises phones.
type organisation struct {
	certificate *x509.Certificate
	key         *rsa.PrivateKey
}

var (
	ours   = sync.OnceValue(newOrganisation)
	theirs = sync.OnceValue(newOrganisation)
)

func newOrganisation() organisation {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	year := 365 * 24 * time.Hour
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-year), NotAfter: time.Now().Add(year)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return organisation{certificate, key}
}

// inPEM and inPKCS12 are the identity in the forms that people have it in.
func (o organisation) inPEM() *lockdown.Supervisor {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(o.key)})
	_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: o.certificate.Raw})
	return parsed(b.Bytes(), "")
}

func (o organisation) inPKCS12() *lockdown.Supervisor {
	data, err := pkcs12.Modern.Encode(o.key, o.certificate, nil, "secret")
	if err != nil {
		panic(err)
	}
	return parsed(data, "secret")
}

func parsed(data []byte, password string) *lockdown.Supervisor {
	s, err := lockdown.ParseSupervisor(data, password)
	if err != nil {
		panic(err)
	}
	return s
}

// supervised makes the phone one of ours.
func supervised(r *rig) { r.must(r.phone.Supervise(ours().certificate.Raw)) }

var managed = virtualphone.Config{Passcode: code, Behavior: virtualphone.Behavior{MCProtected: true}}

// managedStories are about phones that belong to an organisation, or do not pair.
var managedStories = []story{
	{
		name: "supervised, our identity in PEM", phone: coded, cfg: flow.Config{Supervisor: ours().inPEM()}, before: supervised,
		tell: func(r *rig) { r.expect(2*time.Second, trust.Trusted) },
		seen: "connecting paired trusted", disk: "record used",
	},
	{
		name: "supervised and closed to others, our identity in PKCS #12", phone: managed,
		cfg: flow.Config{Supervisor: ours().inPKCS12()}, before: supervised,
		tell: func(r *rig) { r.expect(2*time.Second, trust.Trusted) },
		seen: "connecting paired trusted", disk: "record used",
	},
	{
		name: "supervised, an identity for phones that are not", phone: coded, cfg: flow.Config{Supervisor: ours().inPEM()},
		tell: (*rig).accept,
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "supervised, without an identity", phone: coded, before: supervised,
		tell: (*rig).accept,
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "supervised, the identity of somebody else", phone: coded, cfg: flow.Config{Supervisor: theirs().inPEM()}, before: supervised,
		tell: (*rig).accept,
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "supervised and closed to others, the identity of somebody else", phone: managed,
		cfg: flow.Config{Supervisor: theirs().inPEM()}, before: supervised,
		tell: func(r *rig) { time.Sleep(10 * time.Minute) },
		seen: "connecting supervised-challenge(MCProtected)",
	},
	{
		name: "supervised, the proof is refused", phone: coded, cfg: flow.Config{Supervisor: ours().inPEM()}, before: supervised,
		tell: func(r *rig) {
			r.phone.FailNext("Pair", "MCChallengeFailed")
			r.expect(time.Second, trust.SupervisedChallenge)
			r.expect(time.Minute, trust.Trusted)
		},
		seen: "connecting supervised-challenge(MCChallengeFailed) paired trusted", disk: "record used",
	},
	{
		// A locked phone pairs with its supervisor, but keeps the escrow bag's keys.
		name: "supervised and locked", phone: coded, cfg: flow.Config{Supervisor: ours().inPEM()},
		before: func(r *rig) { supervised(r); lockedUp(r) },
		tell: func(r *rig) {
			r.expect(2*time.Second, trust.Trusted)
			time.Sleep(10 * time.Minute)
			if got := r.disk(); got != "bagless used" {
				r.t.Errorf("while locked: %q on disk", got)
			}
			r.must(r.phone.Unlock(code))
			time.Sleep(10 * time.Minute)
		},
		seen: "connecting paired trusted paired", disk: "record used -replaced",
	},
	{
		name: "supervised and locked, with a fuller record from a client", phone: coded, cfg: flow.Config{Supervisor: ours().inPEM()},
		before: func(r *rig) { supervised(r); lockedUp(r) },
		tell: func(r *rig) {
			r.expect(2*time.Second, trust.Trusted)
			r.must(r.phone.Unlock(code))
			c := r.client()
			go func() { r.tap(); r.enter() }()
			c.pair()
			r.must(r.phone.Lock())
			c.save()
			c.Close()
			time.Sleep(10 * time.Minute)
			c.kept()
		},
		seen: "connecting paired trusted", disk: "record used -replaced", dialogs: 1,
	},
	{
		// Paired without a bag while a client saves a record with one: that is not
		// replaced, but put away once the phone says that it knows ours instead.
		name: "supervised and locked, a fuller record comes between", phone: coded, cfg: flow.Config{Supervisor: ours().inPEM()},
		before: func(r *rig) {
			supervised(r)
			lockedUp(r)
			var once atomic.Bool
			r.phone.OnRequest(func(request string, done bool) {
				if request == "Pair" && done && len(r.phone.State().Hosts) > 0 && once.CompareAndSwap(false, true) {
					r.bring(func(rec *pairrecord.Record) { rec.EscrowBag = []byte("bag") })
				}
			})
		},
		tell: func(r *rig) { r.expect(time.Minute, trust.Trusted) },
		seen: "connecting forgotten-by-phone(InvalidHostID) paired trusted", disk: "bagless used -invalidhostid",
	},
	{
		name: "management forbids pairing, then allows it", phone: managed,
		tell: func(r *rig) {
			r.expect(time.Second, trust.SupervisedChallenge)
			time.Sleep(10 * time.Minute)
			r.phone.SetBehavior(virtualphone.Behavior{})
			r.expect(time.Minute, trust.DialogShown)
			r.accept()
		},
		seen: "connecting supervised-challenge(MCProtected) dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "pairing is prohibited, then allowed", phone: virtualphone.Config{Behavior: virtualphone.Behavior{PairingForbidden: true}},
		tell: func(r *rig) {
			r.expect(time.Second, trust.PairingProhibited)
			time.Sleep(10 * time.Minute)
			r.phone.SetBehavior(virtualphone.Behavior{})
			r.accept()
		},
		seen: "connecting pairing-prohibited(PairingProhibitedOverThisConnection) dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
}
