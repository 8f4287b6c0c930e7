package service

import "errors"

// ErrProtocol is wrapped by the errors for what a host must not send. Such an
// error ends the connection it came from.
var ErrProtocol = errors.New("protocol violation")
