package trust

import "time"

// Policy is what the daemon may do of its own accord.
type Policy string

const (
	Auto  Policy = "auto"  // pair as soon as the owner allows it, as the C daemon does
	Ask   Policy = "ask"   // raise no dialog until told to
	Never Policy = "never" // do not talk to the phone until told to
)

// SetPolicy takes another policy. What an operator has ordered goes on, and what
// has been paired is still saved.
func (m *Machine) SetPolicy(now time.Time, p Policy) {
	before := m.cfg.Policy
	m.cfg.Policy = p
	if p == before || m.told || m.cfg.NoLockdown || m.state == RestoreMode || m.do == Save || m.do == Unpair {
		return
	}
	m.dialog, m.taps = time.Time{}, 0 // to be asked for anew, if at all
	switch {
	case p == Never:
		m.set(Disabled, CausePolicyNever)
		m.rest()
	case before == Never:
		if m.state == Disabled {
			m.set(Connecting, "")
		}
		m.next(Identify, now)
	case p == Auto:
		if m.known && !m.record && m.do == Rest && m.cause != CauseUnpairedHere {
			m.ask(now)
		}
	case m.asking:
		m.set(NotAsked, CausePolicyAsk)
		m.rest()
	}
}
