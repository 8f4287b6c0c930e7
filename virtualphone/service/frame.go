package service

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"gomuxd/plist"
)

// MaxPlist is the largest property list, in bytes, that ReadPlist accepts and
// WritePlist sends, without the four bytes of its length.
const MaxPlist = 1 << 20

// binaryMagic opens every binary property list.
var binaryMagic = []byte("bplist")

// ReadPlist reads one message, a big-endian uint32 length and a property list of
// that many bytes, and decodes it into v as plist.Unmarshal does. It reports
// whether the list was binary, so that the answer can be too.
//
// It returns io.EOF if r ends before the message, io.ErrUnexpectedEOF if it ends
// within, and an error that wraps ErrProtocol for a length of zero or above
// MaxPlist or for a list that does not decode.
//
// Source: the service clients of libimobiledevice (property_list_service.h).
func ReadPlist(r io.Reader, v any) (binaryList bool, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > MaxPlist {
		return false, fmt.Errorf("%w: property list of %d bytes", ErrProtocol, n)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return false, err
	}
	if err := plist.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return bytes.HasPrefix(data, binaryMagic), nil
}

// WritePlist sends v as one message with a single Write, as a binary property list
// if binaryList is set and in XML otherwise. It sends nothing and returns an error
// if v cannot be encoded or is larger than MaxPlist.
func WritePlist(w io.Writer, v any, binaryList bool) error {
	marshal := plist.MarshalXML
	if binaryList {
		marshal = plist.MarshalBinary
	}
	data, err := marshal(v)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	if len(data) > MaxPlist {
		return fmt.Errorf("encode message: %d bytes exceed %d", len(data), MaxPlist)
	}
	msg := make([]byte, 4, 4+len(data))
	binary.BigEndian.PutUint32(msg, uint32(len(data)))
	_, err = w.Write(append(msg, data...))
	return err
}
