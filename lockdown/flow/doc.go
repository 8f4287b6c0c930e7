// Package flow drives the trust machine of one phone: it connects, asks, pairs,
// saves and listens as the machine says, and reports what is found out.
//
// # Goroutines
//
// Run is the only user of the machine and of the connection to lockdownd. One
// more goroutine hears notifications while that is of use; Run ends it. The other
// methods only leave word for Run and may be called from any goroutine.
//
// # Keys
//
// Pairing takes two RSA keys a phone. Keys makes one pair ahead, so that asking
// takes none of the time in which a person looks at the phone; the answer takes
// none in any case, since every attempt of one pairing offers the same record.
package flow
