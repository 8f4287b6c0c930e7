package explain

import (
	"fmt"

	"gomuxd/lockdown/trust"
)

// State says in one sentence what is the case with a phone in state name, and in
// one or two what its owner is to do now. Both texts are plain, end with a full
// stop and have at most 300 characters, whatever the facts. A state that is not
// one of trust.States gets texts too.
func State(name trust.State, f Facts) (reason, next string) {
	say, ok := states[name]
	if !ok {
		return fmt.Sprintf("The daemon says %q, which this program does not know.", short(string(name))),
			"Use programs of the same version as the daemon, or run \"muxctl doctor\"."
	}
	return say(newVoice(f))
}

// states has a function for every state, in the order of trust.States.
var states = map[trust.State]func(voice) (reason, next string){
	trust.ChargingOnly: chargingOnly,
	trust.NoMux:        noMux,
	trust.Recovery:     recovery,
	trust.DFU:          dfu,

	trust.Connecting:   connecting,
	trust.NotAnswering: notAnswering,
	trust.RestoreMode:  restoreMode,
	trust.NoLockdown:   noLockdown,

	trust.NotAsked:            notAsked,
	trust.Locked:              locked,
	trust.LockedSinceBoot:     lockedSinceBoot,
	trust.DialogShown:         dialogShown,
	trust.PasscodeAwaited:     passcodeAwaited,
	trust.DialogGone:          dialogGone,
	trust.AnswerNotAccepted:   answerNotAccepted,
	trust.Denied:              denied,
	trust.AccessoryRestricted: accessoryRestricted,

	trust.Trusted:  trusted,
	trust.Expiring: expiring,
	trust.Disabled: disabled,

	trust.ForgottenByPhone:    forgottenByPhone,
	trust.RecordBroken:        recordBroken,
	trust.BUIDMismatch:        buidMismatch,
	trust.SupervisedChallenge: supervisedChallenge,
	trust.PairingProhibited:   pairingProhibited,
	trust.FindMyProtected:     findMyProtected,
	trust.EscrowLocked:        escrowLocked,
	trust.ServiceLimit:        serviceLimit,
}
