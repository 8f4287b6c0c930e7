package lockdown

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"

	"gomuxd/pairrecord"
)

// StartSession opens a session with the phone under a pair record; the
// connection then speaks TLS, if the phone asks for it, which every phone since
// iOS 2 does. It asks for class and version first unless Identity has: TLS
// depends on them.
//
// ErrInvalidHostID means that the phone does not know the record; the Client is
// still usable. ErrTLS means that the handshake failed, with ErrDeviceKey if the
// phone is another one; ErrRecord that nothing was sent, because the record
// cannot serve.
func (c *Client) StartSession(ctx context.Context, rec pairrecord.Record) error {
	if c.sessionID != "" {
		return &Error{Name: ErrSessionActive, Request: "StartSession"}
	}
	if rec.HostID == "" {
		return fmt.Errorf("%w: no HostID", ErrRecord)
	}
	id, err := c.generation(ctx)
	if err != nil {
		return err
	}
	tlsCfg, err := tlsConfig(rec, id)
	if err != nil {
		return err
	}
	args := map[string]any{"HostID": rec.HostID}
	if rec.SystemBUID != "" {
		args["SystemBUID"] = rec.SystemBUID
	}
	var reply struct {
		SessionID string `plist:"SessionID"`
		TLS       bool   `plist:"EnableSessionSSL"`
	}
	err = c.call(ctx, "StartSession", args, &reply)
	if err == nil && reply.SessionID == "" {
		err = fmt.Errorf("lockdown StartSession: %w: SessionID is missing", ErrProtocol)
	}
	switch {
	case isRefusal(err):
		return err
	case err != nil:
		return c.fail(err) // who knows what the phone speaks now
	}
	if reply.TLS {
		if err := c.do(ctx, c.handshake(tlsCfg)); err != nil {
			return fmt.Errorf("lockdown StartSession: %w", err)
		}
	}
	c.sessionID, c.record = reply.SessionID, rec
	return nil
}

// Secure says whether the connection speaks TLS.
func (c *Client) Secure() bool { return c.conn != c.raw }

// StopSession ends the session. If it was a TLS one it also closes the
// connection: nothing says where TLS ends and plain messages would begin again.
func (c *Client) StopSession(ctx context.Context) error {
	if c.sessionID == "" {
		return ErrNoSession
	}
	err := c.call(ctx, "StopSession", map[string]any{"SessionID": c.sessionID}, nil)
	if err != nil {
		return err
	}
	c.sessionID, c.record = "", pairrecord.Record{}
	if secure, ok := c.conn.(*tls.Conn); ok {
		// A courtesy; a phone that has hung up already does not miss it.
		_ = c.do(ctx, func(net.Conn) error { return secure.CloseWrite() })
		c.fail(fmt.Errorf("%w: session stopped", net.ErrClosed))
	}
	return nil
}

// handshake returns an operation that puts TLS on top of the connection.
func (l *link) handshake(cfg *tls.Config) func(net.Conn) error {
	return func(conn net.Conn) error {
		secure := tls.Client(conn, cfg)
		if err := secure.Handshake(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("%w: %w", ErrTLS, err)
		}
		l.conn = secure
		return nil
	}
}

// cipherSuites is named in full because the default list has no RSA key exchange
// left, which is all that old phones offer. TLS 1.3 has a list of its own.
var cipherSuites = []uint16{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
}

// tlsConfig is TLS under a pair record: our certificate is the record's root, as
// libimobiledevice's is, and the phone must hold the key of DeviceCertificate.
// It returns ErrRecord for a record that cannot serve.
func tlsConfig(rec pairrecord.Record, id Identity) (*tls.Config, error) {
	deviceKey, err := publicKey(rec.DeviceCertificate)
	if err != nil {
		return nil, fmt.Errorf("%w: DeviceCertificate: %w", ErrRecord, err)
	}
	cert, err := clientCertificate(rec)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS10,
		MaxVersion:   tls.VersionTLS13,
		CipherSuites: cipherSuites,
		// Always ours: the phone's list of authorities has only empty names, which
		// match nothing.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
		// There are no names to verify, and chains may be signed with SHA-1;
		// VerifyConnection pins the key instead.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return ErrDeviceKey
			}
			if !deviceKey.Equal(cs.PeerCertificates[0].PublicKey) {
				return ErrDeviceKey
			}
			return nil
		},
	}
	if id.olderThan(10) {
		cfg.MaxVersion = tls.VersionTLS10
	}
	return cfg, nil
}

// clientCertificate is the root certificate and key, else the host's: records of
// other tools may lack the root's key, and phones take either.
func clientCertificate(rec pairrecord.Record) (tls.Certificate, error) {
	certPEM, keyPEM, which := rec.RootCertificate, rec.RootPrivateKey, "root"
	if len(keyPEM) == 0 {
		certPEM, keyPEM, which = rec.HostCertificate, rec.HostPrivateKey, "host"
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w: %s certificate and key: %w", ErrRecord, which, err)
	}
	return cert, nil
}

// equalKey is a public key that can be compared; all of crypto/x509's can.
type equalKey interface{ Equal(crypto.PublicKey) bool }

func publicKey(certPEM []byte) (equalKey, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := cert.PublicKey.(equalKey)
	if !ok {
		return nil, fmt.Errorf("unknown kind of key %T", cert.PublicKey)
	}
	return key, nil
}
