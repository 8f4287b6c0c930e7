package flow

import (
	"errors"
	"io/fs"

	"gomuxd/lockdown"
	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
	"gomuxd/plist"
)

// cause sorts what came of talking to a phone, in the machine's words.
func (f *Flow) cause(err error) string {
	var refusal *lockdown.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refusal):
		return string(refusal.Name)
	case errors.Is(err, lockdown.ErrDeviceKey):
		return trust.CauseDeviceKey
	case errors.Is(err, lockdown.ErrTLS):
		return trust.CauseTLS
	case errors.Is(err, lockdown.ErrRecord):
		return trust.CauseIncomplete
	case errors.Is(err, lockdown.ErrTimeout), f.cfg.Silent != nil && errors.Is(err, f.cfg.Silent):
		return trust.CauseSilent
	case errors.Is(err, lockdown.ErrProtocol):
		return trust.CauseGarbage
	case f.cfg.Refused != nil && errors.Is(err, f.cfg.Refused):
		return trust.CauseRefused
	case errors.Is(err, errDisk):
		return trust.CauseDisk
	}
	return trust.CauseBroken
}

// errDisk marks what went wrong with our files, not with the phone.
var errDisk = errors.New("pair record store")

// recordCause sorts the errors of reading a record.
func recordCause(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, fs.ErrNotExist):
		return trust.CauseNoRecord
	case errors.Is(err, plist.ErrMalformed), errors.Is(err, pairrecord.ErrTooLarge):
		return trust.CauseUnreadable
	}
	return trust.CauseDisk
}
