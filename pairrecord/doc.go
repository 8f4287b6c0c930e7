// Package pairrecord keeps pair records: one property list for each trusted
// phone, and the host's own identity (the BUID), below one directory that it
// shares with libimobiledevice and with the C usbmuxd.
//
// # Layout
//
//	/var/lib/lockdown/                  0755 when made here, else as found
//	    SystemConfiguration.plist       dictionary; SystemBUID is the host's BUID
//	    <UDID>.plist                    0600; pair record, XML, libplist layout
//	    .gomuxd-<16 hex>.tmp            0600; a save under way, or one that crashed
//	    .replaced/                      0700; earlier versions
//	        <UDID>.plist.<UTC time>.<reason>
//
// The names of temporary files and of earlier versions do not end in ".plist",
// so a program that lists the directory takes neither for a record.
//
// # Decisions
//
// An id is checked against the shapes a UDID has before it is joined to a
// path, and the directory is held as an os.Root, so neither an id nor a planted
// symbolic link leads outside it (CVE-2025-66004 in the C daemon). Only regular
// files are read, up to [MaxSize] bytes.
//
// A file changes only by rename from a complete, synced temporary file, so a
// crash or a full disk leaves either the whole old or the whole new version.
// The version that a Save, Delete or SetAside takes away stays in .replaced,
// up to [MaxCopies] for a phone and [MaxAllCopies] in all; among them the
// newest complete one (with private key and escrow bag) goes last, because a
// locked supervised phone may give a record without escrow bag, and the one it
// replaced is then the only way back.
//
// The C daemon writes records readable by everybody (0644), private keys
// included. Records here are 0600, and those found wider are narrowed at Open
// if they are ours.
//
// The BUID is made once and never again: a SystemConfiguration.plist that
// cannot be read is an error, since a new BUID makes every phone ask for trust
// anew.
//
// Keys and certificates never appear in an error or a log line.
//
// Sources: behaviour of usbmuxd (src/conf.c) and libimobiledevice
// (common/userpref.c), as seen from outside.
package pairrecord
