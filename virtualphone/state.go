package virtualphone

import (
	"context"
	"sort"
)

// State is what a person sees who looks at the phone, and whom it trusts.
type State struct {
	UDID            string    `json:"udid"`
	Name            string    `json:"name"`
	ProductType     string    `json:"product_type"`
	ProductVersion  string    `json:"product_version"`
	Plugged         bool      `json:"plugged"`
	Setup           bool      `json:"setup"` // shows its first screens, pairs without a question
	PasscodeSet     bool      `json:"passcode_set"`
	Locked          bool      `json:"locked"`
	LockedSinceBoot bool      `json:"locked_since_boot"`
	USBRestricted   bool      `json:"usb_restricted"` // locked for so long that it refuses connections
	Supervised      bool      `json:"supervised"`
	RestoreMode     bool      `json:"restore_mode"`
	Dialog          Dialog    `json:"dialog"`
	LastDialog      DialogEnd `json:"last_dialog,omitempty"` // how the last Trust dialog ended
	Accepted        bool      `json:"accepted"`              // the owner tapped Trust and the host has not paired yet
	Hosts           []string  `json:"hosts"`                 // HostIDs, sorted
}

// State returns the state at this moment.
func (p *Phone) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stateLocked()
}

func (p *Phone) stateLocked() State {
	s := State{
		UDID: p.cfg.UDID, Name: p.nameLocked(),
		ProductType: p.cfg.ProductType, ProductVersion: p.cfg.ProductVersion,
		Plugged: p.plugged() != nil, Setup: p.inSetupLocked(), USBRestricted: p.restricted.Load(),
		PasscodeSet: p.passcode != "", Locked: p.locked, LockedSinceBoot: p.sinceBoot,
		Supervised: len(p.supervisors) > 0, RestoreMode: p.restoring,
		Dialog: p.dialog, LastDialog: p.lastDialog, Accepted: len(p.granted) > 0,
		Hosts: make([]string, 0, len(p.hosts)),
	}
	for id := range p.hosts {
		s.Hosts = append(s.Hosts, id)
	}
	sort.Strings(s.Hosts)
	return s
}

// Name is the phone's name, which hosts and its owner may change.
func (p *Phone) Name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nameLocked()
}

// Wait blocks until ok is true of the state, and returns that state; or until
// ctx ends, with its error. ok must not call the phone.
func (p *Phone) Wait(ctx context.Context, ok func(State) bool) (State, error) {
	for {
		p.mu.Lock()
		s, next := p.stateLocked(), p.changes
		p.mu.Unlock()
		if ok(s) {
			return s, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// changedLocked wakes everyone in Wait.
func (p *Phone) changedLocked() {
	close(p.changes)
	p.changes = make(chan struct{})
}

func (p *Phone) noteChange() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changedLocked()
}
