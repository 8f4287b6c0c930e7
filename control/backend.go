package control

import "context"

// Actions is what the daemon does for operators. Device arguments are keys of
// the Hub. Errors that are *Error reach the client as they are; others as
// CodeFailed. The methods are called from many goroutines. A context ends when
// the client hangs up or the Server is closed.
type Actions interface {
	// Trust asks the phone to trust this computer, also after a denial or under a
	// policy that does not ask. It returns when that is under way; what follows
	// shows as events.
	Trust(ctx context.Context, key string, req TrustRequest) error
	// Untrust ends the pairing with a phone, which may be absent.
	Untrust(ctx context.Context, udid string) (UntrustResult, error)
	// Reset resets a device over USB, Reopen lets go of it and opens it anew. They
	// return when that is done, or begun; that the device is back shows as events.
	Reset(ctx context.Context, key string) error
	Reopen(ctx context.Context, key string) error
	// Mode sets the USB mode that a device is asked for until the daemon's end, 1 to
	// 5, and opens it anew for that; 0 leaves it as it is from now on.
	Mode(ctx context.Context, key string, mode int) error
	// Records lists the pair records, by UDID.
	Records(ctx context.Context) ([]Record, error)
	// Restore makes an earlier version of a record the present one.
	Restore(ctx context.Context, udid, copyID string) error
	// Watch has fn called for every packet that goes over a phone's multiplexer, also
	// after a replug, until stop, and in one last call perhaps. Two calls may run at
	// the same time, one for each direction. The phone waits for fn, which must not
	// wait, nor call the Server.
	Watch(udid string, fn func(Packet)) (stop func())
	// Daemon describes the daemon. Devices is filled in by the caller.
	Daemon(ctx context.Context) Daemon
}
