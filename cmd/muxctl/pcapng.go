package main

import (
	"encoding/binary"
	"io"
	"time"
)

// pcapng writes a capture file of one section, as Wireshark reads it.
// Source: IETF draft-ietf-opsawg-pcapng; numbers are little-endian here.
type pcapng struct {
	w   io.Writer
	buf []byte // reused
}

// Block types, link types and option codes of the draft.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6

	linkRaw   = 101 // an IPv4 or IPv6 packet
	linkUser0 = 147 // for private use

	optComment     = 1
	optOS          = 3 // of a section
	optApplication = 4
	optName        = 2 // of an interface
	optDescription = 3
	optResolution  = 9
	optFlags       = 2 // of a packet
	optDropCount   = 4
	optStart       = 2 // of statistics
	optEnd         = 3
	optReceived    = 4
	optDropped     = 5
)

// pcapngPacket is one packet of a file.
type pcapngPacket struct {
	iface   uint32 // number of the interface, in the order in which they were written
	time    time.Time
	data    []byte // as much as was captured
	length  int    // on the wire
	out     bool   // from this computer, else to it
	dropped uint32 // packets since the one before that are missing
	comment string // may be empty
}

// section begins the file.
func (p *pcapng) section(application string) error {
	return p.block(blockSection, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint32(b, 0x1a2b3c4d)
		b = append(b, 1, 0, 0, 0)                                   // version 1.0
		b = binary.LittleEndian.AppendUint64(b, 0xffffffffffffffff) // of a length that is not known
		b = option(b, optOS, []byte("Linux"))
		b = option(b, optApplication, []byte(application))
		return endOptions(b)
	})
}

// add describes the next interface.
func (p *pcapng) add(link uint16, name, description string) error {
	return p.block(blockInterface, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint16(b, link)
		b = append(b, 0, 0, 0, 0, 0, 0) // reserved; packets of any length
		b = option(b, optName, []byte(name))
		b = option(b, optDescription, []byte(description))
		b = option(b, optResolution, []byte{9}) // nanoseconds
		return endOptions(b)
	})
}

func (p *pcapng) packet(k pcapngPacket) error {
	return p.block(blockPacket, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint32(b, k.iface)
		b = appendTime(b, k.time)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(k.data)))
		b = binary.LittleEndian.AppendUint32(b, uint32(k.length))
		b = align(append(b, k.data...))
		if k.comment != "" {
			b = option(b, optComment, []byte(k.comment))
		}
		flags := byte(1) // inbound
		if k.out {
			flags = 2
		}
		b = option(b, optFlags, []byte{flags, 0, 0, 0})
		if k.dropped > 0 {
			b = option(b, optDropCount, binary.LittleEndian.AppendUint64(nil, uint64(k.dropped)))
		}
		return endOptions(b)
	})
}

// statistics ends an interface: how many packets are in the file, and how many are
// missing.
func (p *pcapng) statistics(iface uint32, start, end time.Time, received, dropped uint64) error {
	return p.block(blockStatistics, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint32(b, iface)
		b = appendTime(b, end)
		b = option(b, optStart, appendTime(nil, start))
		b = option(b, optEnd, appendTime(nil, end))
		b = option(b, optReceived, binary.LittleEndian.AppendUint64(nil, received))
		b = option(b, optDropped, binary.LittleEndian.AppendUint64(nil, dropped))
		return endOptions(b)
	})
}

// block writes a block whose body fill appends.
func (p *pcapng) block(kind uint32, fill func([]byte) []byte) error {
	b := binary.LittleEndian.AppendUint32(p.buf[:0], kind)
	b = fill(append(b, 0, 0, 0, 0))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)+4))
	copy(b[4:8], b[len(b)-4:])
	p.buf = b
	_, err := p.w.Write(b)
	return err
}

func appendTime(b []byte, t time.Time) []byte {
	n := uint64(t.UnixNano())
	b = binary.LittleEndian.AppendUint32(b, uint32(n>>32))
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

// maxOption is the longest value of an option, in bytes.
const maxOption = 0xffff

func option(b []byte, code uint16, value []byte) []byte {
	value = value[:min(len(value), maxOption)]
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return align(append(b, value...))
}

func endOptions(b []byte) []byte { return append(b, 0, 0, 0, 0) }

// align fills up to a multiple of four bytes; a block begins at one.
func align(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }
