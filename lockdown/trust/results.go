package trust

import "time"

// Done takes the result of the deed that Next gave.
func (m *Machine) Done(now time.Time, d Deed, r Result) {
	switch d {
	case Identify:
		m.identified(now, r)
	case Check:
		m.checked(now, r)
	case SetAside:
		m.putAway(now, r)
	case Listen:
		m.listened(now, r)
	case Pair:
		m.paired(now, r)
	case Save:
		m.saved(now, r)
	case Unpair:
		m.unpaired(now, r)
	}
}

func (m *Machine) disk(r Result) { m.record, m.untrusted = r.Record, r.Untrusted }

func (m *Machine) identified(now time.Time, r Result) {
	m.disk(r)
	switch {
	case r.Cause != "":
		if !m.mishap(now, r.Cause, Identify) {
			m.unreachable(now, r.Cause)
		}
		return
	case r.Restoring:
		m.known = false
		m.set(RestoreMode, "")
		m.rest()
		return
	}
	m.known, m.class, m.major, m.passcode = true, r.Class, r.Major, r.Passcode
	m.begin(now)
}

// begin decides what to do with a phone that answers.
func (m *Machine) begin(now time.Time) {
	switch {
	case m.untrusted:
		m.next(Unpair, now)
	case m.record:
		m.next(Check, now) // one of another computer may do, too
	default:
		m.ask(now)
	}
}

// ask goes about pairing, if that is allowed.
func (m *Machine) ask(now time.Time) {
	switch {
	case m.cfg.Policy != Auto && !m.told:
		// What was wrong with the record that is gone says more, if it is still told.
		tells := m.state == ForgottenByPhone || m.state == RecordBroken || m.state == BUIDMismatch
		if m.why == "" || !tells {
			m.set(NotAsked, CausePolicyAsk)
		}
		m.rest()
	case m.listening || m.legacy():
		m.asking = true
		m.next(Pair, now)
	default:
		m.asking = true
		m.next(Listen, now)
	}
}

func (m *Machine) listened(now time.Time, r Result) {
	m.listening = r.Cause == ""
	switch {
	case m.asking:
		m.next(Pair, now) // it is also the one that tells what is wrong
	case m.listening:
		m.rest()
	default:
		m.later(Listen, now, slow)
	}
}

// legacy reports whether the phone pairs without a dialog, as all did below iOS 7.
func (m *Machine) legacy() bool {
	switch m.class {
	case "iPhone", "iPad", "iPod":
		return m.major > 0 && m.major < 7
	}
	return false
}

// unreachable is the end of every deed for which lockdownd could not be talked to.
func (m *Machine) unreachable(now time.Time, cause string) {
	m.listening = false
	m.dialog, m.taps = time.Time{}, 0 // who knows what the phone shows by then
	if cause == CauseRefused {
		// The multiplexer works and lockdownd always listens: the phone holds it
		// back while it is locked.
		m.set(AccessoryRestricted, cause)
		m.later(Identify, now, unlocked)
		return
	}
	if cause == CauseBroken && m.tries == 0 {
		m.later(Identify, now, slow) // once is nothing to tell
		return
	}
	m.set(NotAnswering, cause)
	m.later(Identify, now, slow)
}

// mishap sorts the causes that say nothing about the deed. It reports whether
// cause was one.
func (m *Machine) mishap(now time.Time, cause string, d Deed) bool {
	switch cause {
	case CauseSilent, CauseGarbage, CauseRefused, CauseBroken:
		m.unreachable(now, cause)
	case nameFMiPProtected:
		m.set(FindMyProtected, cause)
		m.later(d, now, slow)
	case nameEscrowLocked:
		m.set(EscrowLocked, cause)
		m.later(d, now, unlocked)
	case nameServiceLimit:
		m.set(ServiceLimit, cause)
		m.later(d, now, slow)
	case nameProhibited:
		m.set(PairingProhibited, cause)
		m.later(d, now, slow)
	case nameMCProtected, nameMCChallenge, nameMCFailed:
		m.set(SupervisedChallenge, cause)
		m.later(d, now, slow)
	case CauseDisk:
		m.set(RecordBroken, cause)
		m.later(d, now, slow)
	default:
		return false
	}
	return true
}

