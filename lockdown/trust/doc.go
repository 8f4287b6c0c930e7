// Package trust is the trust state machine of one phone: what has been seen of
// it, which state that is, and what to do next. It does no I/O and reads no
// clock; package flow drives it.
package trust
