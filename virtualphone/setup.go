package virtualphone

import "errors"

// EraseAll is Erase All Content and Settings: the phone forgets hosts, values,
// passcode and supervision, makes itself a new device key, reboots, and is in setup
// until FinishSetup. Behavior, forced replies, and what services hold stay.
func (p *Phone) EraseAll() error {
	return p.reboot(func() {
		p.forgetHostsLocked()
		p.passcode, p.locked, p.sinceBoot = "", false, false
		p.supervisors = nil
		p.values = sampleValues(&p.cfg)
		p.values[""]["DeviceName"] = p.cfg.genericName()
		p.clockSkew = 0
		p.restoring = false
		p.renewDeviceKeyLocked()
		p.setup = true
		p.showSetupLocked()
	})
}

// FinishSetup takes the owner through the first screens to the home screen. It
// fails if the phone is not in setup. Hosts that have paired meanwhile stay.
func (p *Phone) FinishSetup() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.inSetupLocked() {
		return errors.New("the phone is not in setup")
	}
	p.setup, p.behavior.SetupAssistant = false, false
	p.showSetupLocked()
	p.changedLocked()
	return nil
}

func (p *Phone) inSetupLocked() bool { return p.setup || p.behavior.SetupAssistant }

// showSetupLocked makes the values say whether the phone is in setup.
func (p *Phone) showSetupLocked() {
	done, activation := true, "Activated"
	if p.inSetupLocked() {
		done, activation = false, "Unactivated"
	}
	p.values[""]["ActivationState"] = activation
	if v := p.values["com.apple.purplebuddy"]; v != nil {
		v["SetupDone"] = done
	}
}
