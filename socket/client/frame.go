package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"gomuxd/plist"
)

const (
	headerSize = 16      // bytes of a message's header
	maxMessage = 1 << 20 // bytes of a reply or event, header included

	versionPlist = 1
	msgResult    = 1 // the binary form of Result
	msgPlist     = 8
)

// appendRequest appends a request: header, then v as a property list.
func appendRequest(dst []byte, tag uint32, v any) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, headerSize)...)
	dst, err := plist.AppendXML(dst, v)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	h := dst[start:]
	binary.LittleEndian.PutUint32(h[0:], uint32(len(h)))
	binary.LittleEndian.PutUint32(h[4:], versionPlist)
	binary.LittleEndian.PutUint32(h[8:], msgPlist)
	binary.LittleEndian.PutUint32(h[12:], tag)
	return dst, nil
}

// message is what a daemon sends, decoded. Which fields are set depends on what
// it is; the last four come without a MessageType.
type message struct {
	tag  uint32
	kind string // MessageType, "Result" of a binary one

	number   uint32 // of Result, and the device's id of an event
	device   Device // of Attached
	devices  []Device
	buid     string
	record   []byte
	isResult bool
}

// readMessage reads one message, exactly.
func readMessage(r io.Reader) (message, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < headerSize || n > maxMessage {
		return message{}, fmt.Errorf("%w: a message of %d bytes", ErrProtocol, n)
	}
	payload := make([]byte, n-headerSize)
	if _, err := io.ReadFull(r, payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return message{}, err
	}
	m, err := decode(binary.LittleEndian.Uint32(head[8:]), payload)
	m.tag = binary.LittleEndian.Uint32(head[12:])
	return m, err
}

// properties describe a device, in an item of DeviceList and in Attached.
type properties struct {
	DeviceID        uint32
	SerialNumber    string
	ConnectionType  string
	ConnectionSpeed uint64
	ProductID       uint16
	LocationID      uint32
}

// decode decodes a message's payload.
func decode(kind uint32, payload []byte) (message, error) {
	switch {
	case kind == msgResult && len(payload) >= 4:
		return message{kind: "Result", isResult: true, number: binary.LittleEndian.Uint32(payload)}, nil
	case kind != msgPlist:
		return message{}, fmt.Errorf("%w: a message of type %d", ErrProtocol, kind)
	}
	var p struct {
		MessageType    string
		Number         *uint32
		DeviceID       uint32
		Properties     properties
		DeviceList     []struct{ Properties properties }
		BUID           string
		PairRecordData []byte
	}
	if err := plist.Unmarshal(payload, &p); err != nil && !tolerable(err) {
		return message{}, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	m := message{kind: p.MessageType, number: p.DeviceID, buid: p.BUID, record: p.PairRecordData}
	if p.Number != nil {
		m.isResult, m.number = true, *p.Number
	}
	m.device = p.Properties.device()
	if m.device.ID == 0 {
		m.device.ID = p.DeviceID
	}
	for _, item := range p.DeviceList {
		if d := item.Properties.device(); d.ID != 0 && d.UDID != "" {
			m.devices = append(m.devices, d)
		}
	}
	return m, nil
}

// tolerable reports whether err is about single values of an unexpected type,
// which are then not set.
func tolerable(err error) bool {
	var t *plist.TypeError
	return errors.As(err, &t)
}

func (p properties) device() Device {
	return Device{
		ID:         p.DeviceID,
		UDID:       p.SerialNumber,
		Connection: p.ConnectionType,
		Speed:      p.ConnectionSpeed,
		ProductID:  p.ProductID,
		LocationID: p.LocationID,
	}
}
