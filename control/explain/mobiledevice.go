package explain

import "fmt"

// codeBase is the facility in the codes of Apple's MobileDevice library.
const codeBase = 0xE8000000

// mobileError is one code of that library, which iTunes, Finder, Xcode and tools
// of others show. The name goes without its kAMD.
type mobileError struct {
	code            uint32 // without codeBase
	name            string
	same            string // the lockdown error that it passes on, whose texts it has
	meaning, remedy string
}

func (e mobileError) hex() string { return fmt.Sprintf("0x%08X", codeBase+e.code) }

const (
	wantReplug       = "Unlock the device, pull the cable out and plug it in again. If it stays so, restart the device."
	wantSpace        = "Free some space and close programs, on the device and on the computer, then try again."
	wantCable        = "Try another cable and a port of the computer itself, without a hub."
	wantImage        = "Unlock the device and mount the developer image that fits its system."
	wantApp          = "Update the program on the computer that talks to the device."
	wantCablePairing = `Connect the device with a cable, unlock it and run "muxctl trust".`
	wantService      = "Unlock the device and try again. If it stays so, restart the device and the computer's service for it."
)

// mobileDevice has the codes about connecting, trust and services; mobileJobs has
// those that say nothing of the connection. Numbers and names are those that
// AMDErrorString gives, read in public headers made from it.
var mobileDevice = []mobileError{
	{0x01, "UndefinedError", "", "Something failed and the library does not know what.", wantReplug},
	{0x02, "BadHeaderError", "", "The answer of the device began with something that makes no sense.", wantReplug},
	{0x03, "NoResourcesError", "", "The computer or the device ran out of something it needs, such as memory.", wantSpace},
	{0x04, "ReadError", "", "Reading from the device failed.", wantCable},
	{0x05, "WriteError", "", "Writing to the device failed.", wantCable},
	{0x06, "UnknownPacketError", "", "The device sent a message of a kind that is not known.", wantApp},
	{0x07, "InvalidArgumentError", "", "The program called the library in a wrong way.", wantApp},
	{0x08, "NotFoundError", "", "What was asked for is not there.", "Check the name of the file or value, and that the device is still plugged in."},
	{0x09, "IsDirectoryError", "", "A file was wanted and a folder is there.", "Name a file, or let the program handle folders."},
	{0x0A, "PermissionError", "", "The program or the device has no permission for this.", "See that the folder with the pair records on the computer may be read and written by who must."},
	{0x0B, "NotConnectedError", "", "There is no connection to the device, or no longer.", wantReplug},
	{0x0C, "TimeOutError", "", "The device did not answer in time.", wantReplug},
	{0x0D, "OverrunError", "", "More data came than was asked for.", wantApp},
	{0x0E, "EOFError", "", "The data ended too early: the connection was closed.", wantReplug},
	{0x0F, "UnsupportedError", "", "The device does not support this.", "Check that the program supports this version of the device's system."},
	{0x10, "FileExistsError", "", "The file is already there.", "Remove or rename the file that is there."},
	{0x11, "BusyError", "", "The device is busy with something else.", "Wait until a backup, sync or update is done, then try again."},
	{0x12, "CryptoError", "", "Encryption failed: often the pair record no longer fits the device.", wantTrust},

	{0x13, "InvalidResponseError", "InvalidResponse", "", ""},
	{0x14, "MissingKeyError", "MissingKey", "", ""},
	{0x15, "MissingValueError", "MissingValue", "", ""},
	{0x16, "GetProhibitedError", "GetProhibited", "", ""},
	{0x17, "SetProhibitedError", "SetProhibited", "", ""},
	{0x18, "RemoveProhibitedError", "RemoveProhibited", "", ""},
	{0x19, "ImmutableValueError", "ImmutableValue", "", ""},
	{0x1A, "PasswordProtectedError", "PasswordProtected", "", ""},
	{0x1B, "MissingHostIDError", "MissingHostID", "", ""},
	{0x1C, "InvalidHostIDError", "InvalidHostID", "", ""},
	{0x1D, "SessionActiveError", "SessionActive", "", ""},
	{0x1E, "SessionInactiveError", "SessionInactive", "", ""},
	{0x1F, "MissingSessionIDError", "MissingSessionID", "", ""},
	{0x20, "InvalidSessionIDError", "InvalidSessionID", "", ""},
	{0x21, "MissingServiceError", "MissingService", "", ""},
	{0x22, "InvalidServiceError", "InvalidService", "", ""},
	{0x23, "InvalidCheckinError", "", "A service of the device did not report itself as it should.", wantService},
	{0x24, "CheckinTimeoutError", "", "A service of the device did not report itself in time.", wantService},
	{0x25, "MissingPairRecordError", "MissingPairRecord", "", ""},
	{0x26, "InvalidActivationRecordError", "InvalidActivationRecord", "", ""},
	{0x27, "MissingActivationRecordError", "MissingActivationRecord", "", ""},
	{0x28, "WrongDroidError", "", "The device is in recovery mode: its system has not started.", "Restart the device with its buttons. If it comes back to this mode, its system must be updated or restored."},
	{0x2D, "SendMessageError", "", "A message could not be sent to the device.", wantReplug},
	{0x2E, "ReceiveMessageError", "", "No message could be received from the device.", wantReplug},
	{0x32, "StartServiceError", "", "A service on the device could not be started.", wantService},
	{0x35, "MuxError", "", "The connection to the device broke between the computer and the cable.", wantReplug},

	{0x5B, "ServiceLimitError", "ServiceLimit", "", ""},
	{0x5C, "InvalidPairRecordError", "InvalidPairRecord", "", ""},
	{0x5D, "ServiceProhibitedError", "ServiceProhibited", "", ""},
	{0x5E, "CheckinSetupFailedError", "", "The device could not prepare a service that was asked for.", wantService},
	{0x5F, "CheckinConnectionFailedError", "", "The device could not reach a service of its own.", wantService},
	{0x60, "CheckinReceiveFailedError", "", "The device heard nothing from a service of its own.", wantService},
	{0x61, "CheckinResponseFailedError", "", "A service of the device answered the device itself wrongly.", wantService},
	{0x62, "CheckinSendFailedError", "", "The device could not hand the connection on to a service of its own.", wantService},
	{0x63, "MuxCreateListenerError", "", "The program could not begin to watch for devices.", "See that the usbmuxd service on this computer runs, and restart it if it does not answer."},
	{0x64, "MuxGetListenerError", "", "The program could not watch for devices.", "See that the usbmuxd service on this computer runs, and restart it if it does not answer."},
	{0x65, "MuxConnectError", "", "The program could not connect to the device: it refuses, it was unplugged, or the service between them does not run.", `Unlock the device and plug it in again. If it stays so, restart device and computer; here "muxctl doctor" looks at both.`},
	{0x66, "UnknownCommandError", "", "The device does not know the request.", wantApp},
	{0x67, "APIInternalError", "", "The library made a mistake of its own.", wantApp},
	{0x68, "SavePairRecordFailedError", "SavePairRecordFailed", "", ""},
	{0x69, "CheckinOutOfMemoryError", "", "The device had not enough memory to start a service.", "Close apps on the device or restart it, then try again."},
	{0x6A, "DeviceTooNewError", "", "The device is newer than the program on the computer knows.", wantApp},
	{0x6B, "DeviceRefNoGood", "", "The program still uses a device that is gone or has been plugged in anew.", "Close the program, plug the device in again and open the program."},
	{0x6C, "CannotTranslateError", "", "The device answered with an error that the library does not know.", wantApp},
	{0x72, "MobileImageMounterAlreadyMounted", "", "The developer image is mounted already, so nothing is wrong.", "Nothing to do."},
	{0x7D, "BonjourSetupError", "", "The program could not begin to look for devices on the network.", "Connect the device with a cable."},
	{0x7E, "DeviceOSVersionTooLow", "", "The device's system is too old for this.", "Update the device's system."},
	{0x7F, "NoWifiSyncSupportError", "", "The device does not support this over Wi-Fi.", "Connect it with a cable."},
	{0x80, "DeviceFamilyNotSupported", "", "This is not made for that kind of device.", "Use it with a device of the right kind."},

	{0x81, "EscrowLockedError", "EscrowLocked", "", ""},
	{0x82, "PairingProhibitedError", "PairingProhibitedOverThisConnection", "", ""},
	{0x83, "ProhibitedBySupervision", "", "An organisation supervises the device and forbids this.", "Ask the organisation to allow it."},
	{0x84, "DeviceDisconnectedError", "", "The device was unplugged, or the connection broke, in the middle of something.", wantCable},
	{0x85, "TooBigError", "", "What was sent is too big.", "Send less at once, or update the program."},
	{0x8E, "NotEntitledError", "", "The program is not allowed to ask for this.", wantApp},
	{0x95, "UserDeniedPairingError", "UserDeniedPairing", "", ""},
	{0x96, "PairingDialogResponsePendingError", "PairingDialogResponsePending", "", ""},
	{0x99, "FMiPProtectedError", "FMiPProtected", "", ""},
	{0x9A, "MCProtected", "MCProtected", "", ""},
	{0x9B, "MCChallengeRequired", "MCChallengeRequired", "", ""},
	{0xE2, "MobileImageMounterDeviceLocked", "", "The device is locked, so the developer image could not be mounted.", wantImage},
	{0xE8, "RequireCUPairingCodeError", "", "Pairing without a cable waits for the code that the device shows.", "Enter the code in the program on the computer."},
	{0xE9, "RequireCUPairingBackoffError", "", "Too many tries to pair without a cable have failed, so the device makes the computer wait.", "Wait some minutes and try again, or pair with a cable."},
	{0xEA, "CUPairingError", "", "Pairing without a cable failed.", wantCablePairing},
	{0xEB, "CUPairingContinueError", "", "Pairing without a cable did not go on.", wantCablePairing},
	{0xEC, "CUPairingResetError", "", "Pairing without a cable has to begin anew.", wantCablePairing},
	{0xED, "RequireCUPairingError", "", "The device cannot be paired over the network yet.", wantCablePairing},
	{0xEE, "PasswordRequiredError", "", "The device must have a passcode for this.", "Set a passcode in its Settings and try again."},
}
