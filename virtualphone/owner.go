package virtualphone

import "errors"

// Lock locks the screen; a dialog goes away. A phone without a passcode has
// nothing to lock and fails.
func (p *Phone) Lock() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passcode == "" {
		return errors.New("the phone has no passcode, so it cannot be locked")
	}
	p.locked = true
	p.hideDialogLocked(DialogLocked)
	p.armRestrictionLocked()
	p.changedLocked()
	return nil
}

// Unlock enters the passcode on the lock screen. It fails with ErrPasscode; on
// an unlocked phone it does nothing.
func (p *Phone) Unlock(code string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.locked {
		return nil
	}
	if code != p.passcode {
		return ErrPasscode
	}
	p.locked, p.sinceBoot = false, false
	p.armRestrictionLocked()
	p.changedLocked()
	return nil
}

// SetPasscode changes the passcode; "" removes it and unlocks.
func (p *Phone) SetPasscode(code string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passcode = code
	if code == "" {
		p.locked, p.sinceBoot = false, false
		p.armRestrictionLocked()
	}
	p.changedLocked()
}

// Reboot unplugs the phone, restarts it and plugs it in again if it was plugged.
// With a passcode it is then locked since boot: until the first unlock no
// session starts. Whom it trusts it knows from its disk; an answer of the owner
// that no Pair has fetched is lost. It does not wait for the services.
func (p *Phone) Reboot() error { return p.reboot(func() {}) }

// reboot runs wipe under Phone.mu while the phone is down.
func (p *Phone) reboot(wipe func()) error {
	was := p.plugged() != nil
	p.Unplug()
	p.mu.Lock()
	p.locked = p.passcode != ""
	p.sinceBoot = p.locked
	p.granted, p.accepted, p.denied, p.rejected = nil, nil, nil, nil
	p.hideDialogLocked(DialogWithdrawn)
	wipe()
	p.armRestrictionLocked()
	p.changedLocked()
	p.mu.Unlock()
	if !was {
		return nil
	}
	_, err := p.Plug()
	return err
}

// ResetLocationAndPrivacy forgets all hosts, as the setting of that name does.
// Sessions and services that run go on.
func (p *Phone) ResetLocationAndPrivacy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetHostsLocked()
}

// ResetNetworkSettings forgets all hosts, takes the owner's name from the phone and
// reboots.
//
// Source: the iPhone User Guide, "Reset iPhone settings to their defaults".
func (p *Phone) ResetNetworkSettings() error {
	return p.reboot(func() {
		p.forgetHostsLocked()
		p.values[""]["DeviceName"] = p.cfg.genericName()
	})
}

// ResetAllSettings forgets all hosts, the phone's name and what hosts have set, and
// reboots. The passcode stays.
func (p *Phone) ResetAllSettings() error {
	return p.reboot(func() {
		p.forgetHostsLocked()
		p.values = sampleValues(&p.cfg)
		p.values[""]["DeviceName"] = p.cfg.genericName()
	})
}

func (p *Phone) forgetHostsLocked() {
	clear(p.hosts)
	p.granted, p.accepted, p.denied, p.rejected = nil, nil, nil, nil
	p.hideDialogLocked(DialogWithdrawn)
	p.changedLocked()
}

// pulled is what an unplug means to the owner's side: the dialog goes away and
// a refusal is forgotten.
func (p *Phone) pulled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hideDialogLocked(DialogWithdrawn)
	p.accepted, p.denied, p.rejected = nil, nil, nil
	p.changedLocked()
}

// Supervise makes the phone supervised: a host that signs a challenge with the
// key of one of the certificates (DER) pairs without a dialog. Without
// certificates it ends supervision.
func (p *Phone) Supervise(certificates ...[]byte) error {
	certs, err := parseSupervisors(certificates)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.supervisors = certs
	p.changedLocked()
	return nil
}
