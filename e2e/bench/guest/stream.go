package main

import (
	"bytes"
	"fmt"

	"gomuxd/virtualphone/service"
)

const (
	// period is the length of the sequence that all streams repeat, in bytes. It
	// is prime and many times what the daemon and the sockets hold, so that bytes
	// lost, doubled or swapped between sessions are noticed.
	period = 1_048_573

	// maxPiece is the longest piece of a stream that is contiguous in memory.
	maxPiece = 256 << 10
)

// sequence is period bytes and the first of the next turn. To send or compare a
// piece of it costs less than to compute one: neither the phone nor the client
// should be what is measured.
var sequence = func() []byte {
	b := make([]byte, period+maxPiece)
	service.Fill(1, 0, b[:period])
	copy(b[period:], b)
	return b
}()

// stream is a sequence of bytes without end, by number.
type stream uint64

// piece is n bytes of the stream from an offset on, at most maxPiece. They must
// not be written to.
func (s stream) piece(offset int64, n int) []byte {
	at := (uint64(offset) + uint64(s)*131_071) % period
	return sequence[at : at+uint64(n)]
}

// verify compares b, at most maxPiece bytes, with the stream from offset on.
func (s stream) verify(offset int64, b []byte) error {
	want := s.piece(offset, len(b))
	if bytes.Equal(b, want) {
		return nil
	}
	for i := range b {
		if b[i] != want[i] {
			return fmt.Errorf("byte %d of stream %d is %#02x, want %#02x", offset+int64(i), s, b[i], want[i])
		}
	}
	return nil
}
