package trust

import "time"

// Policy is what the daemon may do of its own accord.
type Policy string

const (
	Auto  Policy = "auto"  // pair as soon as the owner allows it, as the C daemon does
	Ask   Policy = "ask"   // raise no dialog until told to
	Never Policy = "never" // do not talk to the phone until told to
)

// Deed is something to do with the phone or the disk.
type Deed int

const (
	Rest     Deed = iota // nothing until the time given, or until Hear
	Identify             // connect; ask for type, class and version
	Check                // start a session with the record
	SetAside             // put the record, which is of no use, away
	Listen               // tell UntrustedHostBUID, observe notifications
	Pair                 // ask to be trusted
	Save                 // write the record that pairing made
	Unpair               // have the phone forget the record that was put away for it
)

var deedNames = [...]string{"rest", "identify", "check", "set-aside", "listen", "pair", "save", "unpair"}

// String names the deed, for logs.
func (d Deed) String() string { return deedNames[d] }

// Result is what came of a deed.
type Result struct {
	// Cause is empty if it went well, else lockdownd's error name or a cause of
	// this package.
	Cause string

	// After Identify.
	Restoring bool   // something else than lockdownd answers
	Class     string // "iPhone", "Watch", ...
	Major     int    // of the phone's system, 0 unknown
	Passcode  bool   // the phone has one

	// After Identify, Check and SetAside: what is on disk.
	Record    bool // a record
	Stranger  bool // which was made under another BUID
	Untrusted bool // a record that the phone is still to forget
	Unused    bool // the record is older in use than phones remember

	// After Check and Save: the record has an escrow bag.
	Escrow bool
}

// Event is what happens beside the deeds.
type Event int

const (
	RequestPair   Event = iota // notification: the person has answered
	ProxyLost                  // the notification proxy has ended
	ClientMissed               // a client asked for the record and found none
	ClientSaved                // a client has saved a record
	ClientDeleted              // a client has deleted the record
	ClientsGone                // no client has a connection to lockdownd any more
	ClientsHere                // one has
	Told                       // the operator wants this phone to be trusted
	Touched                    // the operator wants the record to be used
	Dismissed                  // the operator wants this phone to forget us
)

// Config is what a Machine needs to know from the start.
type Config struct {
	Policy     Policy
	NoLockdown bool // a device without lockdownd
	Supervisor bool // we have a supervisor's identity
}

// Times.
const (
	// recheck is how often a trusted phone is asked whether it still is.
	recheck = 5 * time.Minute
	// patience is how long a dialog is taken to be up; it is asked for that long.
	patience = 5 * time.Minute
	// standBack is how long a client that pairs by itself has the right of way.
	standBack = time.Minute

	soon     = time.Second      // first pause of every back-off
	unlocked = 15 * time.Second // longest until an unlock is noticed
	slow     = time.Minute      // longest for everything else
	longest  = 10 * time.Minute // between pairings that come to nothing

	// tlsTries is how many handshakes in a row must fail before the record is
	// blamed: an unplug looks the same.
	tlsTries = 2
)

// Machine is the trust state of one phone. The zero value is not usable; see New.
type Machine struct {
	cfg   Config
	state State
	cause string

	known     bool // Identify went well
	class     string
	major     int
	passcode  bool // the phone has one
	record    bool
	escrow    bool
	untrusted bool

	told      bool // by the operator: policy does not hold back
	asking    bool // a dialog may be raised
	listening bool
	why       string    // what is wrong with the record that a new pairing is to replace
	dialog    time.Time // when the dialog was first seen, zero if none is up
	taps      int       // answers heard since
	clients   bool      // some have a connection to lockdownd
	missed    time.Time // when one of them found no record
	answered  bool      // request_pair came while a client had the right of way

	do    Deed
	at    time.Time // when; zero: not before something is heard
	tries int       // deeds in a row that came to nothing
	tls   int       // handshakes in a row that failed
	aside int       // records in a row that were put away, none having opened the phone
}

// New returns the machine of a phone that has just been plugged in.
func New(cfg Config, now time.Time) *Machine {
	m := &Machine{cfg: cfg, state: Connecting}
	if cfg.NoLockdown {
		m.state = NoLockdown
		return m
	}
	if cfg.Policy == Never {
		m.state, m.cause = Disabled, CausePolicyNever
		return m
	}
	m.next(Identify, now)
	return m
}

