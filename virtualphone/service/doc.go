// Package service holds the services of a virtual iPhone: what answers once a
// host has a connection to one of the phone's ports. A service is a Handler; the
// phone decides on which port it listens and who may start it.
//
// Four kinds of protocol are spoken here:
//
//   - property lists behind a 4-byte big-endian length (frame.go): notification
//     proxy, heartbeat, diagnostics relay, and the phone's lockdownd elsewhere;
//   - AFC, the Apple File Conduit, with a 40-byte little-endian header
//     (afc_packet.go), over an in-memory file system (fs*.go);
//   - device link, arrays of property lists and raw file streams (devicelink*.go):
//     backup and restore (backup*.go);
//   - plain bytes: the syslog relay, and the echo, source, sink and discard test
//     services (bulk.go), which no real phone has.
//
// The handlers trust nothing the host sends: lengths are checked before memory is
// taken, every table has a limit, and a malformed message ends that connection
// alone. They need no deadlines of the net.Conn, only that Close unblocks Read and
// Write.
//
// Protocol facts come from public descriptions of the services: the API pages of
// libimobiledevice (afc.h, notification_proxy.h, diagnostics_relay.h, heartbeat.h,
// syslog_relay.h), the protocol constants published by several independent
// clients, and what the tools send on the wire.
package service
