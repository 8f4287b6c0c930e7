package service

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// What a phone has for a backup unless it is told otherwise, and the most it takes.
const (
	DefaultBackupFiles = 24
	DefaultBackupBytes = 4 << 20
	MaxBackupFiles     = 16 << 10
	MaxBackupBytes     = 16 << 30
)

// backupEpoch is when the oldest file was changed, in seconds since 1970.
const backupEpoch = 1_700_000_000

// backupFile is one file of a backup. Its bytes are Fill's for the seed that follows
// from its name, so whoever knows the name and the size knows every byte.
type backupFile struct {
	domain, path string
	size         uint64
	mtime        uint32 // seconds since 1970
}

// digest is the SHA-1 of the file's full name, which iOS names it by in a backup.
func (f *backupFile) digest() [sha1.Size]byte { return sha1.Sum([]byte(f.domain + "-" + f.path)) }

// id is the digest in hex.
func (f *backupFile) id() string {
	d := f.digest()
	return hex.EncodeToString(d[:])
}

// seed is the seed of the file's bytes.
func (f *backupFile) seed() uint64 {
	d := f.digest()
	return binary.BigEndian.Uint64(d[:])
}

// edgeSizes are sizes in bytes at which streams break.
var edgeSizes = []uint64{0, 1, 2, linkBuffer - 1, linkBuffer, linkBuffer + 1, 32 << 10, 4095}

// makeBackupFiles makes count files, at least one, of size bytes together: first those
// of edgeSizes if there is room, then the rest, spread unevenly. The same arguments
// give the same files.
func makeBackupFiles(count int, size uint64) []backupFile {
	places := []struct{ domain, path string }{
		{"CameraRollDomain", "Media/DCIM/100APPLE/IMG_%04d.HEIC"},
		{"HomeDomain", "Library/Notes/note-%d.txt"},
		{"AppDomain-org.example.notes", "Documents/sketch %d.dat"},
		{"MediaDomain", "Library/SMS/Attachments/%d/größe.bin"},
	}
	files := make([]backupFile, count)
	for i := range files {
		p := places[i%len(places)]
		files[i] = backupFile{domain: p.domain, path: fmt.Sprintf(p.path, i+1), mtime: backupEpoch + uint32(i)}
	}
	var edges uint64
	for _, n := range edgeSizes {
		edges += n
	}
	rest := files
	if count > len(edgeSizes) && size >= edges {
		for i, n := range edgeSizes {
			files[i].size = n
		}
		size -= edges
		rest = files[len(edgeSizes):]
	}
	weight := func(i int) uint64 { return 1 + mix(uint64(i))%15 }
	var weights uint64
	for i := range rest {
		weights += weight(i)
	}
	left := size
	for i := range rest {
		rest[i].size = size / weights * weight(i)
		left -= rest[i].size
	}
	rest[len(rest)-1].size += left
	return files
}
