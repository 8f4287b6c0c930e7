package lockdown

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// phone plays lockdownd, or a service, on one connection. It knows the wire and
// nothing of this package's code. Its methods may be called from the script's
// goroutine only and end the script on a mistake of the host's.
type phone struct {
	t    testing.TB
	conn net.Conn
}

// data returns b as a property list element.
func data(b []byte) string { return "<data>" + base64.StdEncoding.EncodeToString(b) + "</data>" }

type scriptEnd struct{}

func (p *phone) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Errorf("phone: "+format, args...)
	panic(scriptEnd{})
}

// read returns the next message as XML without white space, or "" at the end of
// the stream.
func (p *phone) read() string {
	var head [4]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		return ""
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(p.conn, body); err != nil {
		p.fatalf("message cut short: %v", err)
	}
	return compact(body)
}

// expect reads a request and checks that all of parts are in it.
func (p *phone) expect(request string, parts ...string) string {
	p.t.Helper()
	got := p.read()
	parts = append(parts, "<key>Request</key><string>"+request+"</string>", "<key>Label</key>")
	for _, part := range parts {
		if !strings.Contains(got, part) {
			p.fatalf("request = %s\nwant %s in it", got, part)
		}
	}
	return got
}

// send writes bytes as they are. A host that has hung up is not a mistake.
func (p *phone) send(b []byte) { _, _ = p.conn.Write(b) }

// message writes a message.
func (p *phone) message(body []byte) {
	p.send(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
}

// reply writes the reply to request: a dictionary with the given inside.
func (p *phone) reply(request, inside string) {
	p.message(xmlDict("<key>Request</key><string>" + request + "</string>" + inside))
}

func (p *phone) refuse(request, name string) {
	p.reply(request, "<key>Error</key><string>"+name+"</string>")
}

// answer is expect and reply in one.
func (p *phone) answer(request, inside string) {
	p.t.Helper()
	p.expect(request)
	p.reply(request, inside)
}

// serveGeneration answers the two questions about class and version.
func (p *phone) serveGeneration(class, version string) {
	p.t.Helper()
	p.expect("GetValue", "<key>Key</key><string>ProductVersion</string>")
	p.reply("GetValue", "<key>Value</key><string>"+version+"</string>")
	p.expect("GetValue", "<key>Key</key><string>DeviceClass</string>")
	p.reply("GetValue", "<key>Value</key><string>"+class+"</string>")
}

// secure puts TLS on top, the phone being the server.
func (p *phone) secure(cfg *tls.Config) error {
	conn := tls.Server(p.conn, cfg)
	if err := conn.Handshake(); err != nil {
		return err
	}
	p.conn = conn
	return nil
}

// dialer returns a DialFunc that connects to scripts by port. The test ends only
// when all scripts have.
func dialer(t testing.TB, scripts map[uint16]func(*phone)) DialFunc {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	return func(ctx context.Context, port uint16) (net.Conn, error) {
		script := scripts[port]
		if script == nil {
			return nil, fmt.Errorf("port %d: %w", port, errors.ErrUnsupported)
		}
		host, end := net.Pipe()
		wg.Go(func() {
			defer end.Close()
			defer func() {
				if r := recover(); r != nil && r != (scriptEnd{}) {
					panic(r)
				}
			}()
			script(&phone{t: t, conn: end})
		})
		return host, nil
	}
}

// connect returns a Client that talks to script.
func connect(t testing.TB, cfg Config, script func(*phone)) *Client {
	t.Helper()
	return connectTo(t, cfg, map[uint16]func(*phone){Port: script})
}

func connectTo(t testing.TB, cfg Config, scripts map[uint16]func(*phone)) *Client {
	t.Helper()
	c, err := Dial(t.Context(), dialer(t, scripts), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
