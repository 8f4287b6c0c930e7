package lockdown

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
)

var (
	// ErrProtocol is wrapped when the phone sent what the protocol does not
	// allow: a bad length, no property list, a value of the wrong kind, the
	// reply to another request.
	ErrProtocol = errors.New("lockdown protocol violation")

	// ErrTLS is wrapped when the TLS handshake failed or either side gave TLS up
	// later. It does not mean that the record is bad: see ErrDeviceKey.
	ErrTLS = errors.New("lockdown tls failure")

	// ErrDeviceKey is wrapped, beside ErrTLS, when the phone's TLS key is not the
	// one in the record's DeviceCertificate: another phone, or someone between.
	ErrDeviceKey = errors.New("phone's key is not the one in the pair record")

	// ErrRecord is wrapped when a pair record lacks what a session needs or holds
	// certificates or keys that do not parse.
	ErrRecord = errors.New("unusable pair record")

	// ErrTimeout is wrapped when no reply came within Config.Timeout. A context
	// that ended first is reported as that context's error.
	ErrTimeout = fmt.Errorf("lockdown reply overdue: %w", os.ErrDeadlineExceeded)

	// ErrConnection is wrapped when the connection could not be made, or broke: the
	// dialer's or the connection's own error is wrapped beside it.
	ErrConnection = errors.New("no connection to the phone")

	// ErrProxyDeath is wrapped by Notifier.Next when the phone ends the
	// notification proxy.
	ErrProxyDeath = errors.New("phone ended the notification proxy")

	// ErrNoSession is returned for what needs a TLS session when there is none.
	ErrNoSession = errors.New("no lockdown session")
)

// ErrorName is a lockdownd error by Apple's own name. The constants below are
// the names known; another name from a phone is kept as it came. An ErrorName is
// an error, so errors.Is(err, ErrPasswordProtected) asks for one.
type ErrorName string

// Names known. Source: libimobiledevice's public header lockdown.h.
const (
	ErrInvalidResponse                     ErrorName = "InvalidResponse"
	ErrMissingKey                          ErrorName = "MissingKey"
	ErrMissingValue                        ErrorName = "MissingValue"
	ErrGetProhibited                       ErrorName = "GetProhibited"
	ErrSetProhibited                       ErrorName = "SetProhibited"
	ErrRemoveProhibited                    ErrorName = "RemoveProhibited"
	ErrImmutableValue                      ErrorName = "ImmutableValue"
	ErrPasswordProtected                   ErrorName = "PasswordProtected"
	ErrUserDeniedPairing                   ErrorName = "UserDeniedPairing"
	ErrPairingDialogResponsePending        ErrorName = "PairingDialogResponsePending"
	ErrMissingHostID                       ErrorName = "MissingHostID"
	ErrInvalidHostID                       ErrorName = "InvalidHostID"
	ErrSessionActive                       ErrorName = "SessionActive"
	ErrSessionInactive                     ErrorName = "SessionInactive"
	ErrMissingSessionID                    ErrorName = "MissingSessionID"
	ErrInvalidSessionID                    ErrorName = "InvalidSessionID"
	ErrMissingService                      ErrorName = "MissingService"
	ErrInvalidService                      ErrorName = "InvalidService"
	ErrServiceLimit                        ErrorName = "ServiceLimit"
	ErrMissingPairRecord                   ErrorName = "MissingPairRecord"
	ErrSavePairRecordFailed                ErrorName = "SavePairRecordFailed"
	ErrInvalidPairRecord                   ErrorName = "InvalidPairRecord"
	ErrInvalidActivationRecord             ErrorName = "InvalidActivationRecord"
	ErrMissingActivationRecord             ErrorName = "MissingActivationRecord"
	ErrServiceProhibited                   ErrorName = "ServiceProhibited"
	ErrEscrowLocked                        ErrorName = "EscrowLocked"
	ErrPairingProhibitedOverThisConnection ErrorName = "PairingProhibitedOverThisConnection"
	ErrFMiPProtected                       ErrorName = "FMiPProtected"
	ErrMCProtected                         ErrorName = "MCProtected"
	ErrMCChallengeRequired                 ErrorName = "MCChallengeRequired"

	// Seen from phones, without a number of libimobiledevice's.
	ErrPasscodeRequired ErrorName = "PasscodeRequired"

	// ErrFailure stands for a refusal without a name: Result is Failure and there
	// is no Error.
	ErrFailure ErrorName = "Failure"
)

