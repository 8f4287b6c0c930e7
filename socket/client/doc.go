// Package client is the other end of the usbmuxd socket: it asks any usbmuxd,
// this project's, the C one or Apple's, for devices, events, pair records and
// connections. Package socket describes the protocol.
//
// Requests are property lists. Each goes out on a connection of its own, as
// libusbmuxd does it, so that a daemon that closes after an answer, or treats a
// connection as used up after an error, makes no difference. A reply is at most
// 1 MiB and must carry the request's tag. What a daemon sends is not trusted: a
// device without an id or a UDID is passed over, anything else that is odd is an
// ErrProtocol.
package client
