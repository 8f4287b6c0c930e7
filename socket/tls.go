package socket

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"gomuxd/access"
	"gomuxd/socket/address"
)

// Credentials are what TLS sockets prove themselves by, and whose certificates they
// let in. Both may be replaced at any time, which new connections see. The zero
// value lets nobody in.
type Credentials struct{ config atomic.Pointer[tls.Config] }

// Set replaces the certificate with its key, and the authorities that the
// certificates of clients are signed by.
func (c *Credentials) Set(own tls.Certificate, clients *x509.CertPool) {
	c.config.Store(&tls.Config{
		Certificates: []tls.Certificate{own},
		ClientCAs:    clients,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS13,
		// A ticket would let in whom a replaced authority does not know any more.
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if access.CertificateName(s.PeerCertificates[0]) == "" {
				return errNoName
			}
			return nil
		},
	})
}

var (
	errNoName        = errors.New("the client's certificate has neither a common name nor a DNS name")
	errNoCredentials = errors.New("there is no certificate to answer with")
)

// ListenTLS opens a TCP socket at addr, which is tls:host:port, tls:[v6]:port or
// tls://host:port, for clients that have a certificate. There is no rule about
// loopback addresses: nobody gets further than the handshake without one.
func ListenTLS(addr string, c *Credentials) (net.Listener, error) {
	network, place, err := address.Parse(addr)
	if err != nil {
		return nil, err
	}
	if network != "tls" {
		return nil, fmt.Errorf("%w %q: not for TLS; write tls:host:port", ErrAddress, addr)
	}
	l, err := listenTCP(place)
	if err != nil {
		return nil, err
	}
	return c.Secure(l), nil
}

// Secure makes the connections of l, a TCP socket, TLS ones; the network of its
// address is "tls".
func (c *Credentials) Secure(l net.Listener) net.Listener {
	return &secureListener{l, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if now := c.config.Load(); now != nil {
			return now, nil
		}
		return nil, errNoCredentials
	}}}
}

type secureListener struct {
	net.Listener
	config *tls.Config
}

// Accept returns a connection whose handshake its handler makes: the others do not
// wait for it.
func (l *secureListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	ends := &endNoted{Conn: conn}
	return &secureConn{tls.Server(ends, l.config), ends}, nil
}

// Addr is the address as Listen reads it.
func (l *secureListener) Addr() net.Addr { return secureAddr{l.Listener.Addr()} }

type secureAddr struct{ net.Addr }

func (secureAddr) Network() string  { return "tls" }
func (a secureAddr) String() string { return "tls:" + a.Addr.String() }

// secureConn is a client's TLS connection.
type secureConn struct {
	*tls.Conn
	socket *endNoted
}

// endNoted is a socket that knows whether its end has been read, which package tls
// takes for a close_notify if it comes between two records.
type endNoted struct {
	net.Conn
	ended bool // the reader's alone
}

func (s *endNoted) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.ended = s.ended || errors.Is(err, io.EOF)
	return n, err
}

// Read reads what the client sends until its close_notify, which is io.EOF. What
// breaks off without, or is no TLS, ends the socket: nobody can tell what is missing.
func (c *secureConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && (c.socket.ended || !errors.Is(err, io.EOF)) {
		c.socket.Conn.Close()
	}
	return n, err
}

// secured is conn as a TLS connection, nil if it is none.
func secured(conn net.Conn) *secureConn {
	c, _ := conn.(*secureConn)
	return c
}

// below is the socket that carries conn.
func below(conn net.Conn) net.Conn {
	if c := secured(conn); c != nil {
		return c.socket.Conn
	}
	return conn
}

// handshake lets a TLS client show its certificate, and says who it is by that. It
// reports false for one that is not let in, which has been told why by an alert.
func (c *client) handshake() bool {
	conn := secured(c.conn)
	if conn == nil {
		return true
	}
	_ = conn.SetDeadline(time.Now().Add(c.srv.cfg.HandshakeTimeout))
	err := conn.Handshake()
	c.srv.mu.Lock()
	c.srv.shaking--
	c.srv.mu.Unlock()
	if err == nil {
		_ = conn.SetDeadline(time.Time{})
		c.admit(conn.Conn)
		return true
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no handshake within %v", c.srv.cfg.HandshakeTimeout)
	}
	c.srv.audit.Warn("TLS client refused", append(c.who(), zap.Error(err))...)
	linger(below(conn)) // or a reset would overtake the alert
	return false
}
