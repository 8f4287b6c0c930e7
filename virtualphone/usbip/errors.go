package usbip

import "errors"

var (
	// ErrProtocol is wrapped by complaints about frames of the host.
	ErrProtocol = errors.New("usb/ip protocol error")

	// ErrModeSwitch ends Serve after a SET_MODE: plug the gadget in again.
	ErrModeSwitch = errors.New("usb mode switched")

	// ErrNoPort says that no port of the kernel's virtual controllers is free.
	ErrNoPort = errors.New("no free port")
)
