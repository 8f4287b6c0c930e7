package virtualphone

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"
)

// host is a computer the phone trusts.
type host struct {
	id       string // HostID
	buid     string // SystemBUID
	device   []byte // DeviceCertificate, DER: what the phone shows in TLS
	hostKey  crypto.PublicKey
	rootKey  crypto.PublicKey
	lastUsed time.Time
}

// certified is the part of a pair record that Pair carries.
type certified struct {
	HostID            string `plist:"HostID,omitempty"`
	SystemBUID        string `plist:"SystemBUID,omitempty"`
	DeviceCertificate []byte `plist:"DeviceCertificate,omitempty"`
	HostCertificate   []byte `plist:"HostCertificate,omitempty"`
	RootCertificate   []byte `plist:"RootCertificate,omitempty"`
}

// equalKeys reports whether two public keys are the same.
func equalKeys(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// parseCertificate reads one certificate, PEM as all known hosts send it, or DER.
func parseCertificate(b []byte) (*x509.Certificate, error) {
	if block, _ := pem.Decode(b); block != nil {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("pem block %q is no certificate", block.Type)
		}
		b = block.Bytes
	}
	return x509.ParseCertificate(b)
}

// newHost checks what Pair carries against the phone's key: the device
// certificate holds it, and the root signed both other certificates. SHA-1 is
// allowed, hosts use it with old phones.
func newHost(r *certified, deviceKey crypto.PublicKey) (*host, error) {
	if r.HostID == "" {
		return nil, fmt.Errorf("no HostID")
	}
	root, err := parseCertificate(r.RootCertificate)
	if err != nil {
		return nil, fmt.Errorf("root certificate: %w", err)
	}
	dev, err := parseCertificate(r.DeviceCertificate)
	if err != nil {
		return nil, fmt.Errorf("device certificate: %w", err)
	}
	hc, err := parseCertificate(r.HostCertificate)
	if err != nil {
		return nil, fmt.Errorf("host certificate: %w", err)
	}
	if !equalKeys(dev.PublicKey, deviceKey) {
		return nil, fmt.Errorf("device certificate is for another key")
	}
	for _, c := range []struct {
		name string
		cert *x509.Certificate
	}{{"root", root}, {"device", dev}, {"host", hc}} {
		if err := root.CheckSignature(c.cert.SignatureAlgorithm, c.cert.RawTBSCertificate, c.cert.Signature); err != nil {
			return nil, fmt.Errorf("%s certificate is not signed by the root: %w", c.name, err)
		}
	}
	return &host{id: r.HostID, buid: r.SystemBUID, device: dev.Raw, hostKey: hc.PublicKey, rootKey: root.PublicKey}, nil
}

// storeLocked makes h trusted. A host that pairs anew replaces its old entry.
func (p *Phone) storeLocked(h *host) {
	for id, old := range p.hosts {
		if h.buid != "" && old.buid == h.buid {
			delete(p.hosts, id)
		}
	}
	h.lastUsed = time.Now()
	p.hosts[h.id] = h
	p.stats.pairings.Add(1)
	p.changedLocked()
}

// knownLocked finds a trusted host; one that was unused for too long is forgotten.
func (p *Phone) knownLocked(id string) *host {
	h := p.hosts[id]
	if h == nil {
		return nil
	}
	if life := p.pairingLifetimeLocked(); life > 0 && time.Since(h.lastUsed) > life {
		delete(p.hosts, id)
		p.changedLocked()
		return nil
	}
	return h
}

// defaultPairingLifetime is how long iOS 11 and later keep an unused pairing.
// Source: Apple Platform Security, "Pairing model security".
const defaultPairingLifetime = 30 * 24 * time.Hour

func (p *Phone) pairingLifetimeLocked() time.Duration {
	switch {
	case p.behavior.PairingLifetime > 0:
		return p.behavior.PairingLifetime
	case p.cfg.iOS() >= 11:
		return defaultPairingLifetime
	}
	return 0
}

// ExpirePairings lets all pairings lapse, as if unused for the whole lifetime.
func (p *Phone) ExpirePairings() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.hosts)
	p.accepted = nil
	p.changedLocked()
}
