package flow_test

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gomuxd/lockdown"
	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
	"gomuxd/virtualphone"
)

// way is how a phone gets into a state and stays there.
type way struct {
	to     trust.State
	phone  virtualphone.Config
	cfg    flow.Config
	before func(*rig) // the plug
	lead   func(*rig) // after it
	kept   bool       // there is a record then
}

func refuses(name string) func(*rig) {
	return func(r *rig) { r.phone.FailAlways("Pair", name) }
}

// trustedOnce is a phone that trusts us until something is done to it.
func trustedOnce(then func(*rig)) func(*rig) {
	return func(r *rig) {
		r.flow.Hear(trust.Told)
		r.accept()
		then(r)
		r.replug()
	}
}

var ways = []way{
	{to: trust.Connecting, before: func(r *rig) { r.phone.GarbageNext("QueryType", virtualphone.GarbageHangUp) }},
	{to: trust.NotAnswering, before: func(r *rig) { r.phone.SilenceNext("QueryType") }},
	{to: trust.NotAsked, cfg: ask},
	{to: trust.Locked, before: lockedUp},
	{to: trust.LockedSinceBoot, lead: trustedOnce(func(r *rig) { r.must(r.phone.Reboot()) }), kept: true},
	{to: trust.DialogShown},
	{to: trust.PasscodeAwaited, phone: tapTold, lead: (*rig).tap},
	{to: trust.DialogGone},
	{to: trust.AnswerNotAccepted, phone: loser, lead: (*rig).tap},
	{to: trust.Denied, before: func(r *rig) { r.phone.FailNext("Pair", "UserDeniedPairing") }},
	{to: trust.AccessoryRestricted, before: restricted},
	{to: trust.Trusted, lead: (*rig).accept, kept: true},
	{to: trust.Disabled, cfg: never},
	{to: trust.ForgottenByPhone, cfg: ask, lead: trustedOnce(func(r *rig) { r.phone.ResetLocationAndPrivacy() })},
	{to: trust.RecordBroken, cfg: ask, lead: trustedOnce(func(r *rig) { r.overwrite(udid, []byte("broken")) })},
	{to: trust.BUIDMismatch, cfg: ask, lead: trustedOnce(otherBUID)},
	{to: trust.SupervisedChallenge, before: refuses("MCProtected")},
	{to: trust.PairingProhibited, before: refuses("PairingProhibitedOverThisConnection")},
	{to: trust.FindMyProtected, before: refuses("FMiPProtected")},
	{to: trust.EscrowLocked, before: refuses("EscrowLocked")},
	{to: trust.ServiceLimit, before: refuses("ServiceLimit")},
}

// restricted is a phone that has been locked for so long that it takes no accessory.
func restricted(r *rig) {
	r.phone.SetPasscode(code)
	r.phone.SetBehavior(virtualphone.Behavior{USBRestricted: true, USBRestrictedAfter: time.Nanosecond})
	r.must(r.phone.Lock())
	time.Sleep(time.Nanosecond)
	synctest.Wait()
}

// turn is what happens then, to a phone that has come to its senses, and the state
// that is told next.
type turn struct {
	name string
	to   trust.State
	do   func(*rig)
	kept bool // the record in use is still there
	bare bool // there is no record, or none any more
}

var turns = slices.Concat([]turn{
	{name: "falls silent", to: trust.NotAnswering, do: func(r *rig) {
		r.phone.SilenceAlways(virtualphone.AnyRequest)
		r.flow.Hear(trust.Told)
	}},
	{name: "takes no accessory", to: trust.AccessoryRestricted, do: func(r *rig) {
		restricted(r)
		r.flow.Hear(trust.Told)
	}},
	{name: "is unpaired by the operator", to: trust.NotAsked, do: func(r *rig) { r.flow.Hear(trust.Dismissed) }},
	{name: "is to be left alone", to: trust.Disabled, do: func(r *rig) { r.flow.SetPolicy(trust.Never) }},
	{name: "does not know a client's record", to: trust.ForgottenByPhone, do: func(r *rig) {
		r.bring(func(*pairrecord.Record) {})
	}},
	{name: "gets half a record from a client", to: trust.RecordBroken, do: func(r *rig) {
		r.bring(func(rec *pairrecord.Record) { rec.RootPrivateKey, rec.HostPrivateKey = nil, nil })
	}},
	{name: "gets another computer's record from a client", to: trust.BUIDMismatch, do: func(r *rig) {
		r.bring(func(rec *pairrecord.Record) { rec.SystemBUID = "0DD0C0DE-0000-4000-8000-000000000000" })
	}},
	{name: "gets a record, and is locked since its start", to: trust.LockedSinceBoot, do: func(r *rig) {
		r.phone.FailAlways("StartSession", "PasswordProtected")
		r.bring(func(*pairrecord.Record) {})
	}},
	{name: "asks its owner", to: trust.DialogShown, bare: true, do: func(r *rig) { r.flow.Hear(trust.Told) }},
	{name: "trusts anybody", to: trust.Trusted, do: func(r *rig) { // as in its first screens
		r.phone.SetBehavior(virtualphone.Behavior{SetupAssistant: true})
		r.flow.Hear(trust.Told)
	}},
}, refusalTurns())

