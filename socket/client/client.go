package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gomuxd/socket/address"
)

// Device is a device that a daemon lists.
type Device struct {
	ID         uint32 // of this daemon, until the device goes
	UDID       string
	Connection string // "USB" or "Network"
	Speed      uint64 // bits per second, 0 unknown
	ProductID  uint16 // USB product id, 0 unknown
	LocationID uint32 // 0 unknown; usbmuxd for Linux: bus number << 16 | address
}

// Kind is what an Event tells of.
type Kind string

const (
	Attached Kind = "Attached"
	Detached Kind = "Detached"
	Paired   Kind = "Paired" // a pair record of it was saved
)

// Event is one change. Of a device that is detached or paired only the ID is
// known.
type Event struct {
	Kind   Kind
	Device Device
}

// MessageTypes of the requests.
const (
	reqListDevices  = "ListDevices"
	reqListen       = "Listen"
	reqConnect      = "Connect"
	reqReadBUID     = "ReadBUID"
	reqReadRecord   = "ReadPairRecord"
	reqSaveRecord   = "SavePairRecord"
	reqDeleteRecord = "DeletePairRecord"
)

// Client asks the daemon at one address. Its methods may be called from any
// goroutine; ctx bounds each, except a Conn that Connect has returned.
type Client struct {
	network, address string
	tls              *tls.Config // nil for none
	peer             Peer
	hasPeer          bool
	tag              atomic.Uint32

	mu   sync.Mutex
	idle net.Conn // of Dial, for the first request
}

// Dial connects to the daemon at addr, whose forms address.Parse tells; if it is
// empty to that of AddressEnv, else to DefaultAddress. Its error wraps
// ErrNoDaemon if nobody listens there. An address for TLS needs the files that
// CertificateEnv and its fellows name; whether the daemon takes the certificate shows
// with the first request. The caller must Close the Client.
func Dial(ctx context.Context, addr string) (*Client, error) {
	network, place, err := address.Parse(Address(addr))
	if err != nil {
		return nil, err
	}
	c := &Client{network: network, address: place}
	if network == "tls" {
		c.network = "tcp"
		if c.tls, err = tlsConfig(place); err != nil {
			return nil, err
		}
	}
	if c.idle, err = c.dial(ctx); err != nil {
		return nil, err
	}
	if p, err := PeerOf(c.idle); err == nil {
		c.peer, c.hasPeer = p, true
	}
	return c, nil
}

// Close closes the connection that no request has used. Connections of Connect
// stay.
func (c *Client) Close() error {
	if conn := c.takeIdle(); conn != nil {
		return conn.Close()
	}
	return nil
}

// Peer is the process that answered Dial; false if it was not on a Unix socket.
// Under socket activation that is systemd until the daemon has started.
func (c *Client) Peer() (Peer, bool) { return c.peer, c.hasPeer }

func (c *Client) takeIdle() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.idle
	c.idle = nil
	return conn
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, c.network, c.address)
	switch {
	case err == nil && c.tls != nil:
		secure := tls.Client(conn, c.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("TLS with %s: %w", c.address, err)
		}
		return secure, nil
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no %s: start usbmuxd, or plug in a device if udev starts it", ErrNoDaemon, c.address)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w: nobody listens on %s: see \"systemctl status usbmuxd\"", ErrNoDaemon, c.address)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s may not be opened by this user: %w", c.address, err)
	}
	return nil, err
}

// identity is what every request says of its client.
type identity struct {
	BundleID            string
	ClientVersionString string
	MessageType         string
	ProgName            string
	KLibUSBMuxVersion   uint32 `plist:"kLibUSBMuxVersion"`
}

// protocolVersion is that of the property list requests.
const protocolVersion = 3

func identify(request string) identity {
	return identity{"gomuxd.client", "gomuxd", request, filepath.Base(os.Args[0]), protocolVersion}
}

// begin sends a request and reads what answers it. The caller must close the
// connection and call stop, which ends ctx's hold on it.
func (c *Client) begin(ctx context.Context, request string, v any) (conn net.Conn, m message, stop func() bool, err error) {
	conn = c.takeIdle()
	if conn == nil {
		if conn, err = c.dial(ctx); err != nil {
			return nil, message{}, nil, err
		}
	}
	stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if err != nil {
			stop()
			conn.Close()
			err = reason(ctx, request, err)
		}
	}()
	tag := c.tag.Add(1)
	b, err := appendRequest(nil, tag, v)
	if err != nil {
		return conn, m, stop, err
	}
	if _, err = conn.Write(b); err != nil {
		return conn, m, stop, err
	}
	m, err = readMessage(conn)
	switch {
	case err != nil:
	case m.tag != tag:
		err = fmt.Errorf("%w: a reply to request %d, want %d", ErrProtocol, m.tag, tag)
	case m.isResult && m.number != 0:
		err = &ResultError{request, m.number}
	}
	return conn, m, stop, err
}

