package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"net"
	"regexp"
	"strconv"
	"time"

	"gomuxd/virtualphone/rawconn"
)

const socketPath = "/var/run/usbmuxd"

// messageLimit bounds the wait for a message of the daemon.
const messageLimit = 30 * time.Second

// request opens a connection and sends a request, the contents of a dictionary.
func request(dict string) (net.Conn, error) {
	c, err := net.Dial("unix", socketPath)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(scaled(messageLimit))); err != nil {
		c.Close()
		return nil, err
	}
	if _, err := c.Write(plistMessage(dict)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// plistMessage is a message whose payload is a dictionary with these contents and
// what libusbmuxd says of its program, in the form it has there.
func plistMessage(dict string) []byte {
	payload := `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>ClientVersionString</key>
	<string>libusbmuxd 2.0.2</string>
	<key>ProgName</key>
	<string>bench</string>
	<key>kLibUSBMuxVersion</key>
	<integer>3</integer>
` + dict + `</dict>
</plist>
`
	b := binary.LittleEndian.AppendUint32(nil, uint32(16+len(payload)))
	b = append(b, 1, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0) // version, type, tag
	return append(b, payload...)
}

// message reads one message without its header.
func message(c net.Conn) ([]byte, error) {
	var head [16]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < 16 || n > 1<<20 {
		return nil, fmt.Errorf("message of %d bytes", n)
	}
	b := make([]byte, n-16)
	_, err := io.ReadFull(c, b)
	return b, err
}

var (
	numberKey = regexp.MustCompile(`<key>Number</key>\s*<integer>(\d+)</integer>`)
	typeKey   = regexp.MustCompile(`<key>MessageType</key>\s*<string>(\w+)</string>`)
	deviceKey = regexp.MustCompile(`<key>DeviceID</key>\s*<integer>(\d+)</integer>`)
	serialKey = regexp.MustCompile(`<key>SerialNumber</key>\s*<string>([^<]*)</string>`)
)

// good reads the result of a request, which must be 0.
func good(c net.Conn, what string) error {
	b, err := message(c)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if m := numberKey.FindSubmatch(b); m == nil || string(m[1]) != "0" {
		return fmt.Errorf("%s: %s", what, b)
	}
	return nil
}

// connectTo is the request for a port of a device.
func connectTo(device uint32, port uint16) string {
	return fmt.Sprintf("\t<key>MessageType</key>\n\t<string>Connect</string>\n"+
		"\t<key>DeviceID</key>\n\t<integer>%d</integer>\n\t<key>PortNumber</key>\n\t<integer>%d</integer>\n", device, bits.ReverseBytes16(port))
}

// dial connects to a port of a device. The connection has no deadline.
func dial(device uint32, port uint16) (net.Conn, error) {
	c, err := request(connectTo(device, port))
	if err != nil {
		return nil, err
	}
	if err := good(c, fmt.Sprintf("connect to port %d of device %d", port, device)); err != nil {
		c.Close()
		return nil, err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		c.Close()
		return nil, err
	}
	return rawconn.New(c)
}

// list asks for the devices and counts them.
func list() (int, error) {
	c, err := request("\t<key>MessageType</key>\n\t<string>ListDevices</string>\n")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	b, err := message(c)
	if err != nil {
		return 0, fmt.Errorf("ListDevices: %w", err)
	}
	return bytes.Count(b, []byte("<key>Properties</key>")), nil
}

// event is a message to a listener.
type event struct {
	kind   string // Attached, Detached
	device uint32
	udid   string // of Attached
	at     time.Time
}

// listener is a client that has sent Listen.
type listener struct{ net.Conn }

func listen() (listener, error) {
	c, err := request("\t<key>MessageType</key>\n\t<string>Listen</string>\n")
	if err != nil {
		return listener{}, err
	}
	if err := good(c, "listen"); err != nil {
		c.Close()
		return listener{}, err
	}
	return listener{c}, nil
}

// next waits for the next event but Paired.
func (l listener) next() (event, error) {
	for {
		if err := l.SetDeadline(time.Now().Add(scaled(messageLimit))); err != nil {
			return event{}, err
		}
		b, err := message(l)
		if err != nil {
			return event{}, fmt.Errorf("listener: %w", err)
		}
		at := time.Now()
		kind, id, serial := typeKey.FindSubmatch(b), deviceKey.FindSubmatch(b), serialKey.FindSubmatch(b)
		if kind == nil || id == nil {
			return event{}, fmt.Errorf("odd event: %s", b)
		}
		n, err := strconv.ParseUint(string(id[1]), 10, 32)
		if err != nil {
			return event{}, err
		}
		ev := event{kind: string(kind[1]), device: uint32(n), at: at}
		if serial != nil {
			ev.udid = string(serial[1])
		}
		if ev.kind != "Paired" {
			return ev, nil
		}
	}
}
