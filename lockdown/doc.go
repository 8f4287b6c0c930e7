// Package lockdown is the host's side of the lockdownd dialogue: asking a phone
// what it is, pairing with it, opening a TLS session and starting services. It
// does no I/O but the connections it is given a dialer for, keeps no state
// between connections and writes nothing to disk: what Pair returns is for the
// caller to save.
//
// # Wire
//
// lockdownd listens on TCP port 62078. Both sides send property lists, each
// behind its length; one request, one reply, in order:
//
//	 0       1       2       3       4
//	+-------+-------+-------+-------+--------------------------------+
//	| length of the list, uint32 BE | property list, XML or binary   |
//	+-------+-------+-------+-------+--------------------------------+
//
// Requests leave as XML in one Write; replies may be either kind. A reply
// longer than MaxMessage, or of length 0, ends the connection.
//
//	host                                              phone
//	{Label, Request: QueryType}                  ──▶
//	                                             ◀──  {Request: QueryType, Type}
//	{Label, Request: GetValue, Key, [Domain]}    ──▶
//	                                             ◀──  {Request: GetValue, Key, Value}
//	{Label, Request: Pair, PairRecord, ...}      ──▶
//	                                             ◀──  {Request: Pair, Error: PairingDialogResponsePending}
//	                                             ◀──  or {Request: Pair, EscrowBag}
//	{Label, Request: StartSession, HostID, ...}  ──▶
//	                                             ◀──  {Request: StartSession, SessionID, EnableSessionSSL}
//	TLS handshake, the host as client            ◀─▶
//	{Label, Request: StartService, Service}      ──▶
//	                                             ◀──  {Request: StartService, Port, EnableServiceSSL}
//
// # Trust
//
// Pairing makes a little certificate authority per host and phone. The host
// makes a root key and a host key, takes the phone's public key and signs three
// certificates; the phone keeps the certificates, the host keeps those and the
// two private keys (the pair record). In TLS the host shows the root
// certificate, as libimobiledevice does, and the phone shows a certificate for
// its own key. Names are empty and serials 0, so there is no chain worth the
// name to verify: this package instead pins the phone's key to the record's
// DeviceCertificate, which the C tools do not.
//
// # Quirks
//
//   - iOS 1 to 4 answer with Result (Success or Failure) and put the name into
//     Error; iOS 5 and later leave Result out and only errors carry Error.
//   - Below iOS 4 certificates are signed with SHA-1, later with SHA-256. So they
//     are for a phone that does not tell its version; libimobiledevice takes SHA-1
//     then.
//   - Below iOS 10 the phone may stumble over a modern ClientHello: TLS 1.0 is
//     all that is offered. watchOS and visionOS count their own years (watchOS 3
//     and visionOS 1 are already newer), so the class decides too.
//   - iOS 7 and later show the Trust dialog: Pair answers
//     PairingDialogResponsePending until the user has tapped. PasswordProtected
//     instead says that the phone is locked and shows nothing yet.
//   - ValidatePair is needed up to iOS 6 only; from iOS 7 on StartSession is the
//     test of a record.
//   - With ExtendedPairingErrors the phone names why it refuses; a supervised
//     phone then sends the PairingChallenge with MCChallengeRequired.
//   - A locked supervised phone may accept a pairing and send no EscrowBag. Such
//     a record opens no service that needs it: do not replace a fuller one.
//   - Phones drop the TCP connection without close_notify.
//   - In TLS 1.3 the phone's objection to our certificate arrives only with the
//     answer to the first request.
//   - Values that an unpaired host may not read are GetProhibited, or are just
//     missing from the reply.
//
// # Sources
//
// Names and numbers of the errors: libimobiledevice's public header lockdown.h.
// Requests, pairing parameters and quirks: notes on what the C usbmuxd,
// libimobiledevice, pymobiledevice3 and go-ios send and expect. Quirks of systems
// before iOS 10 come from those notes alone.
package lockdown
