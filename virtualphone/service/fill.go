package service

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// golden is the step of the SplitMix64 generator: 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// mix is the output function of SplitMix64.
// Source: Steele, Lea, Flood: "Fast splittable pseudorandom number generators"
// (2014); constants of David Stafford's mix 13.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Fill writes bytes offset to offset+len(b) of the stream that belongs to seed.
// The stream has 2^64 bytes and every piece of it can be had without the bytes
// before it: its word i, eight bytes little-endian, is
// mix(mix(seed) + (i+1)*golden). Fill allocates nothing.
func Fill(seed, offset uint64, b []byte) {
	state := mix(seed) + (offset/8+1)*golden
	if skip := offset % 8; skip != 0 && len(b) > 0 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], mix(state))
		b = b[copy(b, word[skip:]):]
		state += golden
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, mix(state))
		state += golden
		b = b[8:]
	}
	if len(b) > 0 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], mix(state))
		copy(b, word[:])
	}
}

// verifyPiece is how many bytes Verify compares at once; the scratch space of that
// size stays on the stack and in the first-level cache.
const verifyPiece = 4 << 10

// Verify compares b with bytes offset to offset+len(b) of the stream that belongs
// to seed. Its error names the stream offset of the first wrong byte.
func Verify(seed, offset uint64, b []byte) error {
	var scratch [verifyPiece]byte
	for len(b) > 0 {
		got := b[:min(len(b), verifyPiece)]
		want := scratch[:len(got)]
		Fill(seed, offset, want)
		if !bytes.Equal(got, want) {
			for i := range got {
				if got[i] != want[i] {
					return fmt.Errorf("byte %d of stream %#x is %#02x, want %#02x", offset+uint64(i), seed, got[i], want[i])
				}
			}
		}
		offset += uint64(len(got))
		b = b[len(got):]
	}
	return nil
}
