// Package socket speaks the usbmuxd client protocol on Unix and TCP sockets:
// it holds the registry of attached devices, tells listening clients about
// them, serves pair records and turns a client's connection into a byte pipe
// to a TCP port of a device.
//
// # Frames
//
// Every message, request or reply, starts with four little-endian 32-bit words:
//
//	0        4        8        12       16
//	+--------+--------+--------+--------+---- - - -
//	| length | version| message|  tag   | payload
//	+--------+--------+--------+--------+---- - - -
//
// length counts the header. Version 1 with message 8 carries a property list;
// version 0 is the older binary form with the messages 1 Result, 2 Connect,
// 3 Listen, 4 attached, 5 detached and 6 paired. A reply repeats the request's
// tag, an event has tag 0. Once a client has sent a property list, everything
// it receives is a property list. Requests longer than 64 KiB are refused.
//
// # A client's life
//
//	            Listen                      a request, EOF
//	command ────────────▶ listening ───────────────────────▶ closed
//	 │   ▲                                                     ▲
//	 │   └── Result 3 ──┐                                      │
//	 └── Connect ──▶ connecting ──▶ Result 0 ──▶ connected ────┘
//
// Requests may be joined, split or sent ahead; they are read one at a time and
// byte-exact, so what follows a Connect request stays in the kernel until it
// can be forwarded. After Result 0 nothing but the device's bytes is written.
//
// Goroutines: one handler per client, started by Serve; a listening client adds
// a writer, which the handler waits for. A connected client's handler makes way
// for one that copies to the device, whose stack stays half as large while the
// client is silent; what a client does not take at once another one copies, which
// that one waits for. A request for a record runs beside its handler, so that the
// answer has a time limit; one more goroutine per server hears of clients that hang
// up while their handlers wait for something else. Server.Close waits for all of them.
//
// # The end of a connection
//
//	the client closes         what it sent reaches the device, then Conn.Close
//	the client shuts down     Conn.CloseWrite; the device's data still flows
//	(TCP cannot tell these two: it is the second, until the device is silent)
//	the device resets, leaves what it sent reaches the client, then both ways shut
//	the device sends a FIN    shut down towards the client, which may go on sending
//
// # Locks
//
// Registry.mu guards devices, ids and the set of listeners; listener.mu guards
// one queue and is taken inside it. Server.mu guards the sets of listening
// sockets and clients. No lock is held over I/O, a Dial or a call of Records.
//
// # Sources
//
// The behaviour of usbmuxd 1.1.1 (HEAD 2efa75a) and of the clients libusbmuxd
// 93eb168, pymobiledevice3 62e2957, go-ios 3ebc297, tidevice 7bfd4d6, Frida's
// fruity backend and others, observed and described in our own words.
//
// # Quirks of known clients
//
//   - libusbmuxd takes a header that arrives in pieces as a failure: every
//     message is one write. One device entry without SerialNumber or with an
//     odd ConnectionType spoils its whole list: entries are complete or absent.
//     It stops at DeviceID 0 and waits for IN_CREATE of the socket's name.
//   - pymobiledevice3 picks its protocol from the version word of the first
//     reply, compares tags strictly and needs an answer, not a close, for a
//     missing record.
//   - go-ios takes a reply without Number for success and the first entry with
//     the wanted UDID: USB comes before Network.
//   - Frida wants tag 0 in events.
//   - usbfluxd renames our socket: Close unlinks the path only if it is ours.
package socket
