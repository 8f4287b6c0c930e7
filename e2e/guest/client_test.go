//go:build guest

package guest_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"net"
	"regexp"
	"strconv"
	"testing"
	"time"

	"gomuxd/virtualphone"
)

// request opens a connection and sends a request, the contents of a dictionary.
func request(dict string) (net.Conn, error) {
	c, err := net.Dial("unix", socketPath)
	if err != nil {
		return nil, err
	}
	payload := `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>` + dict + `</dict></plist>`
	msg := binary.LittleEndian.AppendUint32(nil, uint32(16+len(payload)))
	msg = append(msg, 1, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0)
	if _, err := c.Write(append(msg, payload...)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// message reads one message.
func message(c net.Conn, limit time.Duration) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(scaled(limit))); err != nil {
		return nil, err
	}
	var head [16]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.LittleEndian.Uint32(head[:])-16)
	_, err := io.ReadFull(c, b)
	return b, err
}

var (
	numberKey = regexp.MustCompile(`<key>Number</key>\s*<integer>(\d+)</integer>`)
	typeKey   = regexp.MustCompile(`<key>MessageType</key>\s*<string>(\w+)</string>`)
	deviceKey = regexp.MustCompile(`<key>DeviceID</key>\s*<integer>(\d+)</integer>`)
	serialKey = regexp.MustCompile(`<key>SerialNumber</key>\s*<string>([^<]*)</string>`)
)

// devices asks the daemon for its phones: ids by UDID.
func devices() (map[string]uint32, error) {
	c, err := request("<key>MessageType</key><string>ListDevices</string>")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b, err := message(c, 20*time.Second)
	if err != nil {
		return nil, fmt.Errorf("ListDevices: %w", err)
	}
	all := make(map[string]uint32)
	for _, part := range bytes.Split(b, []byte("<key>Properties</key>"))[1:] {
		id, serial := deviceKey.FindSubmatch(part), serialKey.FindSubmatch(part)
		if id == nil || serial == nil {
			return nil, fmt.Errorf("odd device list: %s", b)
		}
		n, err := strconv.ParseUint(string(id[1]), 10, 32)
		if err != nil {
			return nil, err
		}
		all[string(serial[1])] = uint32(n)
	}
	return all, nil
}

// dial connects to a port of a phone.
func dial(device uint32, port uint16) (net.Conn, error) {
	c, err := request(fmt.Sprintf("<key>MessageType</key><string>Connect</string>"+
		"<key>DeviceID</key><integer>%d</integer><key>PortNumber</key><integer>%d</integer>", device, bits.ReverseBytes16(port)))
	if err != nil {
		return nil, err
	}
	b, err := message(c, 30*time.Second)
	if err == nil {
		if m := numberKey.FindSubmatch(b); m == nil || string(m[1]) != "0" {
			err = fmt.Errorf("connect to port %d of device %d: %s", port, device, b)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, c.SetDeadline(time.Time{})
}

// event is a message to a listener.
type event struct {
	kind   string // Attached, Detached, Paired
	device uint32
	udid   string // of Attached
}

// listener is a client that has sent Listen.
type listener struct{ net.Conn }

func listen(t *testing.T) listener {
	t.Helper()
	c, err := request("<key>MessageType</key><string>Listen</string>")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if b, err := message(c, 20*time.Second); err != nil || !numberKey.Match(b) {
		t.Fatalf("Listen: %s, %v", b, err)
	}
	return listener{c}
}

// next is the next event but Paired.
func (l listener) next(limit time.Duration) (event, error) {
	for {
		b, err := message(l, limit)
		if err != nil {
			return event{}, fmt.Errorf("no event: %w", err)
		}
		kind, id, serial := typeKey.FindSubmatch(b), deviceKey.FindSubmatch(b), serialKey.FindSubmatch(b)
		if kind == nil || id == nil {
			return event{}, fmt.Errorf("odd event: %s", b)
		}
		n, err := strconv.ParseUint(string(id[1]), 10, 32)
		if err != nil {
			return event{}, err
		}
		ev := event{kind: string(kind[1]), device: uint32(n)}
		if serial != nil {
			ev.udid = string(serial[1])
		}
		if ev.kind != "Paired" {
			return ev, nil
		}
	}
}

// await takes the next event, which must be of this kind and phone.
func (l listener) await(t *testing.T, kind string, p *phone) event {
	t.Helper()
	ev, err := l.next(time.Minute)
	if err != nil {
		t.Fatalf("waiting for %s: %v", kind, err)
	}
	if ev.kind != kind || kind == "Attached" && ev.udid != p.UDID() {
		t.Fatalf("want %s of %s, got %+v", kind, p.UDID(), ev)
	}
	return ev
}

// echo sends n bytes to a phone and reads them back.
func echo(device uint32, n int) error {
	c, err := dial(device, virtualphone.EchoPort)
	if err != nil {
		return err
	}
	defer c.Close()
	return echoOn(c, n)
}

func echoOn(c net.Conn, n int) error {
	data := make([]byte, n)
	rand.Read(data)
	if err := c.SetDeadline(time.Now().Add(scaled(time.Minute))); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- err
	}()
	got := make([]byte, n)
	if _, err := io.ReadFull(c, got); err != nil {
		c.Close()
		<-sent
		return fmt.Errorf("echo of %d bytes: %w", n, err)
	}
	if err := <-sent; err != nil {
		return fmt.Errorf("echo of %d bytes: %w", n, err)
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("echo of %d bytes differs", n)
	}
	return nil
}
