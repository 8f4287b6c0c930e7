package explain

const (
	wantDoctor = `Try again. If it stays so, restart the device and run "muxctl doctor".`
	wantUpdate = "Update the program that asked; the device itself is well."
	wantTrust  = `Unlock the device, run "muxctl trust" and tap Trust on it.`
	wantActive = "Finish setting up the device on its screen, with a network, so that it activates."
)

// lockdownErrors are what lockdownd refuses with and, first, what libimobiledevice
// finds itself. Source of the numbers: its public header lockdown.h.
var lockdownErrors = []struct {
	name            string
	number          int // 0 none
	aliases         []string
	meaning, remedy string
}{
	{"InvalidArg", -1, nil, "The program called its library in a wrong way.", wantUpdate},
	{"InvalidConf", -2, nil, "The pair record on this computer is missing, incomplete or damaged.", `Run "muxctl records list" to see it, then "muxctl records restore" or "muxctl trust".`},
	{"PlistError", -3, nil, "The device sent something that makes no sense as an answer.", wantDoctor},
	{"PairingFailed", -4, nil, "Setting up trust failed for a reason that the device did not name.", wantTrust},
	{"SSLError", -5, nil, "The encrypted connection failed: most often the device no longer knows this computer.", `Unlock the device and run "muxctl trust". If that does not help, "muxctl doctor" looks at the pair record.`},
	{"DictError", -6, nil, "The answer of the device lacks what the program looked for.", wantDoctor},
	{"ReceiveTimeout", -7, []string{"NotEnoughData"}, "The device did not answer in time.", "Unlock the device, pull the cable out and plug it in again."},
	{"MuxError", -8, nil, "The connection to the device could not be made or broke.", `Pull the cable out and plug it in again. If it stays so, run "muxctl doctor".`},
	{"NoRunningSession", -9, nil, "The program wanted something that needs a session, and there is none.", wantUpdate},

	{"InvalidResponse", -10, nil, "The answer did not fit the question.", wantDoctor},
	{"MissingKey", -11, nil, "The request did not say which value it is about.", wantUpdate},
	{"MissingValue", -12, nil, "The device has no value of that name, or the request brought none.", "Nothing, if the program goes on: many values exist on some devices only. Else update the program."},
	{"GetProhibited", -13, nil, "The device does not tell this value, or not to a computer it does not trust.", wantTrust},
	{"SetProhibited", -14, nil, "The device does not let this value be changed, or not by a computer it does not trust.", wantTrust},
	{"RemoveProhibited", -15, nil, "The device does not let this value be removed.", wantUpdate},
	{"ImmutableValue", -16, nil, "This value of the device can never be changed.", wantUpdate},
	{"PasswordProtected", -17, []string{"PasswordRequiredError"}, "The device is locked, so it neither asks for trust nor opens a session.", "Unlock the device with its passcode and leave it on; tap Trust if it asks."},
	{"UserDeniedPairing", -18, nil, "Somebody tapped Don't Trust on the device.", "Unlock the device, pull the cable out and plug it in again, then tap Trust on it."},
	{"PairingDialogResponsePending", -19, nil, "The device asks whether to trust this computer and waits for an answer.", "Unlock the device, tap Trust and enter the passcode. From iOS 26 on the question may need 10 to 30 seconds to appear."},
	{"MissingHostID", -20, nil, "The request did not say which computer it comes from.", wantUpdate},
	{"InvalidHostID", -21, nil, "The device does not know this computer, or no longer: it was reset or erased, or this computer was not used with it for over 30 days.", wantTrust},
	{"SessionActive", -22, nil, "A session was asked for on a connection that already has one.", wantUpdate},
	{"SessionInactive", -23, nil, "There is no session on this connection, or it has ended.", "Try again; the program must open a new session."},
	{"MissingSessionID", -24, nil, "The request did not say which session it is about.", wantUpdate},
	{"InvalidSessionID", -25, nil, "The session that the request is about does not exist.", "Try again; the program must open a new session."},
	{"MissingService", -26, nil, "The request did not say which service to start.", wantUpdate},
	{"InvalidService", -27, nil, "The device has no such service now: it may need Developer Mode, a developer image, or another version of its system.", "Turn on Developer Mode or mount the developer image if the program needs it, and check that it supports this version."},
	{"ServiceLimit", -28, nil, "Too many programs talk to the device at once, so it takes no more.", "Close programs that use it and wait a minute. If that does not help, restart the device."},
	{"MissingPairRecord", -29, nil, "The request came without a pair record, or the device keeps none for this computer.", wantTrust},
	{"SavePairRecordFailed", -30, nil, "The device could not save the trust, perhaps because its storage is full.", "Free some space on the device, restart it and try again."},
	{"InvalidPairRecord", -31, nil, "The device does not accept the pair record: it is damaged, or made for another device.", `Run "muxctl records restore" to bring an earlier one back, or "muxctl untrust" and "muxctl trust" to pair anew.`},
	{"InvalidActivationRecord", -32, nil, "The device does not accept the proof that it was activated.", wantActive},
	{"MissingActivationRecord", -33, nil, "The device is not activated yet.", wantActive},
	{"ServiceProhibited", -34, nil, "The device does not allow this service to this computer or over this connection.", "Use a cable and unlock the device. If an organisation manages it, ask them to allow this."},
	{"EscrowLocked", -35, nil, "The device keeps the keys needed for this locked until its passcode is entered.", "Enter the passcode on the device and leave it unlocked for a moment."},
	{"PairingProhibitedOverThisConnection", -36, nil, "Trust cannot be set up over this connection, or the device's management forbids it.", "Connect the device directly with a cable. If an organisation manages it, ask them to allow pairing."},
	{"FMiPProtected", -37, nil, "Find My protects the device, so it trusts no new computer now.", "If it is in Lost Mode, end that with its owner's Apple Account, then unlock it and try again."},
	{"MCProtected", -38, nil, "An organisation manages the device and keeps it from trusting other computers.", "Ask the organisation to allow pairing, or give the daemon its supervision identity (option --supervisor)."},
	{"MCChallengeRequired", -39, nil, "An organisation supervises the device, and it wants proof that this computer belongs to it.", "Give the daemon the supervision identity of the organisation (option --supervisor), or ask them to allow pairing."},

	{"MCChallengeFailed", 0, nil, "The device did not accept the proof of supervision that this computer gave.", "Give the daemon the identity that this device was supervised with (option --supervisor)."},
	{"PasscodeRequired", 0, nil, "The device wants its passcode: after a tap on Trust, or because what was asked needs one to be set.", "Enter the passcode on the device. If it has none, set one in its Settings and try again."},
	{"Failure", 0, nil, "The device refused without saying why.", wantDoctor},
	{"UnknownError", -256, nil, "The device refused with a name that the program's library does not know, or for no known reason.", `Look for the name in the program's log, or run "muxctl doctor".`},
}
