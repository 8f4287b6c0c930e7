package mux

import (
	"encoding/binary"
	"fmt"
)

const (
	protoVersion = 0
	protoControl = 1
	protoSetup   = 2
	protoTCP     = 6
)

const (
	magic = 0xfeedface

	shortHeaderLen = 8  // version 1, and the version exchange
	longHeaderLen  = 16 // version 2
	tcpHeaderLen   = 20
	versionLen     = shortHeaderLen + 12

	// maxFrameIn is the longest mux packet accepted from a phone, in bytes with
	// its headers. Phones send up to 32,764; the reference reassembles up to this.
	maxFrameIn = 65536

	// maxFrameOut is the longest mux packet sent, in bytes with its headers.
	maxFrameOut = 48 << 10
)

// MaxPayload is the largest TCP payload, in bytes, of one packet to the phone:
// 48 KiB less the 16-byte mux header and the 20-byte TCP header. It holds for
// version 1 too, as in the reference.
const MaxPayload = maxFrameOut - longHeaderLen - tcpHeaderLen

const (
	windowShift = 8
	// window is the receive window that we advertise, in bytes.
	window = 512 << windowShift
	// smallWindow is that of DialSmall: the largest segment that phones send fits.
	smallWindow = 128 << windowShift
)

const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// header is a mux packet's header. magic, tx and rx are zero in the short form.
type header struct {
	proto, length uint32
	magic         uint32
	tx, rx        uint16
}

// decodeHeader reads the first bytes of b, of which there must be at least
// size: shortHeaderLen or longHeaderLen.
func decodeHeader(b []byte, size int) header {
	h := header{
		proto:  binary.BigEndian.Uint32(b[0:]),
		length: binary.BigEndian.Uint32(b[4:]),
	}
	if size == longHeaderLen {
		h.magic = binary.BigEndian.Uint32(b[8:])
		h.tx = binary.BigEndian.Uint16(b[12:])
		h.rx = binary.BigEndian.Uint16(b[14:])
	}
	return h
}

// encode writes size header bytes to b and returns size.
func (h header) encode(b []byte, size int) int {
	binary.BigEndian.PutUint32(b[0:], h.proto)
	binary.BigEndian.PutUint32(b[4:], h.length)
	if size == longHeaderLen {
		binary.BigEndian.PutUint32(b[8:], h.magic)
		binary.BigEndian.PutUint16(b[12:], h.tx)
		binary.BigEndian.PutUint16(b[14:], h.rx)
	}
	return size
}

// segment is a TCP header. window is in bytes.
type segment struct {
	src, dst uint16
	seq, ack uint32
	flags    uint8
	window   uint32
}

// decodeSegment reads a TCP header from b and returns it with the payload,
// which starts where the header's data offset says.
func decodeSegment(b []byte) (segment, []byte, error) {
	if len(b) < tcpHeaderLen {
		return segment{}, nil, fmt.Errorf("%w: TCP packet of %d bytes", ErrProtocol, len(b))
	}
	offset := int(b[12]>>4) * 4
	if offset < tcpHeaderLen || offset > len(b) {
		return segment{}, nil, fmt.Errorf("%w: TCP data offset %d in a packet of %d bytes", ErrProtocol, offset, len(b))
	}
	return segment{
		src:    binary.BigEndian.Uint16(b[0:]),
		dst:    binary.BigEndian.Uint16(b[2:]),
		seq:    binary.BigEndian.Uint32(b[4:]),
		ack:    binary.BigEndian.Uint32(b[8:]),
		flags:  b[13],
		window: uint32(binary.BigEndian.Uint16(b[14:])) << windowShift,
	}, b[offset:], nil
}

// encode writes tcpHeaderLen bytes to b. Checksum and urgent pointer are zero,
// as both sides always leave them.
func (g segment) encode(b []byte) {
	binary.BigEndian.PutUint16(b[0:], g.src)
	binary.BigEndian.PutUint16(b[2:], g.dst)
	binary.BigEndian.PutUint32(b[4:], g.seq)
	binary.BigEndian.PutUint32(b[8:], g.ack)
	b[12] = tcpHeaderLen / 4 << 4
	b[13] = g.flags
	binary.BigEndian.PutUint16(b[14:], uint16(g.window>>windowShift))
	binary.BigEndian.PutUint32(b[16:], 0)
}
