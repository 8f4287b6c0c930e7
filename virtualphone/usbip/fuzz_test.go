package usbip_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// FuzzServer feeds bytes of a foreign host. Whatever they are, Serve ends when
// they do, and what it answers first is an answer.
func FuzzServer(f *testing.F) {
	submit := func(in, endpoint byte, length byte, setup ...byte) []byte {
		b := make([]byte, 48)
		b[3], b[7], b[15], b[19], b[27] = 1, length, in, endpoint, length
		copy(b[40:], setup)
		return b
	}
	configure := submit(0, 0, 0, 0, 9, 4)
	unlink := make([]byte, 48)
	unlink[3], unlink[7], unlink[23] = 2, 9, 3
	f.Add(configure)
	f.Add(bytes.Join([][]byte{submit(1, 0, 18, 0x80, 6, 0, 1, 0, 0, 18), configure, submit(1, 5, 3), unlink}, nil))
	f.Add(bytes.Join([][]byte{configure, submit(0, 4, 20), version, submit(1, 5, 64)}, nil))
	f.Add(submit(1, 0, 1, 0xc0, 0x52, 0, 0, 3, 0, 1))
	f.Add(bytes.Repeat([]byte{0xff}, 96))
	f.Fuzz(func(t *testing.T, in []byte) {
		g := gadget(t, usbip.Config{}, virtualphone.Config{})
		defer g.Phone().Close()
		cable, err := g.Phone().Plug()
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- g.Serve(context.Background(), theirs, cable) }()
		whole := make(chan bool)
		go func() { whole <- firstFrame(ours) }()
		ours.Write(in) // Serve may have had enough before the end
		ours.Close()
		if !<-whole {
			t.Error("an answer of no known kind")
		}
		<-served
	})
}

// firstFrame drains answers until the end and reports whether the first is of
// one of the two kinds there are. Only it is looked at: what follows depends on
// the direction of its request.
func firstFrame(r io.Reader) bool {
	var b [48]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return true
	}
	_, _ = io.Copy(io.Discard, r)
	kind := binary.BigEndian.Uint32(b[:])
	return kind == 3 || kind == 4
}
