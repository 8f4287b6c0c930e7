package mux

import "errors"

var (
	// ErrRefused is what Dial returns when the phone answers with a reset:
	// nothing listens on that port. It may be wrapped with the phone's reason.
	ErrRefused = errors.New("connection refused by the phone")

	// ErrReset is what Write returns, and the cause that Conn.Err gives, after
	// the phone has reset an open connection.
	ErrReset = errors.New("connection reset by the phone")

	// ErrDeviceGone ends every Conn of a session whose pipe has failed: the
	// phone was unplugged, or the transfers broke.
	ErrDeviceGone = errors.New("device gone")

	// ErrProtocol is wrapped when the phone breaks the protocol.
	ErrProtocol = errors.New("protocol violation by the phone")

	// ErrNoVersion is what Open returns when the phone does not answer the
	// version request in time.
	ErrNoVersion = errors.New("no answer to the version request")

	// ErrStuck ends a session whose phone does not take what is sent to it.
	ErrStuck = errors.New("the phone takes nothing")

	// ErrDialTimeout is what Dial returns when the phone answers a SYN with
	// silence.
	ErrDialTimeout = errors.New("no answer to the connect request")

	// ErrNoPort is what Dial returns when all 65,535 source ports are in use.
	ErrNoPort = errors.New("no free source port")
)
