package control

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"gomuxd/socket/address"
)

// DefaultSocket is where the daemon serves the control API.
const DefaultSocket = "/run/usbmuxd.control"

// Suffix is what the name of a daemon's control socket has more than that of its
// first Unix socket, if it is told nothing else.
const Suffix = ".control"

// SocketEnv is the environment variable that names another socket.
const SocketEnv = "USBMUXD_CONTROL"

// SocketPath returns the path of the control socket of the daemon that serves a
// usbmuxd address: that of SocketEnv, or the one beside the Unix socket, or
// DefaultSocket.
func SocketPath(usbmuxd string) string {
	beside := ""
	if network, path, err := address.Parse(usbmuxd); err == nil && network == "unix" {
		if rest, ok := strings.CutPrefix(path, "/var/run/"); ok {
			path = "/run/" + rest // the same directory, by its name of today
		}
		beside = path + Suffix
	}
	return cmp.Or(os.Getenv(SocketEnv), beside, DefaultSocket)
}

// maxReply is the longest reply that a client takes, in bytes.
const maxReply = 16 << 20

// Client asks a daemon over its control socket. Each request is a connection of
// its own; a Client holds nothing open. Its methods may be called from any
// goroutine. What a device may be called is told at Hub.Find.
//
// What the daemon answers with is an *Error. An error wraps ErrNoDaemon if
// nobody listens.
type Client struct {
	http *http.Client
}

// Dial returns a client of the socket at path, which is not yet connected to.
func Dial(path string) *Client {
	return NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", path)
		if err != nil {
			return nil, dialError(path, err)
		}
		return conn, nil
	})
}

// NewClient returns a client that connects with dial.
func NewClient(dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{&http.Client{
		Transport: &http.Transport{
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			DisableKeepAlives:  true,
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// dialError says what to do about a socket that cannot be connected to.
func dialError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no %s: start it with \"systemctl start usbmuxd\", or plug in a phone; the C daemon has no such socket", ErrNoDaemon, path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody listens on %s any more: see \"systemctl status usbmuxd\"", ErrNoDaemon, path)
	}
	return err
}

// Devices lists what is plugged in, by device id, then by port path.
func (c *Client) Devices(ctx context.Context) ([]Device, error) {
	var devices []Device
	err := c.call(ctx, "GET", nil, &devices, "devices")
	return devices, err
}

// Device returns the device that ref means.
func (c *Client) Device(ctx context.Context, ref string) (Device, error) {
	var d Device
	err := c.call(ctx, "GET", nil, &d, "devices", ref)
	return d, err
}

// Stats returns the counters of all devices.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	err := c.call(ctx, "GET", nil, &s, "stats")
	return s, err
}

// Records lists the pair records.
func (c *Client) Records(ctx context.Context) ([]Record, error) {
	var records []Record
	err := c.call(ctx, "GET", nil, &records, "records")
	return records, err
}

// Record returns the pair record of a phone: a UDID, its beginning, or what a
// device that is plugged in may be called.
func (c *Client) Record(ctx context.Context, ref string) (Record, error) {
	var r Record
	err := c.call(ctx, "GET", nil, &r, "records", ref)
	return r, err
}

// Daemon asks the daemon about itself. Records is nil for those who may not list
// them.
func (c *Client) Daemon(ctx context.Context) (Daemon, error) {
	var d Daemon
	err := c.call(ctx, "GET", nil, &d, "daemon")
	return d, err
}

// Trust has the phone asked, and returns it as it is once that is under way.
// What follows shows as events.
func (c *Client) Trust(ctx context.Context, ref string, req TrustRequest) (Device, error) {
	var d Device
	err := c.call(ctx, "POST", req, &d, "devices", ref, "trust")
	return d, err
}

// AskAgain has a phone asked whose owner has said no.
func (c *Client) AskAgain(ctx context.Context, ref string) (Device, error) {
	var d Device
	err := c.call(ctx, "POST", nil, &d, "devices", ref, "ask-again")
	return d, err
}

// Reset has the device that ref means reset over USB, and returns it as it is then:
// that it is back shows as events.
func (c *Client) Reset(ctx context.Context, ref string) (Device, error) {
	var d Device
	err := c.call(ctx, "POST", nil, &d, "devices", ref, "reset")
	return d, err
}

// Reopen has the daemon let go of a device and open it anew.
func (c *Client) Reopen(ctx context.Context, ref string) (Device, error) {
	var d Device
	err := c.call(ctx, "POST", nil, &d, "devices", ref, "reopen")
	return d, err
}

