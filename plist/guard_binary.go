package plist

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unicode/utf8"
)

const (
	binaryMagic   = "bplist00"
	binaryTrailer = 32 // bytes
)

// Object types of a binary list: the high half of an object's first byte.
const (
	tagSimple  = 0x0 // null, false, true, fill
	tagInteger = 0x1
	tagReal    = 0x2
	tagDate    = 0x3
	tagData    = 0x4
	tagASCII   = 0x5
	tagUTF16   = 0x6
	tagUID     = 0x8
	tagArray   = 0xa
	tagDict    = 0xd
)

// Dates are seconds from 2001; these are the first and last second of the years
// 1 to 9999, which XML can write.
const (
	appleEpoch = 978307200 // 2001-01-01T00:00:00Z in Unix time, seconds
	minDate    = -62135596800 - appleEpoch
	maxDate    = 253402300799 - appleEpoch
)

// binaryGuard walks the objects of a binary property list as the decoder will.
//
//	"bplist00" | objects | table: offset of each object | trailer
//
// Lengths and positions are uint64 and compared by subtraction from what is
// left, so that none can overflow.
type binaryGuard struct {
	data       []byte
	table      uint64 // offset of the offset table: the end of the objects
	objects    uint64 // number of objects
	offsetSize uint64 // bytes of a table entry
	refSize    uint64 // bytes of a reference to an object
	visits     int    // values seen, each as often as it is referred to
	bytes      uint64 // length of texts and data seen, likewise
}

func guardBinary(data []byte) error {
	if len(data) < len(binaryMagic)+1+binaryTrailer {
		return malformed(len(data), "binary list is too short")
	}
	if string(data[:len(binaryMagic)]) != binaryMagic {
		return malformed(0, "unknown version of binary list")
	}
	end := uint64(len(data) - binaryTrailer)
	trailer := data[end:]
	g := binaryGuard{
		data:       data,
		offsetSize: uint64(trailer[6]),
		refSize:    uint64(trailer[7]),
		objects:    binary.BigEndian.Uint64(trailer[8:]),
		table:      binary.BigEndian.Uint64(trailer[24:]),
	}
	top := binary.BigEndian.Uint64(trailer[16:])
	switch {
	case g.offsetSize < 1 || g.offsetSize > 8 || g.refSize < 1 || g.refSize > 8:
		return malformed(int(end)+6, "bad integer size in trailer")
	case g.table <= uint64(len(binaryMagic)) || g.table >= end:
		return malformed(int(end)+24, "offset table out of bounds")
	case g.objects == 0 || g.objects > (end-g.table)/g.offsetSize || g.objects*g.offsetSize != end-g.table:
		return malformed(int(end)+8, "offset table does not fill its place")
	case top >= g.objects:
		return malformed(int(end)+16, "top object out of bounds")
	}
	_, err := g.object(top, 0)
	return err
}

// uint reads a big-endian integer of size 1 to 8 bytes; the caller has checked
// the bounds.
func (g *binaryGuard) uint(off, size uint64) uint64 {
	var n uint64
	for _, c := range g.data[off : off+size] {
		n = n<<8 | uint64(c)
	}
	return n
}

