package virtualphone

import (
	"encoding/binary"
)

// Mux protocols, the first word of every packet.
const (
	protoVersion = 0 // both ways, 8-byte header always
	protoControl = 1 // phone to host, level and text
	protoSetup   = 2 // host to phone, one byte 7
	protoTCP     = 6
)

// Sizes in bytes.
const (
	shortHeader = 8  // mux header before and without version 2
	longHeader  = 16 // mux header of version 2
	tcpHeader   = 20
	versionSize = shortHeader + 12
	setupByte   = 7

	// maxHostPacket is the largest packet a host sends: three 16 KiB transfers.
	maxHostPacket = 48 << 10
	// maxMessage is the largest message the phone's controller can take; iOS
	// drops the stream at 65536.
	maxMessage = 64<<10 - 1
	// maxPhonePacket is the largest packet seen from real phones.
	maxPhonePacket = 32764

	windowShift = 8
	// windowField is what both sides of the protocol advertise: 512 x 256 bytes.
	windowField = 512
	windowBytes = windowField << windowShift
	// smallWindowField is what a host may offer for one of many connections.
	smallWindowField = 128
)

// magic marks the 16-byte header of version 2.
const magic = 0xfeedface

// TCP flags in use.
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagPSH = 0x08
	flagACK = 0x10
)

// muxHeader is the head of one packet. Magic, tx and rx are zero in the short form.
type muxHeader struct {
	proto  uint32
	length uint32 // of the packet, headers included
	magic  uint32
	tx, rx uint16
}

// parseMux reads the short or long header at the start of b, which must hold it.
func parseMux(b []byte, long bool) muxHeader {
	h := muxHeader{proto: binary.BigEndian.Uint32(b), length: binary.BigEndian.Uint32(b[4:])}
	if long {
		h.magic = binary.BigEndian.Uint32(b[8:])
		h.tx = binary.BigEndian.Uint16(b[12:])
		h.rx = binary.BigEndian.Uint16(b[14:])
	}
	return h
}

// put writes h to b in the short or long form and returns its size.
func (h muxHeader) put(b []byte, long bool) int {
	binary.BigEndian.PutUint32(b, h.proto)
	binary.BigEndian.PutUint32(b[4:], h.length)
	if !long {
		return shortHeader
	}
	binary.BigEndian.PutUint32(b[8:], h.magic)
	binary.BigEndian.PutUint16(b[12:], h.tx)
	binary.BigEndian.PutUint16(b[14:], h.rx)
	return longHeader
}

// segment is the TCP header of one packet.
type segment struct {
	src, dst uint16
	seq, ack uint32
	offset   byte // header words; 5, there are no options
	flags    byte
	window   uint16 // in 256 bytes
	checksum uint16 // always 0
	urgent   uint16 // always 0
}

// parseSegment reads a TCP header from b, which must hold 20 bytes.
func parseSegment(b []byte) segment {
	return segment{
		src:      binary.BigEndian.Uint16(b),
		dst:      binary.BigEndian.Uint16(b[2:]),
		seq:      binary.BigEndian.Uint32(b[4:]),
		ack:      binary.BigEndian.Uint32(b[8:]),
		offset:   b[12] >> 4,
		flags:    b[13],
		window:   binary.BigEndian.Uint16(b[14:]),
		checksum: binary.BigEndian.Uint16(b[16:]),
		urgent:   binary.BigEndian.Uint16(b[18:]),
	}
}

// put writes s to b, which must have room for 20 bytes.
func (s segment) put(b []byte) {
	binary.BigEndian.PutUint16(b, s.src)
	binary.BigEndian.PutUint16(b[2:], s.dst)
	binary.BigEndian.PutUint32(b[4:], s.seq)
	binary.BigEndian.PutUint32(b[8:], s.ack)
	b[12] = s.offset << 4
	b[13] = s.flags
	binary.BigEndian.PutUint16(b[14:], s.window)
	binary.BigEndian.PutUint16(b[16:], s.checksum)
	binary.BigEndian.PutUint16(b[18:], s.urgent)
}

// ahead reports how far sequence number a is after b; negative when before.
func ahead(a, b uint32) int32 { return int32(a - b) }
