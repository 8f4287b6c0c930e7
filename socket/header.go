package socket

import "encoding/binary"

const (
	// headerSize is the length of every message's header in bytes.
	headerSize = 16

	// maxMessage is the longest request in bytes, header included, that usbmuxd
	// takes; exactly this much is still accepted.
	maxMessage = 64 << 10
)

// Versions of the protocol in a header.
const (
	versionBinary = 0
	versionPlist  = 1
)

// Message types in a header.
const (
	msgResult   = 1
	msgConnect  = 2
	msgListen   = 3
	msgAttached = 4
	msgDetached = 5
	msgPaired   = 6
	msgPlist    = 8
)

// Result numbers. The pair-record requests use errno values instead, of which
// only errInvalid is produced here.
const (
	resultOK         = 0
	resultBadCommand = 1
	resultBadDevice  = 2
	resultRefused    = 3
	resultBadVersion = 6

	errInvalid = 22 // EINVAL: a pair-record request without its arguments
)

// header is the first 16 bytes of a message.
type header struct {
	length  uint32 // bytes of the whole message, these 16 included
	version uint32
	message uint32
	tag     uint32
}

func decodeHeader(b *[headerSize]byte) header {
	return header{
		length:  binary.LittleEndian.Uint32(b[0:]),
		version: binary.LittleEndian.Uint32(b[4:]),
		message: binary.LittleEndian.Uint32(b[8:]),
		tag:     binary.LittleEndian.Uint32(b[12:]),
	}
}

// sane reports whether the announced length can be a request's.
func (h header) sane() bool { return h.length >= headerSize && h.length <= maxMessage }

// append appends the encoded header to dst. It does not allocate if dst has room.
func (h header) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, h.length)
	dst = binary.LittleEndian.AppendUint32(dst, h.version)
	dst = binary.LittleEndian.AppendUint32(dst, h.message)
	return binary.LittleEndian.AppendUint32(dst, h.tag)
}

// appendPlist appends a property-list message with the given payload to dst.
func appendPlist(dst []byte, tag uint32, payload []byte) []byte {
	h := header{length: uint32(headerSize + len(payload)), version: versionPlist, message: msgPlist, tag: tag}
	return append(h.append(dst), payload...)
}
