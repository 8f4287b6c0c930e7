package flow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"go.uber.org/zap"

	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
)

// do does what the machine wants.
func (f *Flow) do(ctx context.Context, d trust.Deed) trust.Result {
	switch d {
	case trust.Identify:
		return f.identify(ctx)
	case trust.Check:
		return f.check(ctx)
	case trust.SetAside:
		return f.setAside()
	case trust.Listen:
		return trust.Result{Cause: f.cause(f.listen(ctx))}
	case trust.Pair:
		return trust.Result{Cause: f.cause(f.pair(ctx))}
	case trust.Save:
		return f.save()
	case trust.Unpair:
		return f.unpair(ctx)
	}
	panic("no such deed: " + d.String())
}

// onDisk is what there is of the phone in the record directory.
func (f *Flow) onDisk(r trust.Result) trust.Result {
	rec, err := f.cfg.Records.Record(f.cfg.UDID)
	r.Record = !errors.Is(err, fs.ErrNotExist)
	if buid, berr := f.cfg.Records.BUID(); err == nil && berr == nil {
		r.Stranger = rec.SystemBUID != "" && rec.SystemBUID != buid
	}
	_, err = f.cfg.Records.Untrusted(f.cfg.UDID)
	r.Untrusted = err == nil
	return r
}

// learn asks the phone who it is. What was known stays if it does not tell.
func (f *Flow) learn(ctx context.Context, c *lockdown.Client) error {
	id, err := c.Identity(ctx)
	if err == nil {
		f.status.Identity = id
	}
	return err
}

func (f *Flow) identify(ctx context.Context) trust.Result {
	var r trust.Result
	f.hangUp() // whatever was wrong with it
	err := f.with(ctx, func(c *lockdown.Client) error {
		kind, err := c.QueryType(ctx)
		if err != nil {
			return err
		}
		if r.Restoring = kind != lockdown.TypeLockdown; r.Restoring {
			f.log.Info("no ordinary phone answers", zap.String("type", kind))
			return nil
		}
		if err := f.learn(ctx, c); err != nil {
			return err
		}
		// Refused by some; then it is taken to have one.
		r.Passcode, err = c.Bool(ctx, "", "PasswordProtected")
		var refusal *lockdown.Error
		if errors.As(err, &refusal) {
			r.Passcode, err = true, nil
		}
		return err
	})
	r.Cause = f.cause(err)
	r.Class, r.Major = f.status.Identity.DeviceClass, Major(f.status.Identity)
	r = f.onDisk(r)
	if r.Cause == "" && !r.Restoring && !r.Record && f.cfg.Policy == trust.Auto {
		f.cfg.Keys.Prepare()
	}
	if err != nil {
		f.log.Debug("phone does not tell who it is", zap.Error(err))
	}
	return r
}

// check opens a session with the record, which is its only proof, and looks at
// what only a session shows.
func (f *Flow) check(ctx context.Context) trust.Result {
	rec, err := f.cfg.Records.Record(f.cfg.UDID)
	if err != nil {
		f.log.Debug("no usable record", zap.Error(err))
		return f.onDisk(trust.Result{Cause: recordCause(err)})
	}
	// As clients do, who ask for the BUID and do not look at the record's.
	if buid, err := f.cfg.Records.BUID(); err == nil {
		rec.SystemBUID = buid
	}
	err = f.with(ctx, func(c *lockdown.Client) error {
		id, err := c.Identity(ctx)
		if err != nil {
			return err
		}
		if major := Major(id); major > 0 && major < 7 {
			if err := c.ValidatePair(ctx, rec); err != nil {
				return err
			}
		}
		if err := c.StartSession(ctx, rec); err != nil {
			return err
		}
		// In TLS 1.3 a refusal of our certificate comes with the first answer.
		if err := f.learn(ctx, c); err != nil {
			return err
		}
		if f.status.Capacity == 0 {
			if err := c.Value(ctx, "com.apple.disk_usage", "TotalDiskCapacity", &f.status.Capacity); err != nil {
				f.log.Debug("phone does not tell its capacity", zap.Error(err))
			}
		}
		if err := c.StopSession(ctx); err != nil {
			f.log.Debug("session not stopped in good order", zap.Error(err))
		}
		return nil
	})
	if err == nil {
		f.hangUp()
		if err := f.cfg.Records.Touch(f.cfg.UDID); err != nil {
			f.log.Warn("cannot note that the record was used", zap.Error(err))
		}
	} else {
		f.log.Debug("record does not open the phone", zap.Error(err))
	}
	r := f.onDisk(trust.Result{Cause: f.cause(err), Escrow: len(rec.EscrowBag) > 0})
	if used, err := f.cfg.Records.Used(f.cfg.UDID); err == nil {
		r.Unused = time.Since(used) > Remembered(Major(f.status.Identity))
	}
	return r
}

func (f *Flow) setAside() trust.Result {
	_, cause := f.machine.State()
	err := f.cfg.Records.SetAside(f.cfg.UDID, cause)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Warn("pair record is of no use and cannot be put away", zap.Error(err))
		return f.onDisk(trust.Result{Cause: trust.CauseDisk})
	}
	if f.cfg.Policy == trust.Auto {
		f.cfg.Keys.Prepare()
	}
	return f.onDisk(trust.Result{})
}

// announce tells the phone who asks. The C daemon does, before it pairs and
// whenever the phone wants to know; old phones do not take it.
func (f *Flow) announce(ctx context.Context) {
	buid, err := f.cfg.Records.BUID()
	if err == nil {
		err = f.with(ctx, func(c *lockdown.Client) error { return c.SetValue(ctx, "", "UntrustedHostBUID", buid) })
	}
	if err != nil {
		f.log.Debug("phone does not take our BUID", zap.Error(err))
	}
}

