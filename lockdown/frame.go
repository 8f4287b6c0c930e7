package lockdown

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"gomuxd/plist"
)

// MaxMessage is the longest message taken from a phone, in bytes without the
// length word. The longest honest one known, all values of an unlocked phone,
// has some tens of KiB.
const MaxMessage = 1 << 20

// headerLen is the length word in front of each property list.
const headerLen = 4

// encodeFrame returns v as an XML property list behind its length.
func encodeFrame(v any) ([]byte, error) {
	body, err := plist.MarshalXML(v)
	if err != nil {
		return nil, fmt.Errorf("encode lockdown message: %w", err)
	}
	frame := make([]byte, 0, headerLen+len(body))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(body)))
	return append(frame, body...), nil
}

// readFrame reads one message. It returns io.EOF if the stream ends before the
// first byte, io.ErrUnexpectedEOF if it ends later, and ErrProtocol for a length
// of 0 or above MaxMessage, before anything is allocated. Memory grows with what
// arrives, not with what is announced.
func readFrame(r io.Reader) ([]byte, error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(header[:])
	if n == 0 || n > MaxMessage {
		return nil, fmt.Errorf("%w: message of %d bytes announced", ErrProtocol, n)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(n)); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return body.Bytes(), nil
}
