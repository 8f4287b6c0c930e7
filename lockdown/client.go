package lockdown

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"gomuxd/pairrecord"
)

const (
	// Port is lockdownd's TCP port on the phone.
	Port = 62078

	// DefaultLabel is how this daemon introduces itself, as the C daemon does.
	DefaultLabel = "usbmuxd"

	// DefaultTimeout is how long to wait for one reply. Source: the receive
	// timeout of libimobiledevice's lockdown client.
	DefaultTimeout = 30 * time.Second

	// TypeLockdown is QueryType's answer from a phone that runs normally. One
	// that is being restored gives another.
	TypeLockdown = "com.apple.mobile.lockdown"
)

// DialFunc opens a connection to a TCP port of the phone. The connection must
// support deadlines.
type DialFunc func(ctx context.Context, port uint16) (net.Conn, error)

// Config adjusts a Client or Notifier. The zero value is good.
type Config struct {
	// Label is the name sent with each request; DefaultLabel if empty.
	Label string

	// Timeout bounds each dial, each TLS handshake and the wait for each reply;
	// DefaultTimeout if 0. A context may end earlier.
	Timeout time.Duration

	// Log may be nil. Values, records and keys are never logged.
	Log *zap.Logger
}

func (cfg Config) withDefaults() Config {
	cfg.Label = cmp.Or(cfg.Label, DefaultLabel)
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return cfg
}

// Client is one connection to lockdownd. One goroutine uses it at a time; only
// Close may come from another.
//
// The phone's refusals are *Error; they leave the Client usable, and so does a
// single value of the wrong kind in a reply. After any other error (the context
// or timeout ended, the phone hung up, sent nonsense, TLS failed) the connection
// is closed and every later call returns that first error.
type Client struct {
	cfg  Config
	dial DialFunc
	link

	identity  Identity // cached for its class and version
	sessionID string
	record    pairrecord.Record // of the session, for services and the escrow bag
}

// Dial connects to lockdownd. It sends nothing yet. The caller must Close the
// Client.
func Dial(ctx context.Context, dial DialFunc, cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	conn, err := dialPort(ctx, dial, Port, cfg.Timeout)
	if err != nil {
		return nil, fmt.Errorf("dial lockdownd: %w", err)
	}
	return &Client{cfg: cfg, dial: dial, link: link{raw: conn, conn: conn, timeout: cfg.Timeout}}, nil
}

func dialPort(ctx context.Context, dial DialFunc, port uint16, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	conn, err := dial(ctx, port)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ended(ctx)
	}
	return nil, fmt.Errorf("%w: %w", ErrConnection, err)
}

// QueryType asks what answers on this port: TypeLockdown on a phone that runs
// normally.
func (c *Client) QueryType(ctx context.Context) (string, error) {
	d, err := c.call(ctx, "QueryType", nil)
	if err != nil {
		return "", err
	}
	typ, err := d.str("Type")
	if err == nil && typ == "" {
		err = fmt.Errorf("%w: Type is missing", ErrProtocol)
	}
	return typ, inReply("QueryType", err)
}

// Value asks for one value and decodes it into v, a pointer. An empty domain is
// the global one; an empty key asks for all values of the domain, a dictionary.
// A phone that answers without a value is ErrMissingValue. A value of another
// kind than v, or a number too large for it, is ErrProtocol.
func (c *Client) Value(ctx context.Context, domain, key string, v any) error {
	d, err := c.call(ctx, "GetValue", where(domain, key))
	if err != nil {
		return err
	}
	value, ok := d["Value"]
	if !ok {
		return &Error{Name: ErrMissingValue, Request: "GetValue"}
	}
	name := cmp.Or(key, domain, "Value")
	return inReply("GetValue", assign(v, value, name))
}

// String asks for a string.
func (c *Client) String(ctx context.Context, domain, key string) (string, error) {
	var s string
	err := c.Value(ctx, domain, key, &s)
	return s, err
}

// Bytes asks for data.
func (c *Client) Bytes(ctx context.Context, domain, key string) ([]byte, error) {
	var b []byte
	err := c.Value(ctx, domain, key, &b)
	return b, err
}