// listen starts to hear notifications.
func (f *Flow) listen(ctx context.Context) error {
	if f.notifier != nil {
		return nil
	}
	f.announce(ctx)
	var n *lockdown.Notifier
	err := f.with(ctx, func(c *lockdown.Client) (err error) {
		if n, err = c.Notifications(ctx); err != nil {
			return err
		}
		if err = n.Observe(ctx, lockdown.NotifyRequestPair, lockdown.NotifyRequestHostBUID); err != nil {
			n.Close()
		}
		return err
	})
	if err != nil {
		f.log.Debug("phone does not notify", zap.Error(err))
		return err
	}
	f.notifier = n
	f.heard.Go(func() { f.hear(ctx, n) }) // deafen waits
	return nil
}

// hear leaves word of what the phone notifies.
func (f *Flow) hear(ctx context.Context, n *lockdown.Notifier) {
	for {
		name, err := n.Next(ctx)
		switch {
		case err != nil:
			f.log.Debug("notifications ended", zap.Error(err))
			f.post(letter{event: trust.ProxyLost, from: n})
			return
		case name == lockdown.NotifyRequestPair:
			f.post(letter{event: trust.RequestPair, from: n})
		case name == lockdown.NotifyRequestHostBUID:
			f.post(letter{buid: true, from: n})
		}
	}
}

// pair asks to be trusted.
func (f *Flow) pair(ctx context.Context) error {
	err := f.with(ctx, func(c *lockdown.Client) error {
		offer, err := f.offered(ctx, c)
		if err != nil {
			return err
		}
		made, err := f.propose(ctx, c, offer)
		if err == nil {
			f.made = &made
		}
		return err
	})
	if errors.Is(err, lockdown.ErrInvalidPairRecord) {
		f.offer = nil
	}
	return err
}

// offered is the record to pair with: the one in use, which then lacks an escrow
// bag, or a new one, the same for all attempts.
func (f *Flow) offered(ctx context.Context, c *lockdown.Client) (pairrecord.Record, error) {
	if rec, err := f.cfg.Records.Record(f.cfg.UDID); err == nil {
		return rec, nil
	}
	if f.offer != nil {
		return *f.offer, nil
	}
	buid, err := f.cfg.Records.BUID()
	if err != nil {
		return pairrecord.Record{}, fmt.Errorf("%w: %w", errDisk, err)
	}
	keys, err := f.cfg.Keys.Take(ctx)
	if err != nil {
		return pairrecord.Record{}, err
	}
	offer, err := c.NewRecord(ctx, keys, buid)
	if err == nil {
		f.offer = &offer
	}
	return offer, err
}

// propose is one attempt. A supervised phone is answered if we can.
func (f *Flow) propose(ctx context.Context, c *lockdown.Client, offer pairrecord.Record) (pairrecord.Record, error) {
	sup := f.cfg.Supervisor
	if sup == nil {
		return c.Pair(ctx, offer, lockdown.PairOptions{})
	}
	made, err := c.Pair(ctx, offer, lockdown.PairOptions{SupervisorCertificate: sup.Certificate()})
	var refusal *lockdown.Error
	if !errors.Is(err, lockdown.ErrMCChallengeRequired) || !errors.As(err, &refusal) {
		return made, err
	}
	answer, err := sup.Sign(refusal.PairingChallenge)
	if err != nil {
		return made, err
	}
	return c.Pair(ctx, offer, lockdown.PairOptions{ChallengeResponse: answer})
}

// save writes the new record, unless there is one already that is as good: what
// a client has saved meanwhile is the truth, and a record without an escrow bag
// never takes the place of one with it.
func (f *Flow) save() trust.Result {
	rec, err := f.cfg.Records.Record(f.cfg.UDID)
	if err == nil && (len(rec.EscrowBag) > 0 || len(f.made.EscrowBag) == 0) {
		f.log.Info("the pair record that is there stays")
		f.offer, f.made = nil, nil
		return trust.Result{}
	}
	data, err := f.made.Marshal()
	if err == nil {
		err = f.cfg.Records.Save(f.cfg.UDID, data)
	}
	if err != nil {
		f.log.Error("paired, but the record cannot be saved", zap.Error(err))
		return trust.Result{Cause: trust.CauseDisk}
	}
	f.offer, f.made = nil, nil
	if f.cfg.Paired != nil {
		f.cfg.Paired()
	}
	return trust.Result{}
}

// unpair tells the phone to forget the record that was taken out of use.
func (f *Flow) unpair(ctx context.Context) trust.Result {
	rec, err := f.cfg.Records.Untrusted(f.cfg.UDID)
	if err != nil {
		f.unpaired(errors.Is(err, fs.ErrNotExist))
		return f.onDisk(trust.Result{Cause: trust.CauseNoRecord})
	}
	err = f.with(ctx, func(c *lockdown.Client) error {
		err := c.Unpair(ctx, rec)
		if errors.Is(err, lockdown.ErrSessionInactive) {
			if err = c.StartSession(ctx, rec); err == nil {
				err = c.Unpair(ctx, rec)
			}
		}
		return err
	})
	ok := err == nil || errors.Is(err, lockdown.ErrInvalidHostID)
	if ok {
		if err := f.cfg.Records.Forgotten(f.cfg.UDID); err != nil {
			f.log.Warn("cannot put the forgotten record away", zap.Error(err))
		}
		f.log.Info("phone has forgotten this computer")
	}
	f.hangUp()
	f.unpaired(ok)
	return f.onDisk(trust.Result{Cause: f.cause(err)})
}
