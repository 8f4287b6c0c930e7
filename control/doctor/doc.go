// Package doctor finds out why a phone does not work, in the order in which a
// person would look: the cable first, the pairing last.
//
//	sysfs, /dev, /proc, sockets, record directory, daemon
//	    │ Gather   looks and never fails; notes what it could not see
//	    ▼
//	  Facts        plain data, JSON
//	    │ Judge    pure: no clock, no files
//	    ▼
//	  Report       checks, one verdict, a ladder of remedies; JSON
//	    │ Render, WriteReport
//	    ▼
//	terminal, or a file for a bug report without secrets
//
// A check says what was found, what that means and what to do, and on what
// evidence: seen, inferred, or not to be told from here. The first problem in
// the order of the checks is the verdict, since what lies behind it cannot work
// either.
//
// All but the checks of trust need no daemon. No pair record is ever read: of
// the record directory only names, modes and times are looked at, what is in the
// records is asked of the daemon.
//
// Names that a phone, a device in another port or a file system gave are foreign
// text. Judge and Render let no control character, no invalid UTF-8 and no name
// longer than maxName through.
package doctor
