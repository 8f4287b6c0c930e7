package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"gomuxd/control"
	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
)

// pairLimit is how long the daemon may take until it has asked the phone to pair
// and has its answer.
const pairLimit = 90 * time.Second

func isTimeOut(err error) bool { return errors.Is(err, errTimedOut) }

// asked matches answers of the phone to Pair; with causes, only those.
func asked(causes ...lockdown.ErrorName) func(logged) bool {
	return func(l logged) bool {
		if l.message != "asked" || l.field("deed") != trust.Pair.String() {
			return false
		}
		for _, c := range causes {
			if l.field("cause") == string(c) {
				return true
			}
		}
		return len(causes) == 0
	}
}

// ask has the daemon ask the phone to pair, and returns what the phone answers
// and how long that took.
func (c *check) ask(ctx context.Context) (answer string, took time.Duration, err error) {
	place, begun := c.journal.now(), time.Now()
	if _, err := c.daemon.control.Trust(ctx, c.udid, control.TrustRequest{}); err != nil {
		return "", 0, err
	}
	err = c.until(ctx, pairLimit, func(*string) (bool, error) {
		l, at, ok := find(c.journal, place, asked())
		answer, took = l.field("cause"), at.Sub(begun)
		return ok, nil
	})
	return answer, took, err
}

// locked has a locked phone asked, and unlocked.
func (c *check) locked(ctx context.Context) error {
	if _, err := c.phone(ctx); err != nil {
		return err
	}
	c.person.tell("Lock the iPhone with its side button, then press Enter here.", c.waiting("you have pressed it")+"; do so if it has no passcode")
	if err := c.until(ctx, c.person.limit, func(line *string) (bool, error) { return line != nil, nil }); err != nil {
		return err
	}
	answer, took, err := c.ask(ctx)
	if err != nil {
		return err
	}
	if answer != string(lockdown.ErrPasswordProtected) {
		c.report.set(lineLocked, notTried, "it answers %q: not locked, or without a passcode", answer)
		return nil
	}
	c.report.set(lineLocked, pass, "%s after %s", answer, seconds(took))

	return c.unlock(ctx, lineUnlock)
}

// dialog makes sure that the phone shows its dialog. One that is locked, or has
// denied, wants something done first.
func (c *check) dialog(ctx context.Context) error {
	if c.shows(trust.DialogShown) {
		c.report.set(lineDialog, pass, "when it was unlocked")
		return nil
	}
	answer, took, err := c.ask(ctx)
	if err == nil && answer == string(lockdown.ErrUserDeniedPairing) {
		if err = c.replugged(ctx, "Unplug the iPhone and plug it in again: it then may ask anew."); err == nil {
			answer, took, err = c.ask(ctx)
		}
	}
	if err == nil && answer == string(lockdown.ErrPasswordProtected) {
		return c.unlock(ctx, lineDialog)
	}
	switch {
	case err != nil:
		return err
	case answer == string(lockdown.ErrPairingDialogResponsePending):
		c.report.set(lineDialog, pass, "%s after %s", answer, seconds(took))
		return nil
	case answer == "":
		c.trusted = true
		return errors.New("the phone pairs without a dialog")
	}
	return fmt.Errorf("the phone answers Pair with %s: %s", answer, c.latest().Reason)
}

// unlock has the phone unlocked, which it answers with the dialog, and fills in
// a line with the time that takes.
func (c *check) unlock(ctx context.Context, line string) error {
	place, begun := c.journal.now(), time.Now()
	c.person.tell("Unlock the iPhone. It then asks whether to trust this computer; do not answer yet.", c.waiting("it asks"))
	return c.until(ctx, c.person.limit, func(*string) (bool, error) {
		_, at, ok := find(c.journal, place, asked(lockdown.ErrPairingDialogResponsePending))
		if ok {
			c.report.set(line, pass, "%s after you were told to unlock", seconds(at.Sub(begun)))
		}
		return ok, nil
	})
}

// latest is what operators see of the iPhone now.
func (c *check) latest() (d control.Device) {
	for _, e := range c.journal.all() {
		switch f := e.fact.(type) {
		case started, ended:
			d = control.Device{}
		case shown:
			if f.Device.UDID != nil && *f.Device.UDID == c.udid {
				d = f.Device
			}
		}
	}
	return d
}

// shows reports whether the iPhone is in a state now.
func (c *check) shows(state trust.State) bool { return c.latest().Trust == string(state) }

// notes waits for a request_pair since a place for a while and counts them.
func (c *check) notes(ctx context.Context, place int) (n int, err error) {
	err = c.person.quietly(ctx, c.cfg.grace, func() bool {
		n = count(c.journal, place, func(n noted) bool { return n == lockdown.NotifyRequestPair })
		return n > 0
	})
	return n, err
}

// came is a number of notifications in the report.
func came(n int) string {
	switch n {
	case 0:
		return "did not come"
	case 1:
		return "came"
	}
	return fmt.Sprintf("came %d times", n)
}

