package virtualphone

import (
	"io"

	"gomuxd/virtualphone/service"
)

// lockdownError is an error by the name Apple gives it in a reply.
type lockdownError string

// Error implements error.
func (e lockdownError) Error() string { return string(e) }

// Errors lockdownd answers with. Any other name can be forced by FailNext.
// Source: the reply texts that libimobiledevice, pymobiledevice3 and go-ios know.
const (
	errPasswordProtected lockdownError = "PasswordProtected"
	errDialogPending     lockdownError = "PairingDialogResponsePending"
	errUserDenied        lockdownError = "UserDeniedPairing"
	errInvalidHostID     lockdownError = "InvalidHostID"
	errInvalidPairRecord lockdownError = "InvalidPairRecord"
	errMissingPairRecord lockdownError = "MissingPairRecord"
	errMissingHostID     lockdownError = "MissingHostID"
	errInvalidService    lockdownError = "InvalidService"
	errMissingService    lockdownError = "MissingService"
	errSessionActive     lockdownError = "SessionActive"
	errSessionInactive   lockdownError = "SessionInactive"
	errMissingSessionID  lockdownError = "MissingSessionID"
	errInvalidSessionID  lockdownError = "InvalidSessionID"
	errMissingValue      lockdownError = "MissingValue"
	errMissingKey        lockdownError = "MissingKey"
	errGetProhibited     lockdownError = "GetProhibited"
	errSetProhibited     lockdownError = "SetProhibited"
	errRemoveProhibited  lockdownError = "RemoveProhibited"
	errInvalidRequest    lockdownError = "InvalidRequest"
	errMCProtected       lockdownError = "MCProtected"
	errMCChallenge       lockdownError = "MCChallengeRequired"
	errMCChallengeFailed lockdownError = "MCChallengeFailed"
	errPairingProhibited lockdownError = "PairingProhibitedOverThisConnection"
)

// request is any request of a host; which fields count depends on Request.
type request struct {
	Request        string          `plist:"Request"`
	Domain         string          `plist:"Domain,omitempty"`
	Key            string          `plist:"Key,omitempty"`
	Value          any             `plist:"Value,omitempty"`
	Service        string          `plist:"Service,omitempty"`
	HostID         string          `plist:"HostID,omitempty"`
	SystemBUID     string          `plist:"SystemBUID,omitempty"`
	SessionID      string          `plist:"SessionID,omitempty"`
	QueryKey       string          `plist:"QueryKey,omitempty"` // of restored
	PairRecord     *certified      `plist:"PairRecord,omitempty"`
	PairingOptions *pairingOptions `plist:"PairingOptions,omitempty"`
}

// pairingOptions are the optional wishes of a Pair.
type pairingOptions struct {
	SupervisorCertificate []byte `plist:"SupervisorCertificate,omitempty"`
	ChallengeResponse     []byte `plist:"ChallengeResponse,omitempty"`
}

// answer is a reply; the dialogue adds Request, Result and Error.
type answer map[string]any

// readRequest reads one request: a big-endian uint32 length of at most 1 MiB
// and a plist of that many bytes.
func readRequest(r io.Reader) (m request, binary bool, err error) {
	binary, err = service.ReadPlist(r, &m)
	return m, binary, err
}
