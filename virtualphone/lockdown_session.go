package virtualphone

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

func (d *dialogue) startSession(m *request) (answer, error) {
	p := d.p
	if d.session != "" {
		return nil, errSessionActive
	}
	if m.HostID == "" {
		return nil, errMissingHostID
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sinceBoot {
		return nil, errPasswordProtected
	}
	h := p.knownLocked(m.HostID)
	if h == nil || m.SystemBUID != "" && m.SystemBUID != h.buid {
		return nil, errInvalidHostID
	}
	h.lastUsed = time.Now()
	p.stats.sessions.Add(1)
	d.host, d.session = h, newUUID()
	d.after = d.secureUp
	return answer{"SessionID": d.session, "EnableSessionSSL": true}, nil
}

func (d *dialogue) stopSession(m *request) (answer, error) {
	switch {
	case d.session == "":
		return nil, errSessionInactive
	case m.SessionID == "":
		return nil, errMissingSessionID
	case m.SessionID != d.session:
		return nil, errInvalidSessionID
	}
	d.host, d.session = nil, ""
	d.after = d.secureDown
	return nil, nil
}

// switchOver does what a reply has announced.
func (d *dialogue) switchOver() error {
	f := d.after
	d.after = nil
	if f != nil {
		f()
	}
	return d.failure
}

// secureUp does the TLS handshake on the stream.
func (d *dialogue) secureUp() {
	switch {
	case d.garbageTLS:
		d.failure = d.garbageHandshake()
		return
	case d.p.tlsRefusal() == AbortTLS:
		_, _ = d.plain.Peek(tlsRecordHeader) // the hello; if none comes, the end is the same
		d.failure = errTLSAborted
		return
	}
	c := tls.Server(&recordConn{Conn: d.raw, r: d.plain}, d.p.tlsConfig(d.host))
	if err := c.HandshakeContext(d.ctx); err != nil {
		d.failure = fmt.Errorf("session handshake: %w", err)
		return
	}
	d.secure = c
}

// secureDown ends TLS and goes back to plain text. The host's own goodbye is
// taken off the stream; a host that leaves it out is understood, too.
func (d *dialogue) secureDown() {
	c := d.secure
	d.secure = nil
	if c == nil {
		return
	}
	if err := c.CloseWrite(); err != nil {
		d.failure = err
		return
	}
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		d.failure = err
	}
	// CloseWrite leaves the stream with a deadline in the past.
	if err := d.raw.SetWriteDeadline(time.Time{}); err != nil {
		d.failure = err
	}
}

// TLSRefusal is how a phone gives up TLS after a StartSession, or StartService, that
// went well.
type TLSRefusal string

// Ways to refuse TLS.
const (
	AcceptTLS         TLSRefusal = ""
	AbortTLS          TLSRefusal = "abort"       // hangs up at the host's hello
	RefuseCertificate TLSRefusal = "certificate" // tells by an alert that the host's certificate is bad
)

var errTLSAborted = errors.New("handshake aborted by order")

// RefuseTLS makes the phone refuse TLS until it is called with AcceptTLS. Sessions
// that run go on.
func (p *Phone) RefuseTLS(r TLSRefusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal = r
}

func (p *Phone) tlsRefusal() TLSRefusal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refusal
}

// tlsConfig is the phone's side of TLS with h. Old ones know TLS 1.0 only.
func (p *Phone) tlsConfig(h *host) *tls.Config {
	newest := uint16(tls.VersionTLS13)
	switch v := p.cfg.iOS(); {
	case v < 10:
		newest = tls.VersionTLS10
	case v < 13:
		newest = tls.VersionTLS12
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS10,
		MaxVersion: newest,
		// Listed, because Go leaves the RSA key exchange out of its defaults.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
			tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
			tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_RSA_WITH_AES_128_CBC_SHA,
			tls.TLS_RSA_WITH_AES_256_CBC_SHA,
			tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
		},
		SessionTicketsDisabled: true,
		Certificates:           []tls.Certificate{{Certificate: [][]byte{h.device}, PrivateKey: p.deviceKey()}},
		ClientAuth:             tls.RequireAnyClientCert,
		VerifyConnection: func(s tls.ConnectionState) error {
			if p.tlsRefusal() == RefuseCertificate {
				return errors.New("certificate refused by order")
			}
			key := s.PeerCertificates[0].PublicKey
			if !equalKeys(key, h.hostKey) && !equalKeys(key, h.rootKey) {
				return errors.New("client certificate is not of this host")
			}
			return nil
		},
	}
}

// recordConn hands out the bytes of TLS records and never more, so that plain
// text after the last record stays for the dialogue. What is no TLS record is
// the end of TLS.
type recordConn struct {
	net.Conn
	r    *bufio.Reader
	left int // bytes of the current record
}

// tlsRecordHeader is the size of type, version and length, in bytes.
const tlsRecordHeader = 5

// Read implements io.Reader.
func (c *recordConn) Read(b []byte) (int, error) {
	if c.left == 0 {
		h, err := c.r.Peek(tlsRecordHeader)
		if err != nil {
			return 0, err
		}
		if h[0] < 20 || h[0] > 24 {
			return 0, io.EOF
		}
		c.left = tlsRecordHeader + int(h[3])<<8 + int(h[4])
	}
	n, err := c.r.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// newUUID makes a random id in the form of session ids.
func newUUID() string {
	b := random(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}
