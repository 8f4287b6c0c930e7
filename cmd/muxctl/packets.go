package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"time"

	"gomuxd/control"
)

// The multiplexer's TCP has no IP below it. In a capture each end has an address
// from the range for private use.
var (
	hostAddress  = netip.MustParseAddr("fd00:6d75:78::1")
	phoneAddress = netip.MustParseAddr("fd00:6d75:78::2")
)

// Kinds of mux packets, and lengths of headers in bytes.
const (
	muxVersion = 0
	muxControl = 1
	muxSetup   = 2
	muxTCP     = 6

	ipHeader  = 40
	tcpHeader = 20
)

// Interfaces of a capture's file.
const (
	ifaceTCP = 0 // TCP in IPv6
	ifaceMux = 1 // mux packets as they are, of all else
)

// recorder writes a capture into a file.
type recorder struct {
	file    pcapng
	start   time.Time
	last    time.Time
	counts  [2]uint64 // packets by interface
	bytes   uint64    // on the wire
	missing uint32    // dropped since the last packet
	dropped uint64    // in all
	buf     []byte    // reused
}

// begin writes the file's beginning.
func (r *recorder) begin(w io.Writer, phone string, now time.Time) error {
	r.file.w, r.start, r.last = w, now, now
	if err := r.file.section("muxctl " + version); err != nil {
		return err
	}
	if err := r.file.add(linkRaw, phone, "TCP connections of the device; the IPv6 header is made up"); err != nil {
		return err
	}
	return r.file.add(linkUser0, phone+" (multiplexer)", "VERSION, SETUP and CONTROL packets of the device's multiplexer")
}

// add writes a record of the daemon.
func (r *recorder) add(c control.Captured) error {
	r.missing += c.Dropped
	r.dropped += uint64(c.Dropped)
	if c.Length == 0 {
		return nil
	}
	k := pcapngPacket{iface: ifaceTCP, time: c.Time, out: c.Out, dropped: r.missing}
	var ok bool
	if r.buf, k.length, ok = appendIP(r.buf[:0], c); ok {
		k.data = r.buf
	} else {
		k.iface, k.data, k.length, k.comment = ifaceMux, c.Data, c.Length, muxComment(c)
	}
	if r.missing > 0 {
		k.comment = fmt.Sprintf("%d packets before this one are missing: muxctl or its reader was too slow. %s", r.missing, k.comment)
		r.missing = 0
	}
	r.counts[k.iface]++
	r.bytes += uint64(c.Length)
	r.last = c.Time
	return r.file.packet(k)
}

// end writes how much there was and how much is missing.
func (r *recorder) end() error {
	if err := r.file.statistics(ifaceTCP, r.start, r.last, r.counts[ifaceTCP], r.dropped); err != nil {
		return err
	}
	return r.file.statistics(ifaceMux, r.start, r.last, r.counts[ifaceMux], 0)
}

// appendIP appends a mux packet of TCP as an IPv6 packet, and returns the packet's
// length, which is more than was appended if the record is cut. It reports false for
// a mux packet without a TCP header.
//
// Nothing is made up but what must be: addresses, the checksum, and in a SYN the
// option that says in which unit the windows of both sides are, 256 bytes.
func appendIP(b []byte, c control.Captured) (_ []byte, length int, ok bool) {
	tcp := c.Data[c.Header:]
	if len(c.Data) < 8 || binary.BigEndian.Uint32(c.Data) != muxTCP || len(tcp) < tcpHeader {
		return b, 0, false
	}
	length = c.Length - c.Header
	const flagSYN = 0x02
	var scale []byte
	if tcp[13]&flagSYN != 0 && tcp[12]>>4 == tcpHeader/4 {
		scale = []byte{1, 3, 3, 8} // no operation, then: shift by 8 bits
		length += len(scale)
	}
	from, to := phoneAddress.As16(), hostAddress.As16()
	if c.Out {
		from, to = to, from
	}
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 6, 64) // TCP; hop limit
	b = append(append(b, from[:]...), to[:]...)
	at := len(b)
	b = append(append(append(b, tcp[:tcpHeader]...), scale...), tcp[tcpHeader:]...)
	b[at+12] += byte(len(scale) / 4 << 4)
	b[at+16], b[at+17] = 0, 0
	if len(b)-at == length { // else it is over bytes that are not here
		binary.BigEndian.PutUint16(b[at+16:], checksum(b[at:], from, to))
	}
	return b, ipHeader + length, true
}

// checksum is TCP's, over IPv6. Source: RFC 8200, 8.1.
func checksum(tcp []byte, from, to [16]byte) uint16 {
	sum := uint64(len(tcp)) + 6
	add := func(b []byte) {
		for ; len(b) > 1; b = b[2:] {
			sum += uint64(binary.BigEndian.Uint16(b))
		}
		if len(b) > 0 {
			sum += uint64(b[0]) << 8
		}
	}
	add(from[:])
	add(to[:])
	add(tcp)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// muxComment says what a mux packet is that is no TCP.
func muxComment(c control.Captured) string {
	way := "from the device"
	if c.Out {
		way = "to the device"
	}
	if len(c.Data) < 8 {
		return "Half a header " + way
	}
	body := c.Data[c.Header:]
	switch kind := binary.BigEndian.Uint32(c.Data); {
	case kind == muxVersion && len(body) >= 8:
		return fmt.Sprintf("VERSION %d.%d %s", binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:]), way)
	case kind == muxSetup:
		return "SETUP " + way
	case kind == muxControl && len(body) > 0:
		return fmt.Sprintf("CONTROL %s, level %d: %s", way, body[0], oneLine(string(body[1:])))
	default:
		return fmt.Sprintf("Packet of kind %d %s, %d bytes, not understood", kind, way, c.Length)
	}
}
