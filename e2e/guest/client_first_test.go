//go:build guest

package guest_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// lockdownPort is where a phone's lockdownd listens.
const lockdownPort = 62078

// queryType asks a phone who answers at its lockdownd port.
func queryType(device uint32) (string, error) {
	c, err := dial(device, lockdownPort)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(scaled(30 * time.Second))); err != nil {
		return "", err
	}
	const payload = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>` +
		`<key>Label</key><string>guest</string><key>Request</key><string>QueryType</string></dict></plist>`
	msg := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
	if _, err := c.Write(append(msg, payload...)); err != nil {
		return "", err
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return "", fmt.Errorf("answer to QueryType: %w", err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err = io.ReadFull(c, b)
	return string(b), err
}

// TestConnectAtOnce proves that a client which connects the moment it is told of
// a phone, as gvfs does, is served at every one of ten plugs, and so is one that
// moves data at once.
func TestConnectAtOnce(t *testing.T) {
	skipC(t, "hangs after some unplugs")
	for _, speed := range []usbip.Speed{usbip.High, usbip.Super} {
		t.Run(speed.String(), func(t *testing.T) {
			start(t)
			l := listen(t)
			p := attach(t, 0, virtualphone.Config{}, usbip.Config{Speed: speed})
			for i := range 10 {
				if i > 0 {
					p.replug(t)
				}
				ev := l.await(t, "Attached", p)
				answer, err := queryType(ev.device)
				if err != nil || !strings.Contains(answer, "<string>com.apple.mobile.lockdown</string>") {
					t.Fatalf("plug %d: want lockdownd, got %q, %v", i, answer, err)
				}
				if err := echo(ev.device, 10_000); err != nil {
					t.Fatalf("plug %d: %v", i, err)
				}
				p.Unplug()
				if gone := l.await(t, "Detached", p); gone.device != ev.device {
					t.Fatalf("plug %d: want device %d detached, got %d", i, ev.device, gone.device)
				}
			}
		})
	}
}
