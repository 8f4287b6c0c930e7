package service

import (
	"encoding/binary"
	"fmt"
)

// maxManifest is the largest file, in bytes, that a phone keeps in memory during a
// restore: the manifest of MaxBackupFiles files fits.
const maxManifest = 4 << 20

// mbdbMagic opens a manifest: a name and version 5.0.
const mbdbMagic = "mbdb\x05\x00"

// A manifest is a row of records, all numbers big-endian. A string is a uint16 length
// and so many bytes, the length 0xffff for none:
//
//	| domain | path | link target | hash | key |     strings
//	| mode 2 | inode 8 | uid 4 | gid 4 | mtime 4 | atime 4 | ctime 4 | size 8 |
//	| protection class 1 | properties 1 | name | value | ...  two strings each
//
// iOS wrote it up to version 9 and has an SQLite file, Manifest.db, since; hosts leave
// both alone. Source: the public descriptions of Manifest.mbdb.
const (
	mbdbNone  = 0xffff
	mbdbFixed = 2 + 8 + 4 + 4 + 4 + 4 + 4 + 8 + 1 + 1 // bytes of a record without strings
)

// appendManifest appends the manifest of files to b.
func appendManifest(b []byte, files []backupFile) []byte {
	const (
		mode   = 0o100644
		mobile = 501 // uid and gid
		class  = 3   // protected until the first unlock
	)
	text := func(s string) {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	none := func() { b = binary.BigEndian.AppendUint16(b, mbdbNone) }
	b = append(b, mbdbMagic...)
	for i, f := range files {
		text(f.domain)
		text(f.path)
		none()
		none()
		none()
		b = binary.BigEndian.AppendUint16(b, mode)
		b = binary.BigEndian.AppendUint64(b, uint64(i+1))
		b = binary.BigEndian.AppendUint32(b, mobile)
		b = binary.BigEndian.AppendUint32(b, mobile)
		for range 3 {
			b = binary.BigEndian.AppendUint32(b, f.mtime)
		}
		b = binary.BigEndian.AppendUint64(b, f.size)
		b = append(b, class, 0)
	}
	return b
}

// parseManifest reads what appendManifest has written.
func parseManifest(b []byte) ([]backupFile, error) {
	if len(b) < len(mbdbMagic) || string(b[:len(mbdbMagic)]) != mbdbMagic {
		return nil, fmt.Errorf("%w: no manifest", ErrProtocol)
	}
	r := manifestReader{b: b[len(mbdbMagic):]}
	var files []backupFile
	for len(r.b) > 0 {
		if len(files) == MaxBackupFiles {
			return nil, fmt.Errorf("%w: manifest of more than %d files", ErrProtocol, MaxBackupFiles)
		}
		f := backupFile{domain: r.text(), path: r.text()}
		for range 3 {
			r.text()
		}
		fixed := r.take(mbdbFixed)
		if r.short {
			return nil, fmt.Errorf("%w: manifest ends within a record", ErrProtocol)
		}
		f.mtime = binary.BigEndian.Uint32(fixed[18:])
		f.size = binary.BigEndian.Uint64(fixed[30:])
		for range 2 * int(fixed[mbdbFixed-1]) {
			r.text()
		}
		if r.short || f.size > MaxBackupBytes {
			return nil, fmt.Errorf("%w: manifest ends within a record, or a file of %d bytes", ErrProtocol, f.size)
		}
		files = append(files, f)
	}
	return files, nil
}

// manifestReader takes values off b. short is set by whatever finds too little.
type manifestReader struct {
	b     []byte
	short bool
}

func (r *manifestReader) take(n int) []byte {
	if n > len(r.b) {
		r.short, r.b = true, nil
		return nil
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *manifestReader) text() string {
	head := r.take(2)
	if head == nil {
		return ""
	}
	n := binary.BigEndian.Uint16(head)
	if n == mbdbNone {
		return ""
	}
	return string(r.take(int(n)))
}
