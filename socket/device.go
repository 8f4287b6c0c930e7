package socket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Transport is how a device is reached.
type Transport uint8

// Transports, in the order in which lists show them.
const (
	USB Transport = iota
	Network
)

// String returns the value of ConnectionType.
func (t Transport) String() string {
	if t == Network {
		return "Network"
	}
	return "USB"
}

// Info describes a device to clients.
type Info struct {
	UDID           string    // SerialNumber: a 24-character one is shown with a hyphen after the 8th
	Serial         string    // the raw USB serial number; derived from UDID if empty
	ProductID      uint16    // USB product id
	LocationID     uint32    // USB bus number << 16 | device address
	Port           string    // USB only: where it is plugged in, "1-2.3"; for access rules
	Speed          uint64    // bits per second; 0 is taken for high speed
	Transport      Transport // USB or Network
	NetworkAddress []byte    // Network only: a socket address, as clients see it
	InterfaceIndex uint32    // Network only: 0 if unknown
}

// Conn is a connection to a TCP port of a device. If it is an io.ReaderFrom or
// io.WriterTo, these are used for copying.
//
// After the device's reset or FIN, Read returns io.EOF once everything received
// has been read; after a reset, Write returns an error. CloseWrite says that
// the client has shut down writing; the device's data still flows. Close is
// graceful: what was written leaves first, in the background.
//
// A Conn may have more methods, which *mux.Conn has:
//   - Reset() bool tells, once Read has returned io.EOF, a reset or a vanished
//     device (true) from a FIN (false); without it the end is taken for a reset
//   - Done() <-chan struct{} is closed when both directions are over
//   - Acked() uint32 counts what the device has taken
//   - Abort() is a Close that waits for nothing
//   - Forward(io.Writer, func()) (stop func() bool) spares a silent connection the
//     goroutine in WriteTo
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Device opens connections to an attached device. ctx bounds the attempt, not
// the Conn. Dial is called from many goroutines. If it has a DialSmall, that is
// called instead beyond Config.Large and UserLarge, for a Conn that holds little memory.
type Device interface {
	Dial(ctx context.Context, port uint16) (Conn, error)
}

// ErrIncomplete is returned by Registry.Attach for a device that clients could
// not be told about in full.
var ErrIncomplete = errors.New("incomplete device")

const (
	highSpeed = 480_000_000 // bits per second, what usbmuxd says of unknown speeds

	// minAddress and maxAddress bound NetworkAddress in bytes: an IPv4 socket
	// address is 16, libusbmuxd has room for 200.
	minAddress, maxAddress = 16, 200
)

// complete checks info and returns a copy with the derivable fields filled in.
// Its errors wrap ErrIncomplete.
func (info Info) complete() (Info, error) {
	if n := len(info.UDID); n == 0 || n >= recordSerial {
		return Info{}, fmt.Errorf("%w: UDID of %d bytes", ErrIncomplete, n)
	}
	for _, s := range []string{info.UDID, info.Serial} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			return Info{}, fmt.Errorf("%w: serial number %q", ErrIncomplete, s)
		}
	}
	if info.Serial == "" {
		info.Serial = info.UDID
		if len(info.UDID) == 25 && info.UDID[8] == '-' {
			info.Serial = info.UDID[:8] + info.UDID[9:]
		}
	}
	if len(info.UDID) == 24 {
		info.UDID = info.UDID[:8] + "-" + info.UDID[8:]
	}
	switch info.Transport {
	case USB:
		if info.ProductID == 0 {
			return Info{}, fmt.Errorf("%w: no product id", ErrIncomplete)
		}
		if info.Speed == 0 {
			info.Speed = highSpeed
		}
	case Network:
		if n := len(info.NetworkAddress); n < minAddress || n > maxAddress {
			return Info{}, fmt.Errorf("%w: network address of %d bytes", ErrIncomplete, n)
		}
		info.NetworkAddress = bytes.Clone(info.NetworkAddress)
	default:
		return Info{}, fmt.Errorf("%w: transport %d", ErrIncomplete, info.Transport)
	}
	return info, nil
}