// refusalTurns have the phone refuse by name, once for each state that this means.
func refusalTurns() (all []turn) {
	pair, session := map[trust.State]bool{}, map[trust.State]bool{}
	for _, e := range refusals {
		do := func(r *rig) {
			r.phone.FailAlways("Pair", e.name)
			r.phone.FailAlways("StartSession", e.name)
			r.flow.Hear(trust.Told)
		}
		if e.name == "UserDeniedPairing" {
			e.pair = trust.Denied
		}
		if e.pair != "" && !pair[e.pair] {
			pair[e.pair] = true
			all = append(all, turn{name: "refuses to pair: " + e.name, to: e.pair, do: do, bare: true})
		}
		if e.session != "" && !session[e.session] {
			session[e.session] = true
			all = append(all, turn{name: "refuses a session: " + e.name, to: e.session, do: do, kept: true})
		}
	}
	return all
}

// heal ends all that is wrong with the phone, and unlocks it.
func (r *rig) heal() {
	r.t.Helper()
	r.phone.Heal(virtualphone.AnyRequest)
	r.phone.SetBehavior(virtualphone.Behavior{})
	r.must(r.phone.Unlock(code))
}

// bring has a client save a record that the phone has never seen.
func (r *rig) bring(change func(*pairrecord.Record)) {
	r.t.Helper()
	buid, err := r.records.BUID()
	r.must(err)
	rec := otherRecord()
	rec.SystemBUID = buid
	change(&rec)
	data, err := rec.Marshal()
	r.must(err)
	r.must(r.records.Save(udid, data))
	r.flow.Hear(trust.ClientSaved)
	r.flow.Hear(trust.Touched) // under policy never, the client's word is not enough
}

// otherRecord is a sound record for another phone.
var otherRecord = sync.OnceValue(func() pairrecord.Record {
	key := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&theirs().key.PublicKey)})
	rec, err := lockdown.NewRecord(otherKeys(), lockdown.RecordConfig{DevicePublicKey: key})
	if err != nil {
		panic(err)
	}
	return rec
})

// changes wants the state that is told next, after so many words, to be this one.
func (r *rig) changes(after int, to trust.State) {
	r.t.Helper()
	late := time.NewTimer(10 * time.Minute)
	defer late.Stop()
	for {
		synctest.Wait()
		r.mu.Lock()
		news := slices.DeleteFunc(slices.Clone(r.seen[after:]), func(word string) bool { return word == "paired" })
		r.mu.Unlock()
		if len(news) > 0 {
			if next, _, _ := strings.Cut(news[0], "("); next != string(to) {
				r.t.Fatalf("want %s next, saw %s", to, strings.Join(r.seen, " "))
			}
			return
		}
		select {
		case <-r.news:
		case <-late.C:
			r.t.Fatalf("want %s in the end, saw %s", to, strings.Join(r.seen, " "))
		}
	}
}

// play leads a phone into a state, has the turn happen, and sees it through to trust.
func (turn turn) play(t *testing.T, w way, plot *plot) {
	t.Parallel()
	if w.phone.Behavior == (virtualphone.Behavior{}) {
		w.phone.Passcode = code
	}
	play(t, w.phone, w.cfg, func(r *rig) {
		if w.before != nil {
			w.before(r)
		}
		r.plug()
		if w.lead != nil {
			w.lead(r)
		}
		r.expect(10*time.Minute, w.to)
		r.heal()
		if turn.bare && w.kept {
			r.remove()
		}
		before := len(r.seen)
		turn.do(r)
		r.changes(before, turn.to)
		plot.add(r.seen)
		r.heal()
		r.flow.Hear(trust.Told)
		r.settle()
	})
}

// turnsOf are those that can happen to a phone in a state. A trusted one whose record
// is removed by hand is not asked any more, which is a story of its own.
func turnsOf(w way) (all []turn) {
	for _, turn := range turns {
		if turn.to == w.to || turn.kept && !w.kept || turn.bare && w.to == trust.Trusted {
			continue
		}
		all = append(all, turn)
	}
	return all
}
