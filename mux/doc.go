// Package mux speaks Apple's USB multiplexing protocol: TCP connections from
// this host to ports of a phone, carried over one pair of bulk endpoints.
//
// # Frames
//
// Every mux packet starts with a big-endian header. Its length counts the
// headers too. Version 1 of the protocol, and the version exchange of either
// version, use the short form.
//
//	 0       4       8       12    14    16
//	+-------+-------+-------+-----+-----+
//	| proto | length| magic | tx  | rx  |     version 2: 16 bytes
//	+-------+-------+-------+-----+-----+
//	+-------+-------+
//	| proto | length|                         version 1: 8 bytes
//	+-------+-------+
//
//	proto 0 VERSION   u32 major, u32 minor, u32 zero
//	proto 1 CONTROL   phone to host: one level byte (3, 5, 7) and a text
//	proto 2 SETUP     host to phone: the byte 0x07
//	proto 6 TCP       a 20-byte TCP header without options, then data
//
// magic is 0xfeedface. tx numbers the packets of a sender from 0, which is
// SETUP; rx is the last tx the sender has seen, 0xffff at first. Neither side
// relies on rx. One OUT transfer is exactly one mux packet.
//
// # Sequence of a session
//
//	host                                   phone
//	VERSION 2.0, 8-byte header       ->
//	                                 <-    VERSION, 8-byte header
//	SETUP (version 2 only)           ->
//	SYN                              ->
//	                                 <-    SYN+ACK, or RST when nothing listens
//	ACK                              ->
//	data, ACK                        <->   data, ACK
//	RST                              ->    (or <- RST, with an optional text)
//
// The host's initial sequence number is 0. Windows are in units of 256 bytes.
// Nothing is ever retransmitted: USB is reliable and in order. The ack number
// that we send is what the reader of the Conn has taken, not what has arrived;
// that is the whole back-pressure towards the phone.
//
// # Quirks
//
// A phone keeps its mux state while the host's daemon restarts, so packets of
// the old session may precede its VERSION reply; they carry the magic and are
// dropped. Packets may be split over several IN transfers and several may share
// one; only the announced length counts. Phones send packets of up to 32,764
// bytes and end a stream that gets a packet of 65,536 bytes or more.
//
// Sources: observation of the protocol as the reference usbmuxd speaks it, and
// its public issue reports.
package mux
