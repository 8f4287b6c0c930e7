package lockdown

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// appleErrors is the table of libimobiledevice's public header, written out
// again so that a slip in errors.go shows.
var appleErrors = []struct {
	name   string
	err    ErrorName
	number int
}{
	{"InvalidResponse", ErrInvalidResponse, -10},
	{"MissingKey", ErrMissingKey, -11},
	{"MissingValue", ErrMissingValue, -12},
	{"GetProhibited", ErrGetProhibited, -13},
	{"SetProhibited", ErrSetProhibited, -14},
	{"RemoveProhibited", ErrRemoveProhibited, -15},
	{"ImmutableValue", ErrImmutableValue, -16},
	{"PasswordProtected", ErrPasswordProtected, -17},
	{"UserDeniedPairing", ErrUserDeniedPairing, -18},
	{"PairingDialogResponsePending", ErrPairingDialogResponsePending, -19},
	{"MissingHostID", ErrMissingHostID, -20},
	{"InvalidHostID", ErrInvalidHostID, -21},
	{"SessionActive", ErrSessionActive, -22},
	{"SessionInactive", ErrSessionInactive, -23},
	{"MissingSessionID", ErrMissingSessionID, -24},
	{"InvalidSessionID", ErrInvalidSessionID, -25},
	{"MissingService", ErrMissingService, -26},
	{"InvalidService", ErrInvalidService, -27},
	{"ServiceLimit", ErrServiceLimit, -28},
	{"MissingPairRecord", ErrMissingPairRecord, -29},
	{"SavePairRecordFailed", ErrSavePairRecordFailed, -30},
	{"InvalidPairRecord", ErrInvalidPairRecord, -31},
	{"InvalidActivationRecord", ErrInvalidActivationRecord, -32},
	{"MissingActivationRecord", ErrMissingActivationRecord, -33},
	{"ServiceProhibited", ErrServiceProhibited, -34},
	{"EscrowLocked", ErrEscrowLocked, -35},
	{"PairingProhibitedOverThisConnection", ErrPairingProhibitedOverThisConnection, -36},
	{"FMiPProtected", ErrFMiPProtected, -37},
	{"MCProtected", ErrMCProtected, -38},
	{"MCChallengeRequired", ErrMCChallengeRequired, -39},
	{"PasscodeRequired", ErrPasscodeRequired, -256},
	{"SomethingNewInIOS30", ErrorName("SomethingNewInIOS30"), -256},
}

func TestRefusals(t *testing.T) {
	for _, tt := range appleErrors {
		for _, era := range []struct{ name, extra string }{
			{"ios5", ""},
			{"ios4", "<key>Result</key><string>Failure</string>"},
		} {
			t.Run(tt.name+"/"+era.name, func(t *testing.T) {
				err := checkReply("Pair", xmlDict("<key>Request</key><string>Pair</string>"+era.extra+
					"<key>Error</key><string>"+tt.name+"</string>"))
				var refused *Error
				if !errors.As(err, &refused) {
					t.Fatalf("decodeReply = %v, want an *Error", err)
				}
				if string(refused.Name) != tt.name || refused.Request != "Pair" || !errors.Is(err, tt.err) {
					t.Errorf("error = %+v, want %s for Pair", refused, tt.name)
				}
				if got := refused.Name.Number(); got != tt.number {
					t.Errorf("number of %s = %d, want %d", tt.name, got, tt.number)
				}
				if got := Number(fmt.Errorf("trust: %w", err)); got != tt.number {
					t.Errorf("Number of wrapped %s = %d, want %d", tt.name, got, tt.number)
				}
				if !strings.Contains(err.Error(), tt.name) || !strings.Contains(err.Error(), "Pair") {
					t.Errorf("error text %q does not name request and error", err)
				}
				if errors.Is(err, ErrProtocol) {
					t.Errorf("%v is a protocol error", err)
				}
			})
		}
	}
	if got, want := len(numbers), len(appleErrors)-2; got != want {
		t.Errorf("%d names have a number, want the table's %d", got, want)
	}
}

func TestTextOfThePhoneIsQuotedAndCut(t *testing.T) {
	hostile := "&#127;[2J" + strings.Repeat("A", 1<<16)
	for _, inside := range []string{
		"<key>Error</key><string>" + hostile + "</string>",
		"<key>Result</key><string>" + hostile + "</string>",
		"<key>Request</key><string>" + hostile + "</string>",
	} {
		err := checkReply("Pair", xmlDict(inside))
		if err == nil || len(err.Error()) > 200 || strings.Contains(err.Error(), "\x7f") {
			t.Errorf("text of a hostile reply is %.200q", err)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{fmt.Errorf("x: %w", ErrRecord), -2},
		{fmt.Errorf("x: %w", ErrProtocol), -3},
		{fmt.Errorf("%w: %w", ErrTLS, io.ErrUnexpectedEOF), -5},
		{ErrTimeout, -7},
		{context.DeadlineExceeded, -7},
		{os.ErrDeadlineExceeded, -7},
		{fmt.Errorf("%w: %w", ErrConnection, io.ErrUnexpectedEOF), -8},
		{ErrNoSession, -9},
		{errors.New("other"), -256},
		{&Error{Name: ErrFailure, Request: "Pair"}, -256},
	} {
		if got := Number(tt.err); got != tt.want {
			t.Errorf("Number(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}
