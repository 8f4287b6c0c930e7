package main

import (
	"errors"
	"time"

	"gomuxd/control"
	"gomuxd/mux"
	"gomuxd/usb"
)

// trouble is why a phone cannot be used, or not any more; the cause of a recovery.
type trouble string

const (
	otherTrouble  trouble = ""              // nothing that opening anew mends: no permission, say
	noVersion     trouble = causeVersion    // its multiplexer is silent
	takesNothing  trouble = causeStuck      // what is sent to it stays here
	silentPhone   trouble = "not-answering" // its lockdownd is silent
	hangs         trouble = "bring-up-hangs"
	brokenUSB     trouble = causeUSB // transfers fail: the cable, often
	operatorsWish trouble = "operator"
)

// errSilent ends a session with a phone whose lockdownd is silent.
var errSilent = errors.New("lockdownd does not answer")

func troubleOf(err error) trouble {
	switch {
	case errors.Is(err, mux.ErrNoVersion):
		return noVersion
	case errors.Is(err, mux.ErrStuck):
		return takesNothing
	case errors.Is(err, errSilent):
		return silentPhone
	case errors.Is(err, usb.ErrHung):
		return hangs
	case errors.Is(err, usb.ErrStalled), errors.Is(err, usb.ErrTransfer), errors.Is(err, usb.ErrOverflow):
		return brokenUSB
	}
	return otherTrouble
}

// stuck reports whether the phone is on the bus and does not work: a reset may help.
func (t trouble) stuck() bool {
	return t == noVersion || t == takesNothing || t == silentPhone || t == hangs
}

// reason says it for a person.
func (t trouble) reason() string {
	switch t {
	case noVersion:
		return "its USB side did not answer"
	case takesNothing:
		return "it took nothing of what was sent to it"
	case silentPhone:
		return "it did not answer questions"
	case hangs:
		return "it did not answer while it was opened"
	case brokenUSB:
		return "transfers over USB failed"
	case operatorsWish:
		return "an operator asked for it"
	}
	return "it could not be used"
}

// healthy is how long a phone must have worked for what was tried before not to count
// any more.
const healthy = 10 * time.Minute

// care decides what is done about a phone in trouble. It has no clock and does nothing
// itself. The zero value is a phone that has had no trouble.
//
//	trouble                       first      then, resets times        then
//	stuck (see trouble.stuck)     reopen     reset                     leave
//	broken USB                    reopen     reopen                    reopen
//	other                         (again)    (again)                   (again)
//
// A phone that is left alone is tried again like one with other trouble, which costs
// nothing and finds out if it has come to itself; it is not reset any more.
// Before each attempt there is a pause, twice as long as the one before, from
// firstRetry to lastRetry.
type care struct {
	pause time.Duration // before the last attempt
	tried int           // steps that were taken against its being stuck
	left  bool          // alone
}

// deed is what is done next.
type deed struct {
	action string // control.ActionReopen, ..., "" to try again without ado
	after  time.Duration
	next   string // what follows if that does not help, for a person
}

// failed takes note of trouble, after a session that lasted for a while or 0, and says
// what to do; resets is how many a phone gets in a row.
func (c *care) failed(t trouble, lasted time.Duration, resets int) deed {
	if lasted > healthy {
		*c = care{}
	}
	if lasted > lastRetry && !t.stuck() {
		c.pause = 0 // it had worked for a while
	}
	c.pause = min(max(2*c.pause, firstRetry), lastRetry)
	d := deed{after: c.pause}
	switch {
	case t == brokenUSB:
		d.action = control.ActionReopen
	case !t.stuck():
	case c.tried == 0:
		d.action = control.ActionReopen
	case c.tried <= resets:
		d.action = control.ActionReset
	case !c.left:
		d.action, c.left = control.ActionLeave, true
	}
	if d.action != "" && t.stuck() {
		c.tried++
		d.next = "a USB reset"
		if c.tried > resets {
			d.next = "nothing: it is left alone"
		}
		if c.left {
			d.next = "nothing: pull its cable out and plug it in again, or use \"muxctl reset\""
		}
	}
	return d
}
