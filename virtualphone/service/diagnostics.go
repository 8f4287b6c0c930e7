package service

import (
	"context"
	"net"
)

// diagnosticsRequest is what the host asks the diagnostics relay. Which of the other
// fields count depends on Request.
type diagnosticsRequest struct {
	Request           string   `plist:"Request"`
	WaitForDisconnect bool     `plist:"WaitForDisconnect,omitempty"`
	MobileGestaltKeys []string `plist:"MobileGestaltKeys,omitempty"`
	CurrentPlane      string   `plist:"CurrentPlane,omitempty"`
	EntryName         string   `plist:"EntryName,omitempty"`
	EntryClass        string   `plist:"EntryClass,omitempty"`
}

// diagnosticsAnswer is the phone's answer to each request.
type diagnosticsAnswer struct {
	Status      string         `plist:"Status"`
	Diagnostics map[string]any `plist:"Diagnostics,omitempty"`
}

// Diagnostics serves com.apple.mobile.diagnostics_relay.
//
// The requests All, GasGauge, WiFi, NAND and IORegistry are answered with the values
// of a healthy phone; MobileGestalt with those of info, by key (ProductType,
// SerialNumber and so on), of which IORegistry takes what it shows too. info may be
// nil and must not be changed by its giver after it is returned.
//
// Restart, Shutdown and Sleep are answered and then passed to action by that name:
// after the connection has ended if the host says WaitForDisconnect, else at once.
// action may be nil. It runs on the handler's goroutine, so it must not wait for the
// handler. Goodbye is answered and ends the connection.
//
// Source: the diagnostics_relay.h API page of libimobiledevice.
func Diagnostics(info func() map[string]any, action func(name string)) Handler {
	return func(ctx context.Context, c net.Conn) {
		release := bind(ctx, c)
		defer release()
		pending := serveDiagnostics(c, info, action)
		release()
		if pending != "" && ctx.Err() == nil {
			action(pending)
		}
	}
}

// serveDiagnostics answers requests until the connection ends. It returns the action
// that waited for that, or "".
func serveDiagnostics(c net.Conn, info func() map[string]any, action func(string)) (pending string) {
	for {
		var m diagnosticsRequest
		inBinary, err := ReadPlist(c, &m)
		if err != nil {
			return pending
		}
		a := diagnosticsAnswer{Status: "Success"}
		switch m.Request {
		case "Restart", "Shutdown", "Sleep", "Goodbye":
		default:
			var values map[string]any
			if info != nil {
				values = info()
			}
			a = diagnose(m, values)
		}
		if WritePlist(c, a, inBinary) != nil {
			return pending
		}
		switch m.Request {
		case "Goodbye":
			return pending
		case "Restart", "Shutdown", "Sleep":
			if action == nil {
				break
			}
			if m.WaitForDisconnect {
				pending = m.Request
			} else {
				action(m.Request)
			}
		}
	}
}
