package trust

import "time"

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
	Untrusted bool // a record that the phone is still to forget

	// After Check.
	Stranger bool // the record was made under another BUID
	Unused   bool // the record is older in use than phones remember

	// After Check: the record has an escrow bag.
	Escrow bool
}

// Event is what happens beside the deeds.
type Event int

const (
	RequestPair   Event = iota // notification: the person has answered
	ProxyLost                  // the notification proxy has ended
	ClientMissed               // a client asked for the record and found none
	ClientSaved                // a client has saved a record
	ClientUsed                 // a client has used it: the phone forgets us later, else nothing changes
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
	// relook is how soon it may be asked again, once a client has talked to it.
	relook = 5 * time.Second
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
	opened    time.Time // when the record was last seen to open the phone

	do    Deed
	at    time.Time // when; zero: not before something is heard
	tries int       // deeds in a row that came to nothing
	tls   int       // handshakes in a row that failed
	vain  int       // records in a row that were put away, or were not there to be checked
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
