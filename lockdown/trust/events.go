package trust

import "time"

// Hear takes an event.
func (m *Machine) Hear(now time.Time, e Event) {
	switch e {
	case RequestPair:
		m.answer(now)
	case ProxyLost:
		m.listening = false
		if m.do == Rest && m.Listens() {
			m.later(Listen, now, slow)
		}
	case ClientMissed:
		m.missed = now
	case ClientsHere:
		m.clients = true
	case ClientsGone:
		m.clients, m.missed = false, time.Time{}
		switch {
		case m.do == Pair && m.answered:
			m.at = now
		case m.state == Trusted && m.do == Check:
			m.lookAgain(now)
		}
	case ClientSaved:
		m.record, m.why = true, ""
		if m.known {
			m.next(Check, now)
		}
	case ClientDeleted:
		m.record = false
		m.dialog, m.taps = time.Time{}, 0
		if m.known {
			m.set(NotAsked, CauseUnpairedHere)
			m.rest()
		}
	case Told:
		m.told, m.missed = true, time.Time{}
		m.dialog, m.taps = time.Time{}, 0
		m.again(now)
	case Touched:
		if m.record || !m.known {
			m.again(now)
		}
	case Dismissed:
		m.told, m.record, m.untrusted = false, false, true
		m.dialog, m.taps, m.why = time.Time{}, 0, ""
		m.set(NotAsked, CauseUnpairedHere)
		if m.known {
			m.next(Unpair, now)
		} else if !m.cfg.NoLockdown {
			m.next(Identify, now)
		}
	}
}

// lookAgain brings the next check forward: a client has had its session, or was
// refused one because the phone was reset. Nothing else tells of a reset.
func (m *Machine) lookAgain(now time.Time) {
	at := m.opened.Add(relook)
	if at.Before(now) {
		at = now
	}
	if at.Before(m.at) {
		m.at = at
	}
}

// answer follows the phone's word that its owner has answered the dialog.
func (m *Machine) answer(now time.Time) {
	switch m.state {
	case DialogShown, PasscodeAwaited, DialogGone, AnswerNotAccepted, Denied, Locked:
		m.answered, m.asking = true, true
		m.next(Pair, now)
	}
}

// again does at once what an operator waits for.
func (m *Machine) again(now time.Time) {
	switch {
	case m.cfg.NoLockdown, m.state == RestoreMode:
	case !m.known:
		m.next(Identify, now)
	case m.record:
		m.next(Check, now)
	case m.do == Save:
		m.at = now
	default:
		m.ask(now)
	}
}
