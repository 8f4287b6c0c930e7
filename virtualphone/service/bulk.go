package service

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"
)

const (
	// bulkBuffer is the size in bytes of the buffer a test service moves data with:
	// large enough that the service is not what a benchmark measures.
	bulkBuffer = 256 << 10

	// echoBuffer is the size in bytes an echo buffer starts with, so that a
	// thousand idle connections cost little.
	echoBuffer = 4 << 10
)

// Echo sends back what it gets until the host closes. It holds one buffer per
// connection and reads no more while the host does not take its answer.
func Echo() Handler {
	return func(ctx context.Context, c net.Conn) {
		defer bind(ctx, c)()
		buf := make([]byte, echoBuffer)
		for {
			n, err := c.Read(buf)
			if n > 0 {
				if _, err := c.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
			if n == len(buf) && n < bulkBuffer {
				buf = make([]byte, 4*n)
			}
		}
	}
}

// Source sends a stream that the host can verify. The host sends 16 bytes, a
// big-endian uint64 length n in bytes and a big-endian uint64 seed; the phone
// answers bytes 0 to n of that seed's stream, see Fill, and closes.
func Source() Handler {
	return func(ctx context.Context, c net.Conn) {
		defer bind(ctx, c)()
		var head [16]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		n, seed := binary.BigEndian.Uint64(head[:8]), binary.BigEndian.Uint64(head[8:])
		buf := make([]byte, min(n, bulkBuffer))
		for off := uint64(0); off < n; {
			piece := buf[:min(n-off, uint64(len(buf)))]
			Fill(seed, off, piece)
			if _, err := c.Write(piece); err != nil {
				return
			}
			off += uint64(len(piece))
		}
	}
}

// Sink takes a stream and tells what arrived. The host sends a big-endian uint64
// length n in bytes and n bytes; the phone answers their 32-byte SHA-256 and
// closes. A host cannot half-close over usbmux, hence the length.
func Sink() Handler {
	return func(ctx context.Context, c net.Conn) {
		defer bind(ctx, c)()
		var head [8]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint64(head[:])
		sum := sha256.New()
		buf := make([]byte, min(n, bulkBuffer))
		for n > 0 {
			got, err := c.Read(buf[:min(n, uint64(len(buf)))])
			sum.Write(buf[:got])
			n -= uint64(got)
			if err != nil && n > 0 {
				return
			}
		}
		// The host learns of a failed write by the missing sum.
		_, _ = c.Write(sum.Sum(nil))
	}
}

// Discard takes what it gets and answers nothing until the host closes: a sink for
// tools that cannot send a length first.
func Discard() Handler {
	return func(ctx context.Context, c net.Conn) {
		defer bind(ctx, c)()
		buf := make([]byte, bulkBuffer)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}
}
