package service

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// notice is a message of the notification proxy, in either direction.
type notice struct {
	Command string `plist:"Command"`
	Name    string `plist:"Name,omitempty"`
}

// proxy is one connection to a notification proxy.
type proxy struct {
	centre *Notifications
	conn   net.Conn
	secure bool
	obs    *observer
	binary atomic.Bool // what the host wrote last, so what it is answered in
}

// Proxy serves com.apple.mobile.notification_proxy if secure is set and
// com.apple.mobile.insecure_notification_proxy if not; the latter passes only
// RequestPair and RequestHostBUID and ignores every other name without a word.
//
// The host sends ObserveNotification and PostNotification with a Name, and Shutdown.
// The phone sends RelayNotification for each observed name that is posted, by the
// phone or by any host, and answers Shutdown with ProxyDeath. Other commands are
// ignored.
//
// Source: the notification_proxy.h API page of libimobiledevice.
func (n *Notifications) Proxy(secure bool) Handler {
	return func(ctx context.Context, c net.Conn) {
		release := bind(ctx, c)
		defer release()
		p := &proxy{centre: n, conn: c, secure: secure, obs: n.join()}
		quit := make(chan struct{})
		var relay sync.WaitGroup
		relay.Go(func() { p.relay(quit) })

		err := p.listen()
		n.leave(p.obs)
		close(quit)
		if err != nil {
			release() // the relay may be waiting for a host that does not read
		}
		relay.Wait()
		if err == nil {
			// The host learns of a failed write by the closed connection.
			_ = p.send(notice{Command: "ProxyDeath"})
		}
	}
}

// listen carries out what the host asks for. It returns nil after Shutdown.
func (p *proxy) listen() error {
	for {
		var m notice
		inBinary, err := ReadPlist(p.conn, &m)
		if err != nil {
			return err
		}
		p.binary.Store(inBinary)
		if len(m.Name) > maxName {
			return fmt.Errorf("%w: notification name of %d bytes", ErrProtocol, len(m.Name))
		}
		switch m.Command {
		case "Shutdown":
			return nil
		case "ObserveNotification":
			if p.passes(m.Name) && !p.centre.observe(p.obs, m.Name) {
				return fmt.Errorf("%w: more than %d notifications observed", ErrProtocol, maxNames)
			}
		case "PostNotification":
			if p.passes(m.Name) {
				p.centre.Post(m.Name)
			}
		}
	}
}

// passes reports whether this proxy has to do with name.
func (p *proxy) passes(name string) bool {
	return name != "" && (p.secure || insecureNames[name])
}

// relay sends what is pending until quit is closed or the host is gone. It is the
// only writer while it runs.
func (p *proxy) relay(quit <-chan struct{}) {
	for {
		select {
		case <-quit:
			return
		case name := <-p.obs.pending:
			if p.send(notice{Command: "RelayNotification", Name: name}) != nil {
				p.conn.Close() // ends listen too
				return
			}
		}
	}
}

func (p *proxy) send(m notice) error {
	return WritePlist(p.conn, m, p.binary.Load())
}
