package flow_test

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
	"gomuxd/virtualphone"
)

// client is a program that talks to the phone by itself. The flow hears of it what
// the daemon does.
type client struct {
	*lockdown.Client
	r   *rig
	rec pairrecord.Record
}

// client connects a program.
func (r *rig) client() *client {
	r.t.Helper()
	c, err := lockdown.Dial(context.Background(), dialer(r.session), lockdown.Config{Label: "idevicepair"})
	r.must(err)
	r.flow.Hear(trust.ClientsHere)
	return &client{Client: c, r: r}
}

// pair finds no record and pairs, asking again each second as clients do.
func (c *client) pair() {
	c.r.t.Helper()
	ctx := context.Background()
	buid, err := c.r.records.BUID()
	c.r.must(err)
	c.r.flow.Hear(trust.ClientMissed)
	c.rec, err = c.NewRecord(ctx, otherKeys(), buid)
	c.r.must(err)
	for {
		made, err := c.Pair(ctx, c.rec, lockdown.PairOptions{})
		if !errors.Is(err, lockdown.ErrPairingDialogResponsePending) {
			c.r.must(err)
			c.rec = made
			return
		}
		time.Sleep(time.Second)
	}
}

// save saves the client's record, as SavePairRecord does.
func (c *client) save() {
	c.r.t.Helper()
	data, err := c.rec.Marshal()
	c.r.must(err)
	c.r.must(c.r.records.Save(udid, data))
	c.r.flow.Hear(trust.ClientSaved)
}

func (c *client) Close() {
	c.Client.Close()
	c.r.flow.Hear(trust.ClientsGone)
}

// kept wants the record in use to be the client's.
func (c *client) kept() {
	c.r.t.Helper()
	rec, err := c.r.records.Record(udid)
	c.r.must(err)
	if rec.HostID != c.rec.HostID {
		c.r.t.Errorf("the record in use is of host %s, the client's of %s", rec.HostID, c.rec.HostID)
	}
}

// clientStories are about programs that pair or unpair by themselves.
var clientStories = []story{
	{
		name: "a client pairs while the dialog is up", phone: coded,
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			c := r.client()
			go func() { time.Sleep(5 * time.Second); r.tap(); r.enter() }()
			c.pair()
			time.Sleep(5 * time.Second) // it has the right of way
			c.save()
			c.Close()
			r.expect(2*time.Second, trust.Trusted)
			c.kept()
		},
		seen: "connecting dialog-shown trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "a client asks and never ends", phone: coded,
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			r.flow.Hear(trust.ClientsHere)
			r.flow.Hear(trust.ClientMissed)
			r.tap()
			r.enter()
			time.Sleep(30 * time.Second)
			r.expect(time.Second, trust.DialogShown)
			r.expect(time.Minute, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "a client asks and gives up", phone: coded,
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			c := r.client()
			r.flow.Hear(trust.ClientMissed)
			r.tap()
			r.enter()
			time.Sleep(10 * time.Second)
			c.Close()
			r.expect(2*time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "a client pairs though it need not", phone: coded,
		tell: func(r *rig) {
			r.accept()
			c := r.client()
			c.pair()
			c.save()
			c.Close()
			time.Sleep(time.Hour)
			c.kept()
		},
		seen: "connecting dialog-shown paired trusted", disk: "record used -replaced", dialogs: 1,
	},
	{
		// The phone knows whoever paired last. Here that is us, and the client's record
		// comes between our pairing and our saving.
		name: "a client saves a record that the phone has replaced", phone: coded,
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			c := r.client()
			r.flow.Hear(trust.ClientMissed)
			r.tap()
			r.enter()
			c.pair()
			var once atomic.Bool
			r.phone.OnRequest(func(request string, done bool) {
				if request == "Pair" && done && once.CompareAndSwap(false, true) {
					c.save()
				}
			})
			c.Close()
			r.expect(time.Minute, trust.Trusted)
		},
		seen: "connecting dialog-shown forgotten-by-phone(InvalidHostID) paired trusted",
		disk: "record used -invalidhostid", dialogs: 1,
	},
	{
		name: "a client saves a record of another phone",
		tell: func(r *rig) {
			r.shows(virtualphone.TrustDialog)
			c := r.client()
			var err error
			c.rec, err = c.NewRecord(context.Background(), otherKeys(), "")
			r.must(err)
			c.save()
			c.Close()
			time.Sleep(time.Second)
			r.accept()
		},
		seen: "connecting dialog-shown forgotten-by-phone(InvalidHostID) dialog-shown(InvalidHostID) paired trusted",
		disk: "record used -invalidhostid", dialogs: 1,
	},
	{
		name: "a client unpairs, and pairs again", phone: coded,
		tell: func(r *rig) {
			r.accept()
			c := r.client()
			rec, err := r.records.Record(udid)
			r.must(err)
			r.must(c.Unpair(context.Background(), rec))
			r.must(r.records.Delete(udid))
			r.flow.Hear(trust.ClientDeleted)
			c.Close()
			r.expect(time.Second, trust.NotAsked)
			time.Sleep(time.Hour) // it is not asked for what was not wanted
			c = r.client()
			go func() { r.tap(); r.enter() }()
			c.pair()
			c.save()
			c.Close()
			r.expect(2*time.Second, trust.Trusted)
			c.kept()
		},
		seen: "connecting dialog-shown paired trusted not-asked(unpaired-here) trusted", disk: "record used -deleted", dialogs: 2,
	},
}
