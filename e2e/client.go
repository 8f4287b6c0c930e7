package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"net"
	"regexp"
	"strconv"
)

// Dial connects to a port of a device, as a client program does. It is written
// from the protocol, without the daemon's own codec.
func (r *Rig) Dial(device uint32, port uint16) (net.Conn, error) {
	c, err := net.Dial("unix", r.Socket)
	if err != nil {
		return nil, err
	}
	reply, err := call(c, fmt.Sprintf("<key>MessageType</key><string>Connect</string>"+
		"<key>DeviceID</key><integer>%d</integer><key>PortNumber</key><integer>%d</integer>", device, bits.ReverseBytes16(port)))
	if err == nil {
		if m := regexp.MustCompile(`<key>Number</key>\s*<integer>(\d+)</integer>`).FindSubmatch(reply); m == nil {
			err = fmt.Errorf("no Number in the reply to Connect: %s", reply)
		} else if n, _ := strconv.Atoi(string(m[1])); n != 0 {
			err = fmt.Errorf("connect to port %d of device %d: result %d", port, device, n)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// call sends one request, the contents of a dictionary, and returns the
// payload of the reply.
func call(c net.Conn, dict string) ([]byte, error) {
	payload := `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>` + dict + `</dict></plist>`
	msg := binary.LittleEndian.AppendUint32(nil, uint32(16+len(payload)))
	msg = binary.LittleEndian.AppendUint32(msg, 1)
	msg = binary.LittleEndian.AppendUint32(msg, 8)
	msg = binary.LittleEndian.AppendUint32(msg, 1)
	if _, err := c.Write(append(msg, payload...)); err != nil {
		return nil, err
	}
	var head [16]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	reply := make([]byte, binary.LittleEndian.Uint32(head[:])-16)
	_, err := io.ReadFull(c, reply)
	return reply, err
}
