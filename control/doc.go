// Package control is the daemon's second socket: HTTP and JSON over a Unix
// socket, by which people and programs see what is plugged in and how it stands
// with trust, hear of changes, and act. The daemon puts devices into a Hub and
// implements Actions; a Server shows the one and calls the other; a Client is the
// other end. openapi.json describes it all, and is served as /v1/openapi.json.
//
// # Requests
//
//	GET  /v1/devices                      200 [Device]
//	GET  /v1/devices/{device}             200 Device
//	POST /v1/devices/{device}/trust       202 Device           * TrustRequest
//	POST /v1/devices/{device}/ask-again   202 Device           *
//	POST /v1/devices/{device}/untrust     200 UntrustResult    *
//	POST /v1/devices/{device}/reset       202 Device           *
//	POST /v1/devices/{device}/reopen      202 Device           *
//	POST /v1/devices/{device}/mode        202 Device           * ModeRequest
//	GET  /v1/stats                        200 Stats
//	GET  /v1/events                       200 a stream
//	GET  /v1/records                      200 [Record]         *
//	GET  /v1/records/{udid}               200 Record           *
//	POST /v1/records/{udid}/untrust       200 UntrustResult    * also of an absent phone
//	POST /v1/records/{udid}/restore       204                  * RestoreRequest
//	POST /v1/untrust-all                  200 [UntrustResult]  *
//	GET  /v1/daemon, /v1/doctor           200 Daemon
//	GET  /v1/openapi.json                 200
//
// {device} is what Hub.Find understands: UDID, port path, name, or the beginning
// of a UDID or name, escaped as a path segment. {udid} is a UDID or its
// beginning; it may also be what a device that is plugged in is called. A body is
// a JSON object, or absent where all its fields may be; fields that are not known
// are refused. There are no queries. 202 says that the phone is being asked: the
// answer shows as events. An action ends with its client: one that hangs up
// cancels it. Reset, reopen and mode concern that one device, also one that cannot be
// talked to.
//
// Every answer of 400 or more has an Error as body, whose code is for programs
// and whose message tells a person what to do.
//
// # Who may do what
//
// Anyone on this computer may read the status. Requests with a star are for
// root, the daemon's own user and the members of Config.Group, whom the kernel
// (SO_PEERCRED) and the user database tell; others get 403. So does a request
// with an Origin header: no web page has business here. No answer has a secret,
// because no type here has room for one. Daemon.Records is null for those who
// may not list records.
//
// # The stream of events
//
// Server-Sent Events. A stream begins with all devices, each as added, and ready:
//
//	id: 1
//	event: added
//	data: {"type":"added","device":{...},"time":"2026-11-25T05:31:00.5Z"}
//
//	id: 2
//	event: ready
//	data: {}
//
// Then come added, changed and removed as they happen: nothing is missed in
// between and nothing told twice. Counters alone are no change: who wants rates asks
// for /v1/stats as often as suits, which is cheap, also with a hundred phones. A comment comes
// after 30 s of silence. A client that does not read is dropped: after 1024
// events, with the event error, whose data is an Error; or when its socket has
// been full for 10 s. Ids count within one stream; there is no resuming, since
// each stream begins with all there is.
//
// # Limits
//
// 256 connections and 64 streams, half of them for one user who is not the
// daemon's; 64 KiB of body, 16 KiB of header, 10 s to send either. Who is one too
// many is told so by 503, or closed if even those who are told become many.
//
// # Goroutines and locks
//
// One goroutine per connection, and net/http's reader that hears of a client
// that goes; Server.Close ends and awaits them. Hub.mu guards devices and
// subscriptions; nothing blocks, and no function of Config is called, under it.
package control