// State is the phone's state and the cause of it, which may be empty.
func (m *Machine) State() (State, string) { return m.state, m.cause }

// Next is what to do now. With Rest comes the time to ask again, zero if nothing
// is due before something is heard.
func (m *Machine) Next(now time.Time) (Deed, time.Time) {
	if m.do == Rest || m.at.IsZero() {
		return Rest, time.Time{}
	}
	due := m.at
	if m.do == Pair {
		if until := m.standsBack(); until.After(due) {
			due = until
		}
	}
	if due.After(now) {
		return Rest, due
	}
	return m.do, time.Time{}
}

// Listens reports whether notifications are of any use now.
func (m *Machine) Listens() bool {
	switch m.state {
	case DialogShown, PasscodeAwaited, DialogGone, AnswerNotAccepted, Denied, Locked:
		return true
	}
	return m.do == Pair || m.do == Listen
}

// standsBack is until when clients that pair by themselves have the right of way.
func (m *Machine) standsBack() time.Time {
	if !m.clients || m.missed.IsZero() {
		return time.Time{}
	}
	return m.missed.Add(standBack)
}

// set changes the state. Pauses are short again after a change.
func (m *Machine) set(s State, cause string) {
	if s != m.state {
		m.tries = 0
	}
	m.state, m.cause = s, cause
}

// next plans a deed at once.
func (m *Machine) next(d Deed, now time.Time) { m.do, m.at = d, now }

// rest plans nothing.
func (m *Machine) rest() { m.do, m.at, m.asking = Rest, time.Time{}, false }

// later plans a deed after a pause that doubles from try to try.
func (m *Machine) later(d Deed, now time.Time, most time.Duration) {
	pause := min(soon<<min(m.tries, 10), most)
	m.do, m.at = d, now.Add(pause)
	m.tries++
}

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
		m.unreachable(now, r.Cause)
		return
	case r.Restoring:
		m.set(RestoreMode, "")
		m.rest()
		return
	}
	m.known, m.class, m.major, m.passcode = true, r.Class, r.Major, r.Passcode
	m.begin(now, r)
}

// begin decides what to do with a phone that answers.
func (m *Machine) begin(now time.Time, r Result) {
	switch {
	case m.untrusted:
		m.next(Unpair, now)
	case m.record && r.Stranger:
		m.why = CauseBUID
		m.next(Check, now) // it may do nevertheless
	case m.record:
		m.next(Check, now)
	default:
		m.ask(now)
	}
}

// ask goes about pairing, if that is allowed.
func (m *Machine) ask(now time.Time) {
	switch {
	case m.cfg.Policy != Auto && !m.told:
		if m.why == "" {
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
		m.escrow, m.aside = r.Escrow, 0
		m.trusted(now)
	case CauseNoRecord:
		if m.state == Trusted { // someone has removed the file
			m.set(NotAsked, CauseUnpairedHere)
			m.rest()
			return
		}
		m.ask(now)
	case namePasswordProtected:
		m.set(LockedSinceBoot, r.Cause)
		m.later(Check, now, unlocked)
	case nameInvalidHostID:
		switch {
		case m.why == CauseBUID:
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
	case CauseDeviceKey, CauseIncomplete, CauseUnreadable:
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
	m.why, m.told, m.answered = "", false, false
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
	m.aside++
	if m.record {
		m.later(Check, now, slow) // a client has saved another one
		return
	}
	m.ask(now)
	if m.aside > 1 && m.do != Rest {
		// It pairs, and refuses what it has paired with.
		m.at = now.Add(min(soon<<min(2*m.aside, 20), longest))
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
	case nameProhibited:
		m.set(PairingProhibited, r.Cause)
		m.later(Pair, now, slow)
	case nameMCProtected, nameMCChallenge, nameMCFailed:
		m.set(SupervisedChallenge, r.Cause)
		m.later(Pair, now, slow)
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
	m.record, m.escrow = true, r.Escrow
	m.trusted(now)
	m.next(Check, now) // see whether it opens the phone
}

func (m *Machine) unpaired(now time.Time, r Result) {
	switch r.Cause {
	case "", nameInvalidHostID, CauseNoRecord:
		m.untrusted = false
		m.set(NotAsked, CauseUnpairedHere)
		if m.told || m.record {
			m.begin(now, Result{})
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
		if m.do == Pair && m.answered {
			m.at = now
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
