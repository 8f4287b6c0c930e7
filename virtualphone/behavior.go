package virtualphone

import "time"

// Behavior is how the phone's software and its owner treat pairing. It can be
// changed at any time with Phone.SetBehavior, also while a dialog is up.
type Behavior struct {
	DialogDelay      time.Duration // between Pair and the dialog; iOS 26 takes 10-30 s
	DialogTimeout    time.Duration // the Trust dialog goes away unanswered after so long, 0 = never
	PairingForbidden bool          // Pair answers PairingProhibitedOverThisConnection
	MCProtected      bool          // management forbids pairing but for supervisors: MCProtected
	PairingLifetime  time.Duration // a host unused for so long is forgotten, default 30 days from iOS 11 on

	// TapNotifies posts request_pair at the tap on Trust, too, when the passcode
	// prompt comes up: a Pair in between is still pending.
	TapNotifies bool
	// DenialNotifies posts request_pair at Don't Trust, too.
	DenialNotifies bool

	// RejectAnswer makes the phone lose the owner's Trust: the Pair after it, and
	// every one for RejectTime, fails with this error name and raises no dialog.
	// PairingDialogResponsePending is the likely one. "" is a phone that keeps its
	// word; set back to it, the next Pair asks the owner anew.
	RejectAnswer string
	RejectTime   time.Duration // default one minute

	// SetupAssistant is a phone that shows its first screen, as after EraseAll: it
	// pairs without a question until Phone.FinishSetup.
	SetupAssistant bool

	// USBRestricted ends all connections and refuses new ones once the phone has
	// been locked for USBRestrictedAfter, until it is unlocked.
	USBRestricted      bool
	USBRestrictedAfter time.Duration // default one hour
}

// Defaults of a Behavior.
const (
	defaultRejectTime = time.Minute
	// Source: Apple Platform Security, "Activating data connections securely".
	defaultUSBRestrictedAfter = time.Hour
)

// Behavior returns the behavior in force.
func (p *Phone) Behavior() Behavior {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.behavior
}

// SetBehavior replaces how the phone treats pairing. Delays and time-outs that run
// are measured anew, from when they began.
func (p *Phone) SetBehavior(b Behavior) { p.editBehavior(func(old *Behavior) { *old = b }) }

func (p *Phone) editBehavior(edit func(*Behavior)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.inSetupLocked()
	edit(&p.behavior)
	if p.inSetupLocked() != was {
		p.showSetupLocked()
	}
	p.armDialogLocked()
	p.armRestrictionLocked()
	p.changedLocked()
}