// reason is err as the caller should see it.
func reason(ctx context.Context, request string, err error) error {
	var (
		refusal *ResultError
		alert   *net.OpError
	)
	switch {
	case errors.As(err, &refusal):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", request, ctx.Err())
	case errors.As(err, &alert) && alert.Op == "remote error": // package tls's name for an alert
		return fmt.Errorf("%s: usbmuxd does not take the certificate in %s, and its log says why: %w", request, CertificateEnv, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: usbmuxd ended the connection without an answer: %w", request, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("%s: %w", request, err)
}

// ask makes a request that one message answers.
func (c *Client) ask(ctx context.Context, request string, v any) (message, error) {
	conn, m, stop, err := c.begin(ctx, request, v)
	if err != nil {
		return message{}, err
	}
	stop()
	conn.Close()
	return m, nil
}

// ListDevices lists the devices that are attached, in the daemon's order.
func (c *Client) ListDevices(ctx context.Context) ([]Device, error) {
	m, err := c.ask(ctx, reqListDevices, identify(reqListDevices))
	if err != nil {
		return nil, err
	}
	if m.isResult {
		return nil, fmt.Errorf("%s: %w: a result in place of a list", reqListDevices, ErrProtocol)
	}
	return m.devices, nil
}

// Listen calls fn for every device that is attached and then for every change,
// one at a time. It returns fn's error, the context's, or one that wraps
// io.ErrUnexpectedEOF when the daemon goes.
func (c *Client) Listen(ctx context.Context, fn func(Event) error) error {
	conn, m, stop, err := c.begin(ctx, reqListen, identify(reqListen))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer stop()
	if !m.isResult {
		return fmt.Errorf("%s: %w: %q in place of a result", reqListen, ErrProtocol, m.kind)
	}
	for {
		m, err := readMessage(conn)
		if err != nil {
			return reason(ctx, reqListen, err)
		}
		e := Event{Kind: Kind(m.kind)}
		switch e.Kind {
		case Attached:
			e.Device = m.device
			if e.Device.UDID == "" {
				continue
			}
		case Detached, Paired:
			e.Device.ID = m.number
		default:
			continue // of a later daemon
		}
		if e.Device.ID == 0 {
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

// Connect opens a connection to a TCP port of a device. The error unwraps to
// syscall.ECONNREFUSED if the device refuses, to syscall.ENODEV if it is not
// there. The caller must Close the connection.
func (c *Client) Connect(ctx context.Context, deviceID uint32, port uint16) (net.Conn, error) {
	conn, m, stop, err := c.begin(ctx, reqConnect, struct {
		identity
		DeviceID   uint32
		PortNumber uint16 // in network order, read as little-endian
	}{identify(reqConnect), deviceID, bits.ReverseBytes16(port)})
	if err != nil {
		return nil, err
	}
	if !stop() { // the deadline is set, or about to be
		conn.Close()
		return nil, fmt.Errorf("%s: %w", reqConnect, ctx.Err())
	}
	if !m.isResult {
		conn.Close()
		return nil, fmt.Errorf("%s: %w: %q in place of a result", reqConnect, ErrProtocol, m.kind)
	}
	return conn, nil
}

// ReadBUID returns the identity by which devices know this computer.
func (c *Client) ReadBUID(ctx context.Context) (string, error) {
	m, err := c.ask(ctx, reqReadBUID, identify(reqReadBUID))
	if err != nil {
		return "", err
	}
	if m.buid == "" {
		return "", fmt.Errorf("%s: %w: no BUID in the reply", reqReadBUID, ErrProtocol)
	}
	return m.buid, nil
}

// recordRequest names the record that a request is about.
type recordRequest struct {
	identity
	PairRecordID   string
	PairRecordData []byte `plist:",omitempty"`
	DeviceID       uint32 `plist:",omitempty"`
}

// ReadPairRecord returns the pair record of a device, a property list with
// secrets in it. Without one the error unwraps to syscall.ENOENT.
func (c *Client) ReadPairRecord(ctx context.Context, udid string) ([]byte, error) {
	m, err := c.ask(ctx, reqReadRecord, recordRequest{identity: identify(reqReadRecord), PairRecordID: udid})
	if err != nil {
		return nil, err
	}
	if len(m.record) == 0 {
		return nil, fmt.Errorf("%s: %w: no record in the reply", reqReadRecord, ErrProtocol)
	}
	return m.record, nil
}

// SavePairRecord stores a pair record. If deviceID is not 0, listeners are told
// that this device is paired.
func (c *Client) SavePairRecord(ctx context.Context, udid string, data []byte, deviceID uint32) error {
	return c.do(ctx, reqSaveRecord, recordRequest{identify(reqSaveRecord), udid, data, deviceID})
}

// DeletePairRecord deletes the pair record of a device; the device is not told.
func (c *Client) DeletePairRecord(ctx context.Context, udid string) error {
	return c.do(ctx, reqDeleteRecord, recordRequest{identity: identify(reqDeleteRecord), PairRecordID: udid})
}

// do makes a request that a result answers.
func (c *Client) do(ctx context.Context, request string, v any) error {
	m, err := c.ask(ctx, request, v)
	if err == nil && !m.isResult {
		err = fmt.Errorf("%s: %w: %q in place of a result", request, ErrProtocol, m.kind)
	}
	return err
}
