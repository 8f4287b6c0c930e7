package usbip

import (
	"encoding/binary"
	"fmt"
)

// Sizes and commands of the protocol. Source: the kernel's documentation of
// the USB/IP protocol, and its frames on a socket.
const (
	frameSize = 48 // bytes, every header
	isoSize   = 16 // bytes, descriptor of one isochronous packet

	commandSubmit    = 1
	commandUnlink    = 2
	commandSubmitted = 3
	commandUnlinked  = 4

	// flagZeroPacket asks for a zero-length packet after a full last packet.
	flagZeroPacket = 0x40

	noPackets = 0xffffffff // number of packets of a request that is not isochronous
)

// Bounds of what a host may send; a real one stays far below.
const (
	maxTransfer   = 1 << 20 // bytes of one request
	maxPending    = 512     // requests without an answer
	maxIsoPackets = 1024    // of one request
)

// Statuses of requests: negative errno values, which all Linux machines share.
const (
	statusOK        = 0
	statusStall     = -32  // EPIPE
	statusTransfer  = -71  // EPROTO: a device that does not answer on the bus
	statusBabble    = -75  // EOVERFLOW
	statusUnlinked  = -104 // ECONNRESET
	statusBadLength = -90  // EMSGSIZE
)

// request is one submit as it came.
type request struct {
	seq       uint32
	in        bool
	endpoint  byte // number, without direction
	flags     uint32
	length    int
	packets   int // isochronous packets
	setup     [8]byte
	unlinkSeq uint32 // of commandUnlink: which request
}

// parseFrame reads one frame of the host.
func parseFrame(b *[frameSize]byte) (command uint32, r request, err error) {
	word := func(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	command = word(0)
	r.seq = word(4)
	switch command {
	case commandUnlink:
		r.unlinkSeq = word(20)
		return command, r, nil
	case commandSubmit:
	default:
		return command, r, fmt.Errorf("%w: command %d", ErrProtocol, command)
	}
	if word(12) > 1 || word(16) > 15 {
		return command, r, fmt.Errorf("%w: direction %d of endpoint %d", ErrProtocol, word(12), word(16))
	}
	r.in = word(12) == 1
	r.endpoint = byte(word(16))
	r.flags = word(20)
	if word(24) > maxTransfer {
		return command, r, fmt.Errorf("%w: request of %d bytes", ErrProtocol, word(24))
	}
	r.length = int(word(24))
	if n := word(32); n != noPackets {
		if n > maxIsoPackets {
			return command, r, fmt.Errorf("%w: request of %d packets", ErrProtocol, n)
		}
		r.packets = int(n)
	}
	copy(r.setup[:], b[40:48])
	return command, r, nil
}

// putSubmitted writes the answer to r into the first bytes of b.
func putSubmitted(b []byte, r *request, status int32, actual int) {
	clear(b[:frameSize])
	binary.BigEndian.PutUint32(b, commandSubmitted)
	binary.BigEndian.PutUint32(b[4:], r.seq)
	binary.BigEndian.PutUint32(b[20:], uint32(status))
	binary.BigEndian.PutUint32(b[24:], uint32(actual))
	binary.BigEndian.PutUint32(b[32:], uint32(r.packets))
}

// putUnlinked writes the answer to the unlink with number seq.
func putUnlinked(b []byte, seq uint32, status int32) {
	clear(b[:frameSize])
	binary.BigEndian.PutUint32(b, commandUnlinked)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[20:], uint32(status))
}
