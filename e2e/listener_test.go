package e2e_test

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gomuxd/e2e"
)

// listener is a client that has sent Listen.
type listener struct{ net.Conn }

func listen(t *testing.T, r *e2e.Rig) listener {
	t.Helper()
	c, err := net.Dial("unix", r.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	const payload = `<plist version="1.0"><dict><key>MessageType</key><string>Listen</string></dict></plist>`
	msg := binary.LittleEndian.AppendUint32(nil, uint32(16+len(payload)))
	msg = append(msg, 1, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0)
	if _, err := c.Write(append(msg, payload...)); err != nil {
		t.Fatal(err)
	}
	l := listener{c}
	l.await(t, "<string>Result</string>\n\t<key>Number</key>\n\t<integer>0</integer>")
	return l
}

// await waits for an event that contains text.
func (l listener) await(t *testing.T, text string) {
	t.Helper()
	if err := l.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for {
		body, err := l.next()
		if err != nil {
			t.Fatalf("waiting for %q: %v", text, err)
		}
		if strings.Contains(string(body), text) {
			return
		}
	}
}

// next is the payload of the next message.
func (l listener) next() ([]byte, error) {
	var head [16]byte
	if _, err := io.ReadFull(l, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.LittleEndian.Uint32(head[:])-16)
	_, err := io.ReadFull(l, body)
	return body, err
}
