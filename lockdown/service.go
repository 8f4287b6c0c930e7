package lockdown

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// Service is where a started service waits. Its port is good for one connection
// and for a short time.
type Service struct {
	Name string
	Port uint16
	SSL  bool // TLS first, under the session's record
}

// StartService starts a service on the phone. Most need a session; without one
// the phone answers ErrSessionInactive. With escrow the record's EscrowBag goes
// along, which lets a service read while the phone is locked; it is a secret, so
// that needs a TLS session, else ErrNoSession.
func (c *Client) StartService(ctx context.Context, name string, escrow bool) (Service, error) {
	args := map[string]any{"Service": name}
	if escrow {
		switch {
		case !c.Secure():
			return Service{}, fmt.Errorf("escrow bag for %q: %w", name, ErrNoSession)
		case len(c.record.EscrowBag) == 0:
			return Service{}, fmt.Errorf("%w: no EscrowBag", ErrRecord)
		}
		args["EscrowBag"] = c.record.EscrowBag
	}
	var reply struct {
		Port uint16 `plist:"Port"`
		TLS  bool   `plist:"EnableServiceSSL"`
	}
	if err := c.call(ctx, "StartService", args, &reply); err != nil {
		return Service{}, err
	}
	if reply.Port == 0 {
		return Service{}, fmt.Errorf("lockdown StartService %s: %w: Port is missing", name, ErrProtocol)
	}
	return Service{Name: name, Port: reply.Port, SSL: reply.TLS}, nil
}

// DialService connects to a started service, with TLS if it asks for that. The
// caller must Close the connection, which is independent of the Client's.
//
// A phone that hangs up without close_notify, as they do, is a plain io.EOF if it
// does so between two TLS records: crypto/tls sees to that. Within a record it is
// io.ErrUnexpectedEOF.
func (c *Client) DialService(ctx context.Context, svc Service) (net.Conn, error) {
	conn, err := c.dialService(ctx, svc)
	if err != nil {
		return nil, fmt.Errorf("connect to service %q: %w", svc.Name, err)
	}
	return conn, nil
}

func (c *Client) dialService(ctx context.Context, svc Service) (net.Conn, error) {
	var cfg *tls.Config
	if svc.SSL {
		if c.sessionID == "" {
			return nil, ErrNoSession
		}
		var err error
		if cfg, err = tlsConfig(c.record, c.identity); err != nil {
			return nil, err
		}
	}
	conn, err := dialPort(ctx, c.dial, svc.Port, c.cfg.Timeout)
	if err != nil || cfg == nil {
		return conn, err
	}
	l := link{raw: conn, conn: conn, timeout: c.cfg.Timeout}
	if err := l.do(ctx, l.handshake(cfg)); err != nil {
		return nil, err
	}
	return l.conn, nil
}
