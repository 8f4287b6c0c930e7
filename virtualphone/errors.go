package virtualphone

import "errors"

// Errors of the cable and the phone; test with errors.Is.
var (
	// ErrUnplugged is given by every transfer and connection after an unplug.
	ErrUnplugged = errors.New("phone is unplugged")
	// ErrUSBReset is given by a Pipe after a reset of the USB device.
	ErrUSBReset = errors.New("phone was reset over USB")
	// ErrPlugged is given by Plug while a cable is in.
	ErrPlugged = errors.New("phone is plugged already")
	// ErrClosed is given by a Phone after Close.
	ErrClosed = errors.New("phone is closed")
	// ErrNoDialog is given by a tap or passcode that no dialog waits for.
	ErrNoDialog = errors.New("no dialog is shown")
	// ErrPasscode is given for a passcode the phone does not have.
	ErrPasscode = errors.New("wrong passcode")
	// ErrHostGone is given by a service's Write after the host reset the
	// connection or started a new mux session.
	ErrHostGone = errors.New("host closed the connection")
)
