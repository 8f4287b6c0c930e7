// Package trust is the trust state machine of one phone: what has been seen of
// it, which state that is, and what to do next. It does no I/O, starts nothing
// and reads no clock: package flow asks Next what to do, does it, and tells Done
// what came of it; Hear takes what happens meanwhile.
//
//	            ┌────────────── Identify ◀── silence, nonsense, refusal of connections
//	            ▼
//	no record ┌───┐ record
//	    ┌─────┤   ├──────▶ Check ──▶ trusted ── every five minutes, or after a client ──▶ Check
//	    ▼     └───┘          │
//	 Listen                  └─▶ InvalidHostID, TLS, broken ──▶ SetAside ──▶ Listen, Ask
//	    ▼
//	   Ask ──▶ paired: Save ──▶ Check ──▶ trusted
//	    │ ▲
//	    ▼ └── request_pair, an unlock, the operator, a poll with back-off
//	dialog-shown, locked, denied, ...
//
// # What is seen and what is inferred
//
// A phone tells little. That a dialog is up is seen (PairingDialogResponsePending);
// that it is gone is inferred from the time it has been up. The person is asked by
// one Ask after the other only while the dialog is fresh: a dismissed dialog must
// not come back for ever.
//
// That Trust was tapped and the passcode is still awaited is inferred, too: from a
// request_pair notification after which Pair is still pending. Whether any phone
// notifies that early is not known; those who watched one say that it notifies only
// after the passcode. lockdownd answers the same before and after the tap, so such
// a phone is in dialog-shown until it trusts us, and if it has a passcode and loses
// the answer, that looks like a tap. The one other sign would be the refusal
// PasscodeRequired.
//
// trusted is said only of a record that has opened a session.
package trust