// Bool asks for a boolean.
func (c *Client) Bool(ctx context.Context, domain, key string) (bool, error) {
	var b bool
	err := c.Value(ctx, domain, key, &b)
	return b, err
}

// SetValue sets one value, anything a property list can hold.
func (c *Client) SetValue(ctx context.Context, domain, key string, value any) error {
	args := where(domain, key)
	args["Value"] = value
	_, err := c.call(ctx, "SetValue", args)
	return err
}

func where(domain, key string) map[string]any {
	args := map[string]any{}
	if domain != "" {
		args["Domain"] = domain
	}
	if key != "" {
		args["Key"] = key
	}
	return args
}

// call sends one request and waits for its reply.
func (c *Client) call(ctx context.Context, request string, args map[string]any) (dict, error) {
	msg := map[string]any{"Label": c.cfg.Label, "Request": request}
	for k, v := range args {
		msg[k] = v
	}
	frame, err := encodeFrame(msg)
	if err != nil {
		return nil, inReply(request, err)
	}
	var d dict
	err = c.do(ctx, func(conn net.Conn) error {
		if _, err := conn.Write(frame); err != nil {
			return err
		}
		reply, err := readFrame(conn)
		if err != nil {
			return err
		}
		d, err = decodeReply(request, reply)
		return err
	})
	if isRefusal(err) {
		c.cfg.Log.Debug("lockdown request refused", zap.Error(err))
		return nil, err // names the request itself
	}
	return d, inReply(request, err)
}

// inReply adds the request to an error found inside a reply.
func inReply(request string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("lockdown %s: %w", request, err)
}

// link is a connection with a bound on every operation and a memory of its first
// failure. raw is the connection dialed; conn is raw or TLS over it.
type link struct {
	raw, conn net.Conn
	timeout   time.Duration // of one operation; 0 for none
	failed    error         // first failure; raw is closed then
	closing   sync.Once
	closeErr  error
}

// Close closes the connection. It may be called more than once and at any time;
// an operation under way then ends with an error.
func (l *link) Close() error {
	l.closing.Do(func() { l.closeErr = l.raw.Close() })
	return l.closeErr
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// do runs op on the connection, bounded by ctx and the timeout. Any error but
// the phone's refusal closes the connection.
func (l *link) do(ctx context.Context, op func(net.Conn) error) error {
	if l.failed != nil {
		return l.failed
	}
	if l.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, l.timeout, ErrTimeout)
		defer cancel()
	}
	if ctx.Err() != nil {
		return l.fail(ended(ctx))
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		// Not through TLS: only the connection below can be interrupted whatever
		// TLS is doing.
		if l.raw.SetDeadline(past) != nil {
			l.Close()
		}
	})
	err := op(l.conn)
	answered := err == nil || isRefusal(err)
	if !stop() {
		<-interrupted
		if answered {
			// The answer was first. Should this fail, the next operation tells.
			_ = l.raw.SetDeadline(time.Time{})
		}
	}
	switch {
	case answered:
		return err
	case ctx.Err() != nil && !errors.Is(err, ErrProtocol):
		return l.fail(ended(ctx))
	}
	return l.fail(l.explain(err))
}

// ended is why ctx ended: ErrTimeout if it was the timeout of one operation.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); cause == ErrTimeout {
		return cause
	}
	return ctx.Err()
}

func isRefusal(err error) bool {
	var refused *Error
	return errors.As(err, &refused)
}

// explain gives an I/O error the meaning it has here.
func (l *link) explain(err error) error {
	switch {
	case errors.Is(err, ErrProtocol), errors.Is(err, ErrTLS), errors.Is(err, ErrProxyDeath):
		return err
	case l.conn != l.raw && isTLSError(err):
		return fmt.Errorf("%w: %w", ErrTLS, err)
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF // a reply was due
	}
	return fmt.Errorf("%w: %w", ErrConnection, err)
}

// fail keeps the first failure and closes the connection.
func (l *link) fail(err error) error {
	if l.failed == nil {
		l.failed = err
		l.Close()
	}
	return l.failed
}
