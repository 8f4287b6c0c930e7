package lockdown

import (
	"context"
	"fmt"
	"net"
)

const (
	// ServiceInsecureNotify is the notification proxy that needs no pairing.
	ServiceInsecureNotify = "com.apple.mobile.insecure_notification_proxy"

	// NotifyRequestPair is posted when the user has answered the Trust dialog:
	// time to Pair again.
	NotifyRequestPair = "com.apple.mobile.lockdown.request_pair"

	// NotifyRequestHostBUID is posted when the phone wants to be told
	// UntrustedHostBUID again.
	NotifyRequestHostBUID = "com.apple.mobile.lockdown.request_host_buid"
)

// Notifier hears the notifications of a phone. One goroutine uses it at a time;
// only Close may come from another. Any error ends it, that of a context too.
//
// The proxy's messages are framed like lockdownd's:
//
//	host  {Command: ObserveNotification, Name}  ──▶
//	                                            ◀──  {Command: RelayNotification, Name}  any number
//	                                            ◀──  {Command: ProxyDeath}
type Notifier struct {
	link
	cfg Config
}

// Notifications starts the insecure notification proxy and connects to it. The
// phone refuses with ErrPasswordProtected while it is locked. The caller must
// Close the Notifier; it needs the Client no longer.
func (c *Client) Notifications(ctx context.Context) (*Notifier, error) {
	svc, err := c.StartService(ctx, ServiceInsecureNotify, false)
	if err != nil {
		return nil, err
	}
	conn, err := c.DialService(ctx, svc)
	if err != nil {
		return nil, err
	}
	return NewNotifier(conn, c.cfg), nil
}

// NewNotifier takes over a connection to a notification proxy.
func NewNotifier(conn net.Conn, cfg Config) *Notifier {
	return &Notifier{link: link{raw: conn, conn: conn}, cfg: cfg.withDefaults()}
}

// Observe subscribes to notifications by name. The proxy does not answer.
func (n *Notifier) Observe(ctx context.Context, names ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout, ErrTimeout)
	defer cancel()
	for _, name := range names {
		frame, err := encodeFrame(map[string]any{"Command": "ObserveNotification", "Name": name})
		if err != nil {
			return err
		}
		err = n.do(ctx, func(conn net.Conn) error {
			_, err := conn.Write(frame)
			return err
		})
		if err != nil {
			return fmt.Errorf("observe %q: %w", name, err)
		}
	}
	return nil
}

// Next waits for a notification, as long as ctx lets it, and returns its name.
// Other messages of the proxy are passed over.
func (n *Notifier) Next(ctx context.Context) (string, error) {
	var name string
	err := n.do(ctx, func(conn net.Conn) error {
		for name == "" {
			frame, err := readFrame(conn)
			if err != nil {
				return err
			}
			if name, err = decodeNotification(frame); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("wait for notification: %w", err)
	}
	return name, nil
}

// decodeNotification returns the name in a relayed notification, "" for another
// message and ErrProxyDeath for the last one.
func decodeNotification(frame []byte) (string, error) {
	var message struct {
		Command string `plist:"Command"`
		Name    string `plist:"Name"`
	}
	if err := decode(frame, &message); err != nil {
		return "", err
	}
	switch message.Command {
	case "RelayNotification":
		return message.Name, nil
	case "ProxyDeath":
		return "", ErrProxyDeath
	}
	return "", nil
}