// deny has the person refuse, and finds out what the phone does after that.
func (c *check) deny(ctx context.Context) error {
	if _, err := c.phone(ctx); err != nil {
		return err
	}
	if err := c.dialog(ctx); err != nil {
		return err
	}
	place, begun := c.journal.now(), time.Now()
	c.person.tell(`The iPhone asks "Trust This Computer?". Tap "Don't Trust".`, c.waiting("the phone has refused"))
	err := c.until(ctx, c.person.limit, func(*string) (bool, error) {
		if _, _, ok := find(c.journal, place, asked("")); ok {
			c.trusted = true
			return false, errors.New("it was trusted: Trust was tapped, or the answer was lost")
		}
		_, at, ok := find(c.journal, place, asked(lockdown.ErrUserDeniedPairing))
		if ok {
			c.report.set(lineDeny, pass, "%s after you were asked to tap", seconds(at.Sub(begun)))
		}
		return ok, nil
	})
	if err != nil {
		return err
	}
	n, err := c.notes(ctx, place)
	if err != nil {
		return err
	}
	c.report.set(lineDenyNote, pass, "%s", came(n))

	answer, took, err := c.ask(ctx)
	if err != nil {
		return err
	}
	c.report.set(lineDenyAgain, pass, "%s after %s", answer, seconds(took))
	if answer == string(lockdown.ErrPairingDialogResponsePending) {
		c.report.set(lineSecond, pass, "without a replug")
		return nil
	}
	if err := c.replugged(ctx, "Unplug the iPhone and plug it in again: it then may ask anew."); err != nil {
		return err
	}
	if answer, took, err = c.ask(ctx); err != nil {
		return err
	}
	if answer == string(lockdown.ErrPairingDialogResponsePending) {
		c.report.set(lineSecond, pass, "only after a replug, %s", seconds(took))
		return nil
	}
	c.report.set(lineSecond, fail, "none after a replug: %s", answer)
	return nil
}

// replugged has the iPhone unplugged and plugged in again.
func (c *check) replugged(ctx context.Context, text string) error {
	place := c.journal.now()
	c.person.tell(text, c.waiting("it is listed again"))
	d, _, err := c.attached(ctx, place, c.person.limit)
	if err == nil {
		c.hear(ctx, d)
	}
	return err
}

// trust has the person trust this computer and opens a session.
func (c *check) trust(ctx context.Context) error {
	d, err := c.phone(ctx)
	if err != nil {
		return err
	}
	if !c.trusted {
		if err := c.dialog(ctx); err != nil {
			return err
		}
		if err := c.accepted(ctx); err != nil {
			return err
		}
		if d, err = c.phone(ctx); err != nil { // it may have come anew
			return err
		}
	}
	l, err := c.session(ctx, d)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := learnPhone(ctx, c.secrets, l); err != nil {
		return err
	}
	a, how, err := c.startAFC(ctx, l)
	if err != nil {
		return err
	}
	defer a.Close()
	c.report.set(lineSession, pass, "%s", how)
	return nil
}

// accepted has the person tap Trust and type the passcode, and times both.
func (c *check) accepted(ctx context.Context) error {
	place, begun := c.journal.now(), time.Now()
	trusted := func() (at time.Time, ok bool, err error) {
		if _, _, denied := find(c.journal, place, asked(lockdown.ErrUserDeniedPairing)); denied {
			return at, false, errors.New(`the phone has refused: "Don't Trust" was tapped`)
		}
		_, at, ok = find(c.journal, place, c.state(trust.Trusted, trust.Expiring))
		return at, ok, nil
	}
	c.person.tell(`The iPhone asks "Trust This Computer?". Tap "Trust". When it wants the passcode, press Enter here before you type it.`,
		c.waiting("you have pressed it, or it trusts"))
	var done bool
	var at time.Time
	err := c.until(ctx, c.person.limit, func(line *string) (_ bool, err error) {
		at, done, err = trusted()
		return done || line != nil, err
	})
	if err != nil {
		return err
	}
	tapped, err := c.notes(ctx, place)
	if err != nil {
		return err
	}
	c.report.set(lineTapNote, pass, "%s", came(tapped))
	if done {
		c.report.set(linePasscode, notTried, "it trusted before Enter was pressed: no passcode, or typed at once")
	} else {
		mark := c.journal.now()
		begun = time.Now()
		c.person.tell("Now type the passcode on the iPhone.", c.waiting("it trusts"))
		err := c.until(ctx, c.person.limit, func(*string) (_ bool, err error) {
			at, done, err = trusted()
			return done, err
		})
		if err != nil {
			return err
		}
		n, err := c.notes(ctx, mark)
		if err != nil {
			return err
		}
		c.report.set(linePasscode, pass, "%s", came(n))
	}
	c.trusted = true
	c.report.set(lineTrusted, pass, "%s after you were asked for it", seconds(at.Sub(begun)))
	return nil
}

// startAFC starts the service in a session and says how it is secured.
func (c *check) startAFC(ctx context.Context, l *lockdown.Client) (a *afc, how string, err error) {
	svc, err := l.StartService(ctx, "com.apple.afc", false)
	if err != nil {
		return nil, "", err
	}
	conn, err := l.DialService(ctx, svc)
	if err != nil {
		return nil, "", err
	}
	how = fmt.Sprintf("session secure: %v, service plain", l.Secure())
	if t, ok := conn.(*tls.Conn); ok {
		s := t.ConnectionState()
		how = fmt.Sprintf("%s, %s", tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite))
	}
	return newAFC(conn), how, nil
}

// forget has the phone forget the pairing of this run.
func (c *check) forget(ctx context.Context) error {
	if !c.trusted {
		return errStranger
	}
	if _, err := c.phone(ctx); err != nil {
		return err
	}
	r, err := c.daemon.control.Untrust(ctx, c.udid)
	if err != nil {
		return err
	}
	if !r.Phone {
		return errors.New("the phone could not be told; what it keeps is a pairing with a computer that is none")
	}
	c.trusted = false
	c.report.set(lineForgotten, pass, "and its record is gone")
	return nil
}