// object checks one object and all below it, and returns its type.
func (g *binaryGuard) object(index uint64, depth int) (tag byte, err error) {
	if index >= g.objects {
		return 0, malformed(len(g.data), "reference to an object that is not there")
	}
	entry := g.table + index*g.offsetSize
	off := g.uint(entry, g.offsetSize)
	if off < uint64(len(binaryMagic)) || off >= g.table {
		return 0, malformed(int(entry), "object out of bounds")
	}
	if g.visits++; g.visits > MaxValues {
		return 0, malformed(int(off), "too many values")
	}
	tag, low := g.data[off]>>4, uint64(g.data[off]&0xf)
	body := off + 1
	left := g.table - body
	switch tag {
	case tagSimple:
		if low != 8 && low != 9 { // false, true
			return 0, malformed(int(off), "value of unknown kind")
		}
	case tagInteger:
		return tag, g.integer(body, low, left)
	case tagReal:
		if low != 2 && low != 3 || left < 1<<low {
			return 0, malformed(int(off), "bad real")
		}
	case tagDate:
		if low != 3 || left < 8 {
			return 0, malformed(int(off), "bad date")
		}
		if s := math.Float64frombits(g.uint(body, 8)); !(s >= minDate && s <= maxDate) {
			return 0, malformed(int(off), "date out of range")
		}
	case tagUID:
		if low+1 > 8 || left < low+1 {
			return 0, malformed(int(off), "bad UID")
		}
	case tagData, tagASCII, tagUTF16:
		return tag, g.text(off, tag)
	case tagArray, tagDict:
		return tag, g.container(off, tag, depth)
	default:
		return 0, malformed(int(off), "value of unknown kind")
	}
	return tag, nil
}

// integer checks an integer of 1<<log bytes. The decoder drops the upper half
// of 16-byte ones, so that has to be empty, or a sign extension.
func (g *binaryGuard) integer(body, log, left uint64) error {
	at := int(body - 1)
	if log > 4 || left < 1<<log {
		return malformed(at, "bad integer")
	}
	if log == 4 {
		high, low := g.uint(body, 8), g.uint(body+8, 8)
		if high != 0 && (high != math.MaxUint64 || low>>63 == 0) {
			return malformed(at, "integer out of range")
		}
	}
	return nil
}

// length reads the count of the text, data or container at off, and where its
// body starts. It never exceeds the bytes left for objects.
func (g *binaryGuard) length(off uint64) (n, body uint64, err error) {
	n, body = uint64(g.data[off]&0xf), off+1
	if n == 0xf {
		if body >= g.table {
			return 0, 0, malformed(int(off), "length is cut off")
		}
		tag, log := g.data[body]>>4, uint64(g.data[body]&0xf)
		body++
		if tag != tagInteger || log > 3 || g.table-body < 1<<log {
			return 0, 0, malformed(int(off), "bad length")
		}
		n = g.uint(body, 1<<log)
		body += 1 << log
	}
	if n > g.table-body {
		return 0, 0, malformed(int(off), "length goes beyond the objects")
	}
	return n, body, nil
}

// text checks a text or data.
func (g *binaryGuard) text(off uint64, tag byte) error {
	n, body, err := g.length(off)
	if err != nil {
		return err
	}
	if tag == tagUTF16 {
		if n *= 2; n > g.table-body { // n is below MaxSize
			return malformed(int(off), "length goes beyond the objects")
		}
	}
	if g.bytes += n; g.bytes > MaxSize {
		return malformed(int(off), "shared objects unfold to too much")
	}
	if tag == tagASCII && !utf8.Valid(g.data[body:body+n]) {
		return malformed(int(off), "text is not ASCII")
	}
	return nil
}

// container checks an array or dictionary: its references, then what they
// refer to. A cycle ends at MaxDepth.
func (g *binaryGuard) container(off uint64, tag byte, depth int) error {
	if depth == MaxDepth {
		return malformed(int(off), "nesting too deep")
	}
	n, body, err := g.length(off)
	if err != nil {
		return err
	}
	refs := n
	if tag == tagDict {
		refs *= 2 // n is below MaxSize
	}
	if hi, size := bits.Mul64(refs, g.refSize); hi != 0 || size > g.table-body {
		return malformed(int(off), "references go beyond the objects")
	}
	for i := range refs {
		child, err := g.object(g.uint(body+i*g.refSize, g.refSize), depth+1)
		if err != nil {
			return err
		}
		if tag == tagDict && i < n && child != tagASCII && child != tagUTF16 {
			return malformed(int(off), "key is not a text")
		}
	}
	return nil
}
