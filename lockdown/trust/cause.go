package trust

// A cause says why a phone is in its state. Most are lockdownd's own error names;
// these are the others.
const (
	// Findings about the connection to lockdownd.
	CauseSilent  = "silent"  // no reply in time
	CauseGarbage = "garbage" // a reply that the protocol does not allow
	CauseRefused = "refused" // the phone refuses the connection
	CauseBroken  = "broken"  // the connection broke

	// Findings about the record.
	CauseTLS        = "tls-refused"       // either side gave TLS up, twice
	CauseDeviceKey  = "device-key"        // the phone's key is not the one in the record
	CauseIncomplete = "record-incomplete" // it lacks what a session needs
	CauseUnreadable = "record-unreadable" // it is no pair record
	CauseDisk       = "disk"              // it cannot be read or saved
	CauseNoRecord   = "no-record"         // there is none
	CauseUnused     = "unused"            // forgotten, and unused for longer than phones remember
	CauseBUID       = "buid"              // made under another BUID

	// What the operator, or a client, wants.
	CausePolicyAsk    = "policy-ask"
	CausePolicyNever  = "policy-never"
	CauseUnpairedHere = "unpaired-here"

	// What became of the dialog.
	CauseTimedOut   = "timed-out"   // unanswered for long
	CauseLockedAway = "locked-away" // the phone was locked while it was up
)

// Lockdown's names that the machine knows.
const (
	nameDialogPending     = "PairingDialogResponsePending"
	namePasswordProtected = "PasswordProtected"
	nameUserDenied        = "UserDeniedPairing"
	nameInvalidHostID     = "InvalidHostID"
	nameProhibited        = "PairingProhibitedOverThisConnection"
	nameMCProtected       = "MCProtected"
	nameMCChallenge       = "MCChallengeRequired"
	nameMCFailed          = "MCChallengeFailed"
	nameFMiPProtected     = "FMiPProtected"
	nameEscrowLocked      = "EscrowLocked"
	nameServiceLimit      = "ServiceLimit"
	namePasscodeRequired  = "PasscodeRequired"
	nameMissingPairRecord = "MissingPairRecord"
	nameInvalidPairRecord = "InvalidPairRecord"
)
