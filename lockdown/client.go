package lockdown

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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
	var reply struct {
		Type string `plist:"Type"`
	}
	if err := c.call(ctx, "QueryType", nil, &reply); err != nil {
		return "", err
	}
	if reply.Type == "" {
		return "", fmt.Errorf("lockdown QueryType: %w: Type is missing", ErrProtocol)
	}
	return reply.Type, nil
}

// Value asks for one value and decodes it into v, a pointer. An empty domain is
// the global one; an empty key asks for all values of the domain, a dictionary.
// A phone that answers without a value is ErrMissingValue. A value of another
// kind than v, or a number too large for it, is ErrProtocol; *v is then as it was.
func (c *Client) Value(ctx context.Context, domain, key string, v any) error {
	message, err := c.exchange(ctx, "GetValue", where(domain, key))
	if err != nil {
		return err
	}
	found, err := decodeValue(message, v)
	if err != nil {
		return fmt.Errorf("lockdown GetValue %s: %w", cmp.Or(key, domain), err)
	}
	if !found {
		return &Error{Name: ErrMissingValue, Request: "GetValue", Subject: key}
	}
	return nil
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
	return c.call(ctx, "SetValue", args, nil)
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

// call sends one request and decodes what the phone grants into reply, a pointer
// to a struct, unless that is nil.
func (c *Client) call(ctx context.Context, request string, args map[string]any, reply any) error {
	message, err := c.exchange(ctx, request, args)
	if err != nil || reply == nil {
		return err
	}
	if err := decode(message, reply); err != nil {
		return fmt.Errorf("lockdown %s: %w", request, err)
	}
	return nil
}

// exchange sends one request and returns the reply, which grants it.
func (c *Client) exchange(ctx context.Context, request string, args map[string]any) ([]byte, error) {
	msg := map[string]any{"Label": c.cfg.Label, "Request": request}
	maps.Copy(msg, args)
	frame, err := encodeFrame(msg)
	if err != nil {
		return nil, fmt.Errorf("lockdown %s: %w", request, err)
	}
	var message []byte
	err = c.do(ctx, func(conn net.Conn) error {
		if _, err := conn.Write(frame); err != nil {
			return lastWords(conn, err)
		}
		if message, err = readFrame(conn); err != nil {
			return err
		}
		return checkReply(request, message)
	})
	if refused := (*Error)(nil); errors.As(err, &refused) {
		refused.Subject = subject(args)
		c.cfg.Log.Debug("lockdown request refused", zap.Error(refused))
		return nil, refused
	}
	if err != nil {
		return nil, fmt.Errorf("lockdown %s: %w", request, err)
	}
	return message, nil
}

// lastWords is why a write failed, if the phone has said so. In TLS 1.3 its alert
// about our certificate comes after the handshake; when its reset is as fast, a
// write fails before that alert was read.
func lastWords(conn net.Conn, failed error) error {
	if _, err := conn.Read(make([]byte, 1)); isTLSError(err) {
		return err
	}
	return failed
}

// subject is what a request is about, if that can be said in a word.
func subject(args map[string]any) string {
	for _, key := range []string{"Key", "Service"} {
		if s, ok := args[key].(string); ok {
			return s
		}
	}
	return ""
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