// Mode sets the USB mode that a device is asked for until the daemon's end: 1 to 5,
// or 0, which keeps what there is.
func (c *Client) Mode(ctx context.Context, ref string, mode int) (Device, error) {
	var d Device
	err := c.call(ctx, "POST", ModeRequest{&mode}, &d, "devices", ref, "mode")
	return d, err
}

// Untrust ends the pairing with a phone that is plugged in.
func (c *Client) Untrust(ctx context.Context, ref string) (UntrustResult, error) {
	var r UntrustResult
	err := c.call(ctx, "POST", nil, &r, "devices", ref, "untrust")
	return r, err
}

// UntrustRecord ends the pairing with a phone that need not be plugged in.
func (c *Client) UntrustRecord(ctx context.Context, ref string) (UntrustResult, error) {
	var r UntrustResult
	err := c.call(ctx, "POST", nil, &r, "records", ref, "untrust")
	return r, err
}

// UntrustAll ends the pairing with every phone that there is a record of. A
// phone with which it went wrong has an Error in its result.
func (c *Client) UntrustAll(ctx context.Context) ([]UntrustResult, error) {
	var results []UntrustResult
	err := c.call(ctx, "POST", nil, &results, "untrust-all")
	return results, err
}

// Restore makes an earlier version of a pair record the present one.
func (c *Client) Restore(ctx context.Context, ref, copyID string) error {
	return c.call(ctx, "POST", RestoreRequest{Copy: copyID}, nil, "records", ref, "restore")
}

// captureEnd bounds how long a daemon may take to send the rest of a capture.
const captureEnd = 5 * time.Second

// Capture calls fn for every packet that goes over a phone's multiplexer, one at a
// time, first with an empty record when it has begun, until ctx ends, fn fails or the
// daemon goes. What has come before ctx ends is still given to fn, which need not
// hurry: what the daemon has no room for is dropped and counted.
func (c *Client) Capture(ctx context.Context, ref string, req CaptureRequest, fn func(Captured) error) error {
	var conn net.Conn
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	whole = httptrace.WithClientTrace(whole, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { conn = i.Conn }})
	asking := context.AfterFunc(ctx, cancel)
	resp, err := c.do(whole, "POST", req, "devices", ref, "capture")
	if !asking() {
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// The daemon takes the end of writing for a hang-up, and sends what waits.
	defer context.AfterFunc(ctx, func() {
		if w, ok := conn.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
			time.AfterFunc(captureEnd, cancel)
			return
		}
		cancel()
	})()
	r, buf := bufio.NewReaderSize(resp.Body, 256<<10), make([]byte, captureHeader+maxCaptured)
	for {
		got, err := readCaptured(r, buf)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%w any more: it has ended the capture", ErrNoDaemon)
		case err != nil:
			return fmt.Errorf("read the capture: %w", err)
		}
		got.More = r.Buffered() > 0
		if err := fn(got); err != nil {
			return err
		}
	}
}

// call makes a request and decodes its answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, method string, in, out any, segments ...string) error {
	resp, err := c.do(ctx, method, in, segments...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return fmt.Errorf("read the daemon's reply: %w", err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the daemon's reply: %w", err)
	}
	return nil
}

// do makes a request. An answer that is an error becomes one.
func (c *Client) do(ctx context.Context, method string, in any, segments ...string) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	u, err := endpoint(segments)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, callError(err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, answered(resp)
}

// endpoint makes a URL of path segments, each of which may be any text.
func endpoint(segments []string) (string, error) {
	var b strings.Builder
	b.WriteString("http://usbmuxd/v1")
	for _, s := range segments {
		if s == "" {
			return "", Errorf(CodeBadRequest, "an empty name names no device: give a UDID, a name or a port")
		}
		b.WriteByte('/')
		if strings.Trim(s, ".") == "" {
			s = strings.ReplaceAll(s, ".", "%2E") // else it would be resolved as a relative path
		} else {
			s = url.PathEscape(s)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// callError takes off what http adds to an error: a URL that nobody typed.
func callError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	switch {
	case errors.Is(err, ErrNoDaemon), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &op) && op.Op == "dial":
		return err
	}
	return fmt.Errorf("the daemon gave no answer, since it is stopping or serves too many clients: try again (%w)", err)
}

// answered returns the error that an answer is.
func answered(resp *http.Response) error {
	e := &Error{}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(b, e)
	}
	if err != nil || e.Code == "" || e.Message == "" {
		return &Error{
			Status:  resp.StatusCode,
			Code:    CodeFailed,
			Message: fmt.Sprintf("the daemon answered %q, which is not of its control API", resp.Status),
		}
	}
	e.Status = resp.StatusCode
	return e
}
