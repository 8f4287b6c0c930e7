// Package virtualphone is a whole iPhone in software: the device side of the
// USB multiplexer, lockdownd with its Trust dialog and the person in front of
// it, services, and faults on demand. Tests and the demo plug it into the
// daemon; a USB/IP server plugs it into a kernel.
//
// Its mux codec is written from the protocol notes and shares nothing with
// package mux, so that a mistake made once cannot hide on both ends. It polices
// the host: every breach of the protocol is counted by kind, see [Violations].
//
// # Layers
//
//	Cable      bulk transfers: gathers OUT messages, cuts IN messages, ZLP rule
//	link       one host's mux session: VERSION, SETUP, sequence numbers, segments
//	conn       one TCP-like connection, given to a service as a net.Conn
//	lockdownd  port 62078: values, pairing, TLS sessions, starting services
//	Phone      what outlives a plug: hosts it trusts, lock state, dialog, faults
//
// # Frames
//
// All words are big-endian. The 16-byte mux header is used after a VERSION
// reply of major 2, the 8-byte one (first row) before it and with major 1:
//
//	 0        4        8        12   14   16
//	| proto  | length |feedface| tx | rx |
//	| sport dport | seq | ack | off flags window | checksum urgent |   proto 6
//	| major  | minor  | zero   |                                       proto 0
//	| level  | text ...                                                proto 1
//	| 07     |                                                         proto 2
//
// The window field counts 256 bytes. Both sides start at sequence number 0;
// a connection ends by RST, which may carry a text.
//
// # Trust
//
// What a person does at the phone are the methods TapTrust, TapDontTrust,
// DismissDialog, EnterPasscode, CancelPasscode, Lock, Unlock, the Resets, EraseAll
// and FinishSetup. How the phone takes it is its [Behavior]: a dialog that comes
// late or goes away by itself, an answer it loses, notifications that come early,
// USB that it refuses while locked. What lockdownd does wrong is told it request by
// request: [Phone.FailNext], [Phone.SilenceNext], [Phone.GarbageNext], and
// [Phone.RefuseTLS] for the handshake after a good reply. [Preset] has devices of
// each kind. [State] and [Stats] tell what came of it: dialogs, denials, requests.
//
// Trust outlives plugs and reboots; so does what is told to lockdownd. An unplug
// forgets a denial and a lost answer, a reboot also a Trust that no Pair has fetched.
// [Phone.Memory] carries it, with the lock, over the end of the process.
//
// Not known of real phones, and chosen: that a tap or a denial posts request_pair
// (off), how long a dialog stays (for ever), that sessions of a forgotten host go
// on, that hosts which paired in setup stay trusted after it.
//
// # Locks
//
// Phone.mu guards lock state, dialog and hosts; Cable.mu guards the transfers,
// the link and all of its conns. Neither is held while the other is taken.
// The smaller locks (listeners, violations) are leaves below both. No callback
// and no service runs under a lock.
//
// # Goroutines
//
// One goroutine serves each accepted connection; it is started by the link and
// waited for by Phone.Close. The data path itself has none: OUT transfers run
// on the caller's goroutine, IN transfers pull, or are called when it is worth while
// (Cable.OnIn).
package virtualphone
