package socket

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"gomuxd/plist"
)

// The messages whose only variable part is a number are assembled from
// constants: the reply to Connect costs no reflection and no allocation.
const (
	xmlHead = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>MessageType</key>
	<string>`
	xmlResult   = xmlHead + "Result</string>\n\t<key>Number</key>\n\t<integer>"
	xmlDetached = xmlHead + "Detached</string>\n\t<key>DeviceID</key>\n\t<integer>"
	xmlPaired   = xmlHead + "Paired</string>\n\t<key>DeviceID</key>\n\t<integer>"
	xmlTail     = "</integer>\n</dict>\n</plist>\n"
)

// appendNumber appends a property-list message made of head, a number and the
// tail that closes it.
func appendNumber(dst []byte, head string, tag, number uint32) []byte {
	start := len(dst)
	dst = header{version: versionPlist, message: msgPlist, tag: tag}.append(dst)
	dst = append(dst, head...)
	dst = strconv.AppendUint(dst, uint64(number), 10)
	dst = append(dst, xmlTail...)
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst
}

// appendWord appends a binary message whose payload is one word.
func appendWord(dst []byte, message, tag, word uint32) []byte {
	dst = header{length: headerSize + 4, version: versionBinary, message: message, tag: tag}.append(dst)
	return binary.LittleEndian.AppendUint32(dst, word)
}

// appendResult appends a Result in the form of the given protocol version.
func appendResult(dst []byte, version, tag, number uint32) []byte {
	if version == versionBinary {
		return appendWord(dst, msgResult, tag, number)
	}
	return appendNumber(dst, xmlResult, tag, number)
}

// event is one message to all listeners, in both forms, with header and tag 0.
// Its bytes are shared by all queues and never written to. An event without a
// binary form is not sent to binary listeners.
type event struct {
	plist, binary []byte
}

// form returns the bytes for a listener of the given protocol version, or nil.
func (e event) form(version uint32) []byte {
	if version == versionBinary {
		return e.binary
	}
	return e.plist
}

// attached is the dictionary of one device, as an event of its own and as an
// item of DeviceList.
type attached struct {
	MessageType string
	DeviceID    uint32
	Properties  any
}

// usbProperties are C's keys in C's order, then Apple's two.
type usbProperties struct {
	ConnectionSpeed uint64
	ConnectionType  string
	DeviceID        uint32
	LocationID      uint32
	ProductID       uint16
	SerialNumber    string
	UDID            string
	USBSerialNumber string
}

// networkProperties are the keys Apple's usbmuxd shows for a device on Wi-Fi.
type networkProperties struct {
	ConnectionType string
	DeviceID       uint32
	InterfaceIndex uint32 `plist:",omitempty"`
	NetworkAddress []byte
	SerialNumber   string
	UDID           string
}

func newAttached(id uint32, info Info) attached {
	a := attached{MessageType: "Attached", DeviceID: id}
	if info.Transport == Network {
		a.Properties = networkProperties{
			ConnectionType: info.Transport.String(),
			DeviceID:       id,
			InterfaceIndex: info.InterfaceIndex,
			NetworkAddress: info.NetworkAddress,
			SerialNumber:   info.UDID,
			UDID:           info.UDID,
		}
		return a
	}
	a.Properties = usbProperties{
		ConnectionSpeed: info.Speed,
		ConnectionType:  info.Transport.String(),
		DeviceID:        id,
		LocationID:      info.LocationID,
		ProductID:       info.ProductID,
		SerialNumber:    info.UDID,
		UDID:            info.UDID,
		USBSerialNumber: info.Serial,
	}
	return a
}

// attachedEvent encodes the arrival of a device. The binary record cannot say
// how a device is connected, so a network device has no binary form: old
// clients would take it for the same phone plugged in twice.
func attachedEvent(id uint32, info Info) (event, error) {
	payload, err := plist.MarshalXML(newAttached(id, info))
	if err != nil {
		return event{}, fmt.Errorf("encode device: %w", err)
	}
	e := event{plist: appendPlist(nil, 0, payload)}
	if info.Transport == USB {
		e.binary = appendRecord(nil, id, info)
	}
	return e, nil
}

// Fields of the binary device record.
const (
	recordSerial = 256 // bytes, NUL-padded, the last one always NUL
	recordSize   = 4 + 2 + recordSerial + 2 + 4
)

// appendRecord appends the binary message 4: device id, product id, serial
// number, two bytes of padding, location.
func appendRecord(dst []byte, id uint32, info Info) []byte {
	dst = header{length: headerSize + recordSize, version: versionBinary, message: msgAttached}.append(dst)
	dst = binary.LittleEndian.AppendUint32(dst, id)
	dst = binary.LittleEndian.AppendUint16(dst, info.ProductID)
	var serial [recordSerial]byte
	copy(serial[:recordSerial-1], info.UDID)
	dst = append(dst, serial[:]...)
	dst = append(dst, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, info.LocationID)
}

func detachedEvent(id uint32, t Transport) event {
	return numberEvent(xmlDetached, msgDetached, id, t)
}

func pairedEvent(id uint32, t Transport) event {
	return numberEvent(xmlPaired, msgPaired, id, t)
}

func numberEvent(head string, message, id uint32, t Transport) event {
	e := event{plist: appendNumber(nil, head, 0, id)}
	if t == USB {
		e.binary = appendWord(nil, message, 0, id)
	}
	return e
}

// Data replies. They carry neither MessageType nor Number, as usbmuxd's do.
type (
	deviceListReply   struct{ DeviceList []attached }
	listenerListReply struct{ ListenerList []listenerEntry }
	buidReply         struct{ BUID string }
	recordReply       struct{ PairRecordData []byte }
)

// listenerEntry is one item of ListenerList, in usbmuxd's key order.
type listenerEntry struct {
	Blacklisted       bool
	BundleID          string `plist:",omitempty"`
	ConnType          uint32
	IDString          string `plist:"ID String"`
	ProgName          string
	KLibUSBMuxVersion int64 `plist:"kLibUSBMuxVersion"`
}
