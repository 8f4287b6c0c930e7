package virtualphone

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"
)

// memory is what a phone knows of its hosts, in JSON. A real one keeps it on its
// disk, whatever becomes of the computer at the other end of the cable.
type memory struct {
	UDID      string           `json:"udid"`
	Key       []byte           `json:"key"` // of the device, PKCS #1
	Passcode  string           `json:"passcode"`
	Locked    bool             `json:"locked"`
	SinceBoot bool             `json:"since_boot"`
	Hosts     []rememberedHost `json:"hosts"`
	Dialogs   uint64           `json:"dialogs"`  // shown in all
	Pairings  uint64           `json:"pairings"` // accepted in all
}

type rememberedHost struct {
	HostID     string    `json:"host_id"`
	SystemBUID string    `json:"system_buid"`
	Device     []byte    `json:"device"`   // certificate, DER
	HostKey    []byte    `json:"host_key"` // public, PKIX
	RootKey    []byte    `json:"root_key"`
	LastUsed   time.Time `json:"last_used"`
}

// Memory is what the phone knows about trust at this moment: its key, its lock,
// the hosts, and how often it has asked and paired in all. With it as
// Config.Memory, a later phone is this one.
func (p *Phone) Memory() ([]byte, error) {
	key := p.deviceKey() // made before the lock: it takes a while the first time
	p.mu.Lock()
	defer p.mu.Unlock()
	m := memory{
		UDID: p.cfg.UDID, Key: x509.MarshalPKCS1PrivateKey(key),
		Passcode: p.passcode, Locked: p.locked, SinceBoot: p.sinceBoot,
		Dialogs: p.stats.dialogs.Load(), Pairings: p.stats.pairings.Load(),
	}
	for _, h := range p.hosts {
		hostKey, err := x509.MarshalPKIXPublicKey(h.hostKey)
		if err != nil {
			return nil, fmt.Errorf("memory of host %s: %w", h.id, err)
		}
		rootKey, err := x509.MarshalPKIXPublicKey(h.rootKey)
		if err != nil {
			return nil, fmt.Errorf("memory of host %s: %w", h.id, err)
		}
		m.Hosts = append(m.Hosts, rememberedHost{h.id, h.buid, h.device, hostKey, rootKey, h.lastUsed})
	}
	return json.Marshal(m)
}

// recall makes a new phone the one that b is the memory of.
func (p *Phone) recall(b []byte) error {
	var m memory
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("memory of a phone: %w", err)
	}
	if m.UDID != p.cfg.UDID {
		return fmt.Errorf("memory of phone %s, not of %s", m.UDID, p.cfg.UDID)
	}
	key, err := x509.ParsePKCS1PrivateKey(m.Key)
	if err != nil {
		return fmt.Errorf("memory of phone %s: %w", m.UDID, err)
	}
	for _, h := range m.Hosts {
		hostKey, err := x509.ParsePKIXPublicKey(h.HostKey)
		if err != nil {
			return fmt.Errorf("memory of host %s: %w", h.HostID, err)
		}
		rootKey, err := x509.ParsePKIXPublicKey(h.RootKey)
		if err != nil {
			return fmt.Errorf("memory of host %s: %w", h.HostID, err)
		}
		p.hosts[h.HostID] = &host{h.HostID, h.SystemBUID, h.Device, hostKey, rootKey, h.LastUsed}
	}
	known := func() *rsa.PrivateKey { return key }
	p.key.Store(&known)
	p.passcode, p.locked, p.sinceBoot = m.Passcode, m.Locked, m.SinceBoot
	p.stats.dialogs.Store(m.Dialogs)
	p.stats.pairings.Store(m.Pairings)
	return nil
}
