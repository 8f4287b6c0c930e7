package service

import (
	"encoding/binary"
	"fmt"
)

const (
	// afcMagic opens every packet in both directions.
	afcMagic = "CFA6LPAA"

	// afcHeader is the size of a packet's header in bytes.
	afcHeader = 40

	// maxArgs is the most bytes that may follow a header, except in a write: three
	// numbers and two paths.
	maxArgs = 3*8 + 2*(maxPath+1)

	// maxPacket is the largest packet in bytes. A longer one ends the connection.
	maxPacket = fsCapacity + afcHeader + 8
)

// operation is what a packet asks for or answers.
//
// Source: the operation numbers that independent clients publish; libimobiledevice
// keeps them in a private header.
type operation uint64

const (
	opStatus       operation = 0x01 // answer: status
	opData         operation = 0x02 // answer: bytes
	opReadDir      operation = 0x03 // path
	opTruncate     operation = 0x07 // size, path
	opRemovePath   operation = 0x08 // path
	opMakeDir      operation = 0x09 // path
	opFileInfo     operation = 0x0a // path
	opDeviceInfo   operation = 0x0b
	opFileOpen     operation = 0x0d // mode, path
	opFileOpenRes  operation = 0x0e // answer: handle
	opFileRead     operation = 0x0f // handle, length
	opFileWrite    operation = 0x10 // handle, bytes
	opFileSeek     operation = 0x11 // handle, whence, offset
	opFileTell     operation = 0x12 // handle
	opFileTellRes  operation = 0x13 // answer: offset
	opFileClose    operation = 0x14 // handle
	opFileSetSize  operation = 0x15 // handle, size
	opSetOptions   operation = 0x17 // options of the connection
	opRename       operation = 0x18 // path, path
	opSetFSBlock   operation = 0x19 // size
	opSetSockBlock operation = 0x1a // size
	opFileLock     operation = 0x1b // handle, lock operation
	opMakeLink     operation = 0x1c // type, target, path
	opSetTime      operation = 0x1e // ns, path
	opRemoveAll    operation = 0x22 // path
	linkHard                 = 1    // type of opMakeLink
	linkSymbolic             = 2
)

// packet is a decoded header.
//
//	0        8              16            24             32         40
//	| magic  | entire length | this length | packet number | operation | ...
//
// All numbers are little-endian uint64. The entire length counts from the magic to
// the end of the packet; this length leaves out what the sender appended as bulk
// data, a difference without a meaning to the receiver.
type packet struct {
	entire, this, number uint64
	op                   operation
}

// parsePacket decodes a header. Its error wraps ErrProtocol.
func parsePacket(h *[afcHeader]byte) (packet, error) {
	p := packet{
		entire: binary.LittleEndian.Uint64(h[8:]),
		this:   binary.LittleEndian.Uint64(h[16:]),
		number: binary.LittleEndian.Uint64(h[24:]),
		op:     operation(binary.LittleEndian.Uint64(h[32:])),
	}
	if string(h[:8]) != afcMagic {
		return p, fmt.Errorf("%w: afc magic %q", ErrProtocol, h[:8])
	}
	if p.this < afcHeader || p.this > p.entire || p.entire > maxPacket {
		return p, fmt.Errorf("%w: afc packet of %d bytes, %d of them its own", ErrProtocol, p.entire, p.this)
	}
	return p, nil
}

// append appends the header's wire form to b.
func (p packet) append(b []byte) []byte {
	b = append(b, afcMagic...)
	b = binary.LittleEndian.AppendUint64(b, p.entire)
	b = binary.LittleEndian.AppendUint64(b, p.this)
	b = binary.LittleEndian.AppendUint64(b, p.number)
	return binary.LittleEndian.AppendUint64(b, uint64(p.op))
}

// args takes apart what follows a header. After the first thing that is missing, bad
// is set and all further ones are zero.
type args struct {
	b   []byte
	bad bool
}

// num takes a number.
func (a *args) num() uint64 {
	if len(a.b) < 8 {
		a.bad, a.b = true, nil
		return 0
	}
	n := binary.LittleEndian.Uint64(a.b)
	a.b = a.b[8:]
	return n
}

// str takes a string up to its NUL; the packet's end will do too.
func (a *args) str() string {
	for i, c := range a.b {
		if c == 0 {
			s := string(a.b[:i])
			a.b = a.b[i+1:]
			a.bad = a.bad || s == ""
			return s
		}
	}
	s := string(a.b)
	a.b = nil
	a.bad = a.bad || s == ""
	return s
}
