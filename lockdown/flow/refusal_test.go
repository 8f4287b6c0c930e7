package flow_test

import (
	"slices"
	"time"

	"gomuxd/lockdown/trust"
	"gomuxd/virtualphone"
)

type refusal struct {
	name          string
	pair, session trust.State
}

// refusals are all names that lockdownd refuses with, and the states they mean when
// it refuses to pair and to start a session; mostly those of refusal below. An empty
// state is one with a story of its own.
var refusals = []refusal{
	{"PairingDialogResponsePending", "", refused.session},
	{"PasswordProtected", trust.Locked, trust.LockedSinceBoot},
	{"PasscodeRequired", trust.PasscodeAwaited, refused.session},
	{"UserDeniedPairing", "", refused.session},
	{"InvalidHostID", refused.pair, ""},
	{"MissingPairRecord", refused.pair, ""},
	{"InvalidPairRecord", refused.pair, ""},
	{"SavePairRecordFailed", refused.pair, refused.session},
	{"PairingProhibitedOverThisConnection", trust.PairingProhibited, trust.PairingProhibited},
	{"FMiPProtected", trust.FindMyProtected, trust.FindMyProtected},
	{"EscrowLocked", trust.EscrowLocked, trust.EscrowLocked},
	{"ServiceLimit", trust.ServiceLimit, trust.ServiceLimit},
	{"MCProtected", trust.SupervisedChallenge, trust.SupervisedChallenge},
	{"MCChallengeRequired", trust.SupervisedChallenge, trust.SupervisedChallenge},
	{"MCChallengeFailed", trust.SupervisedChallenge, trust.SupervisedChallenge},
	{"InvalidResponse", refused.pair, refused.session},
	{"MissingKey", refused.pair, refused.session},
	{"MissingValue", refused.pair, refused.session},
	{"GetProhibited", refused.pair, refused.session},
	{"SetProhibited", refused.pair, refused.session},
	{"RemoveProhibited", refused.pair, refused.session},
	{"ImmutableValue", refused.pair, refused.session},
	{"MissingHostID", refused.pair, refused.session},
	{"SessionActive", refused.pair, refused.session},
	{"SessionInactive", refused.pair, refused.session},
	{"MissingSessionID", refused.pair, refused.session},
	{"InvalidSessionID", refused.pair, refused.session},
	{"MissingService", refused.pair, refused.session},
	{"InvalidService", refused.pair, refused.session},
	{"InvalidActivationRecord", refused.pair, refused.session},
	{"MissingActivationRecord", refused.pair, refused.session},
	{"ServiceProhibited", refused.pair, refused.session},
	{"NameOfTomorrow", refused.pair, refused.session},
}

// refused are the states of a refusal that says nothing by its name.
var refused = struct{ pair, session trust.State }{trust.AnswerNotAccepted, trust.NotAnswering}

// refusalStories have the phone refuse for ten minutes, then think better of it.
var refusalStories = slices.Concat(pairRefused(), pairRefusedLater(), sessionRefused())

func pairRefused() (all []story) {
	for _, e := range refusals {
		if e.pair == "" {
			continue
		}
		all = append(all, story{
			name: "Pair refused: " + e.name, phone: coded,
			before: func(r *rig) { r.phone.FailAlways("Pair", e.name) },
			tell: func(r *rig) {
				r.expect(time.Second, e.pair)
				time.Sleep(10 * time.Minute)
				r.phone.Heal(virtualphone.AnyRequest)
				r.expect(time.Minute, trust.DialogShown)
				r.accept()
			},
			seen: "connecting " + string(e.pair) + "(" + e.name + ") dialog-shown paired trusted", disk: "record used", dialogs: 1,
		})
	}
	return all
}

// pairRefusedLater has the dialog on the screen all the while, too old in the end.
func pairRefusedLater() (all []story) {
	for _, name := range []string{"MCProtected", "PairingProhibitedOverThisConnection", "FMiPProtected", "EscrowLocked", "ServiceLimit", "SavePairRecordFailed"} {
		i := slices.IndexFunc(refusals, func(e refusal) bool { return e.name == name })
		all = append(all, story{
			name: "Pair refused while it asks: " + name, phone: coded,
			tell: func(r *rig) {
				r.shows(virtualphone.TrustDialog)
				r.phone.FailAlways("Pair", name)
				time.Sleep(10 * time.Minute)
				r.phone.Heal(virtualphone.AnyRequest)
				r.expect(time.Minute, trust.DialogGone)
				r.accept()
			},
			seen: "connecting dialog-shown " + string(refusals[i].pair) + "(" + name + ") dialog-gone(timed-out) paired trusted",
			disk: "record used", dialogs: 1,
		})
	}
	return all
}

func sessionRefused() (all []story) {
	for _, e := range refusals {
		if e.session == "" {
			continue
		}
		all = append(all, story{
			name: "StartSession refused: " + e.name, phone: coded,
			tell: func(r *rig) {
				r.accept()
				r.phone.FailAlways("StartSession", e.name)
				r.replug()
				r.expect(time.Second, e.session)
				time.Sleep(10 * time.Minute)
				r.phone.Heal(virtualphone.AnyRequest)
				r.expect(time.Minute, trust.Trusted)
			},
			seen: "connecting dialog-shown paired trusted | connecting " + string(e.session) + "(" + e.name + ") trusted",
			disk: "record used", dialogs: 1,
		})
	}
	return all
}
