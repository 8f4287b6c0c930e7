package trust

// State is where one phone stands with this computer, by a name that programs
// may rely on: it is what the control API and muxctl call it.
type State string

// Below the multiplexer: what USB alone tells.
const (
	ChargingOnly State = "charging-only" // an Apple device without a configuration that carries data
	NoMux        State = "no-mux"        // no usbmux interface, or nobody answers on it
	Recovery     State = "recovery"      // iBoot
	DFU          State = "dfu"           // boot ROM
)

// Before anything is known.
const (
	Connecting   State = "connecting"    // plugged in, being brought up or asked
	NotAnswering State = "not-answering" // the multiplexer works, lockdownd is silent or talks nonsense
	RestoreMode  State = "restore-mode"  // restored answers in lockdownd's place
	NoLockdown   State = "no-lockdown"   // a device that has none and needs no trust: T2
)

// Waiting for a person.
const (
	NotAsked            State = "not-asked"            // policy, or unpaired from here: asks when told to
	Locked              State = "locked"               // locked, so it shows no dialog
	LockedSinceBoot     State = "locked-since-boot"    // knows us, but has not been unlocked since its start
	DialogShown         State = "dialog-shown"         // "Trust This Computer?"
	PasscodeAwaited     State = "passcode-awaited"     // Trust tapped, passcode not yet entered
	DialogGone          State = "dialog-gone"          // dismissed, or timed out unanswered
	AnswerNotAccepted   State = "answer-not-accepted"  // tapped, yet the phone still refuses us
	Denied              State = "denied"               // Don't Trust
	AccessoryRestricted State = "accessory-restricted" // locked too long for USB, or accessory not allowed
)

// Decided.
const (
	Trusted  State = "trusted"
	Expiring State = "expiring" // trusted, but not used for so long that the phone will forget us soon
	Disabled State = "disabled" // the operator has turned the daemon's part in pairing off
)

// Something is wrong with the pairing.
const (
	ForgottenByPhone    State = "forgotten-by-phone"   // we have a record, the phone does not know us
	RecordBroken        State = "record-broken"        // our record cannot be read or used
	BUIDMismatch        State = "buid-mismatch"        // our record was made by another computer
	SupervisedChallenge State = "supervised-challenge" // only a supervisor's identity opens it
	PairingProhibited   State = "pairing-prohibited"   // by management, or over this connection
	FindMyProtected     State = "fmip-protected"       // FMiPProtected
	EscrowLocked        State = "escrow-locked"        // EscrowLocked
	ServiceLimit        State = "service-limit"        // ServiceLimit: too many sessions on the phone
)

// States lists all names, in the order above.
func States() []State {
	return []State{
		ChargingOnly, NoMux, Recovery, DFU,
		Connecting, NotAnswering, RestoreMode, NoLockdown,
		NotAsked, Locked, LockedSinceBoot, DialogShown, PasscodeAwaited, DialogGone, AnswerNotAccepted, Denied, AccessoryRestricted,
		Trusted, Expiring, Disabled,
		ForgottenByPhone, RecordBroken, BUIDMismatch, SupervisedChallenge, PairingProhibited, FindMyProtected, EscrowLocked, ServiceLimit,
	}
}