func (m *Machine) checked(now time.Time, r Result) {
	m.disk(r)
	if r.Cause != CauseTLS {
		m.tls = 0
	}
	switch r.Cause {
	case "":
		m.escrow, m.vain = r.Escrow, 0
		m.trusted(now)
	case CauseNoRecord:
		switch {
		case m.record: // a client has saved one since
			m.later(Check, now, slow)
		case m.state == Trusted: // someone has removed the file
			m.set(NotAsked, CauseUnpairedHere)
			m.rest()
		default:
			m.ask(now)
			m.inVain(now) // someone takes away what has just been saved
		}
	case namePasswordProtected:
		m.set(LockedSinceBoot, r.Cause)
		m.later(Check, now, unlocked)
	case nameInvalidHostID:
		switch {
		case r.Stranger:
			m.set(BUIDMismatch, CauseBUID)
		case r.Unused:
			m.set(ForgottenByPhone, CauseUnused)
		default:
			m.set(ForgottenByPhone, r.Cause)
		}
		m.next(SetAside, now)
	case CauseTLS:
		if m.tls++; m.tls < tlsTries {
			m.later(Check, now, slow)
			return
		}
		m.set(RecordBroken, r.Cause)
		m.next(SetAside, now)
	case CauseDeviceKey, CauseIncomplete, CauseUnreadable, nameMissingPairRecord, nameInvalidPairRecord:
		m.set(RecordBroken, r.Cause)
		m.next(SetAside, now)
	default:
		if !m.mishap(now, r.Cause, Check) {
			m.set(NotAnswering, r.Cause)
			m.later(Check, now, slow)
		}
	}
}

func (m *Machine) trusted(now time.Time) {
	m.set(Trusted, "")
	m.why, m.told, m.answered, m.opened = "", false, false, now
	m.dialog, m.taps, m.listening, m.asking, m.tries = time.Time{}, 0, false, false, 0
	switch {
	case m.cfg.Policy == Never:
		m.rest()
	case m.cfg.Supervisor && !m.escrow:
		m.next(Pair, now.Add(recheck)) // it was locked: once it is not, there is a bag
	default:
		m.next(Check, now.Add(recheck))
	}
}

func (m *Machine) putAway(now time.Time, r Result) {
	if r.Cause != "" {
		m.mishap(now, CauseDisk, SetAside)
		return
	}
	m.disk(r)
	m.why = m.cause
	if m.record {
		m.vain++
		m.later(Check, now, slow) // a client has saved another one
		return
	}
	m.ask(now)
	m.inVain(now) // it pairs, and refuses what it has paired with
}

// inVain puts off what is planned, the longer the more records have been of no use.
func (m *Machine) inVain(now time.Time) {
	if m.vain++; m.vain > 1 && m.do != Rest {
		m.at = now.Add(min(soon<<min(2*m.vain, 20), longest))
	}
}

func (m *Machine) paired(now time.Time, r Result) {
	answered := m.answered
	m.answered = false
	if m.state == Trusted && r.Cause != "" {
		m.next(Check, now) // it was only for the bag
		return
	}
	switch r.Cause {
	case "":
		m.next(Save, now)
	case nameDialogPending:
		m.pending(now, answered)
	case namePasscodeRequired:
		m.set(PasscodeAwaited, r.Cause)
		m.later(Pair, now, unlocked)
	case namePasswordProtected:
		cause := r.Cause
		if !m.dialog.IsZero() || m.state == Locked && m.cause == CauseLockedAway {
			cause = CauseLockedAway
		}
		m.set(Locked, cause)
		m.dialog, m.taps = time.Time{}, 0
		m.later(Pair, now, unlocked)
	case nameUserDenied:
		m.set(Denied, r.Cause)
		m.dialog, m.taps = time.Time{}, 0
		m.rest()
	default:
		if !m.mishap(now, r.Cause, Pair) {
			m.set(AnswerNotAccepted, r.Cause)
			m.later(Pair, now, slow)
		}
	}
}

// pending is the phone's word that it has asked, or is about to ask, its owner.
func (m *Machine) pending(now time.Time, answered bool) {
	if m.dialog.IsZero() {
		m.dialog, m.taps = now, 0
	}
	if answered {
		m.taps++
	}
	switch {
	case m.taps == 0:
		m.set(DialogShown, m.why)
	case m.taps == 1 && m.passcode && (m.major == 0 || m.major >= 11):
		m.set(PasscodeAwaited, m.why)
	default:
		m.set(AnswerNotAccepted, nameDialogPending)
	}
	if now.Sub(m.dialog) < patience {
		again := Pair
		if !m.listening && !m.legacy() {
			again = Listen
		}
		m.later(again, now, slow)
		return
	}
	if m.state != AnswerNotAccepted {
		m.set(DialogGone, CauseTimedOut)
	}
	m.dialog, m.taps = time.Time{}, 0
	m.rest()
}

func (m *Machine) saved(now time.Time, r Result) {
	if r.Cause != "" {
		m.mishap(now, CauseDisk, Save)
		return
	}
	m.record = true
	m.next(Check, now) // it is trust if it opens the phone
}

func (m *Machine) unpaired(now time.Time, r Result) {
	switch r.Cause {
	case "", nameInvalidHostID, CauseNoRecord:
		m.untrusted = false
		m.set(NotAsked, CauseUnpairedHere)
		if m.told || m.record {
			m.begin(now)
			return
		}
		m.rest()
	case namePasswordProtected:
		m.set(NotAsked, CauseUnpairedHere)
		m.later(Unpair, now, unlocked)
	default:
		if !m.mishap(now, r.Cause, Unpair) {
			m.later(Unpair, now, slow)
		}
	}
}