// numberUnknown is libimobiledevice's LOCKDOWN_E_UNKNOWN_ERROR.
const numberUnknown = -256

// numbers are libimobiledevice's error numbers, which its tools print and users
// search for. Source: its public header lockdown.h.
var numbers = map[ErrorName]int{
	ErrInvalidResponse:                     -10,
	ErrMissingKey:                          -11,
	ErrMissingValue:                        -12,
	ErrGetProhibited:                       -13,
	ErrSetProhibited:                       -14,
	ErrRemoveProhibited:                    -15,
	ErrImmutableValue:                      -16,
	ErrPasswordProtected:                   -17,
	ErrUserDeniedPairing:                   -18,
	ErrPairingDialogResponsePending:        -19,
	ErrMissingHostID:                       -20,
	ErrInvalidHostID:                       -21,
	ErrSessionActive:                       -22,
	ErrSessionInactive:                     -23,
	ErrMissingSessionID:                    -24,
	ErrInvalidSessionID:                    -25,
	ErrMissingService:                      -26,
	ErrInvalidService:                      -27,
	ErrServiceLimit:                        -28,
	ErrMissingPairRecord:                   -29,
	ErrSavePairRecordFailed:                -30,
	ErrInvalidPairRecord:                   -31,
	ErrInvalidActivationRecord:             -32,
	ErrMissingActivationRecord:             -33,
	ErrServiceProhibited:                   -34,
	ErrEscrowLocked:                        -35,
	ErrPairingProhibitedOverThisConnection: -36,
	ErrFMiPProtected:                       -37,
	ErrMCProtected:                         -38,
	ErrMCChallengeRequired:                 -39,
}

// Known says whether the name is one of the constants.
func (n ErrorName) Known() bool {
	_, ok := numbers[n]
	return ok || n == ErrPasscodeRequired || n == ErrFailure
}

// Number is libimobiledevice's number of the error, below zero; -256 if it has
// none.
func (n ErrorName) Number() int {
	if num, ok := numbers[n]; ok {
		return num
	}
	return numberUnknown
}

// Error returns the name; an unknown one is quoted and cut.
func (n ErrorName) Error() string {
	if n.Known() {
		return string(n)
	}
	return quote(string(n))
}

// maxQuote is how much of a phone's text an error shows, in bytes.
const maxQuote = 64

// quote makes text from a phone fit for an error.
func quote(s string) string {
	if len(s) > maxQuote {
		return fmt.Sprintf("%q...", s[:maxQuote])
	}
	return fmt.Sprintf("%q", s)
}

// Error is the phone's refusal of one request. The connection is still good.
type Error struct {
	Name    ErrorName
	Request string // the request refused: "Pair", "GetValue", ...
	Subject string // the key or service it was about, if any

	// PairingChallenge is what a supervised phone wants signed, with
	// MCChallengeRequired only.
	PairingChallenge []byte
}

func (e *Error) Error() string {
	if e.Subject != "" {
		return "lockdown " + e.Request + " " + e.Subject + ": " + e.Name.Error()
	}
	return "lockdown " + e.Request + ": " + e.Name.Error()
}

// Unwrap lets errors.Is find the name.
func (e *Error) Unwrap() error { return e.Name }

// Number is libimobiledevice's number for any error of this package, for logs
// and for users who know it from there: the phone's refusals, and of its own
// findings -2 (record), -3 (protocol), -5 (TLS), -7 (timeout), -8 (connection),
// -9 (no session). It is 0 for nil and -256 for everything else.
func Number(err error) int {
	var name ErrorName
	switch {
	case err == nil:
		return 0
	case errors.As(err, &name):
		return name.Number()
	case errors.Is(err, ErrRecord):
		return -2
	case errors.Is(err, ErrProtocol):
		return -3
	case errors.Is(err, ErrTLS):
		return -5
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return -7
	case errors.Is(err, ErrNoSession):
		return -9
	case errors.Is(err, ErrConnection):
		return -8
	}
	return numberUnknown
}

// isTLSError tells crypto/tls's own errors from those of the connection below:
// an alert sent or received, or bytes that are no TLS record.
func isTLSError(err error) bool {
	var (
		op     *net.OpError
		header tls.RecordHeaderError
		alert  tls.AlertError
	)
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	return errors.As(err, &header) || errors.As(err, &alert)
}
