package socket

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gomuxd/access"
	"gomuxd/socket/tlstest"
)

// tlsRig is a rig with a TLS socket, an authority for both sides and a client's
// certificate.
type tlsRig struct {
	*rig
	ca    *tlstest.Authority
	creds *Credentials
	addr  string
}

func newTLSRig(t *testing.T, gate *access.Gate, configs ...func(*Config)) *tlsRig {
	t.Helper()
	r := &tlsRig{rig: newGatedRig(t, gate, configs...), ca: tlstest.New(t), creds: new(Credentials)}
	r.creds.Set(r.ca.Issue("server", x509.ExtKeyUsageServerAuth), r.ca.Pool())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	sl := r.creds.Secure(l)
	if a := sl.Addr(); a.Network() != "tls" || !OverTLS(a.String()) {
		t.Fatalf("address %s %s", a.Network(), a)
	}
	r.serve(sl)
	return r
}

// issue makes a client's certificate.
func (r *tlsRig) issue(name string, changes ...func(*x509.Certificate)) tls.Certificate {
	return r.ca.Issue(name, x509.ExtKeyUsageClientAuth, changes...)
}

// dialTLS connects, with certificates or none. In TLS 1.3 the server's word on them
// comes with the first read.
func (r *tlsRig) dialTLS(certs ...tls.Certificate) *host {
	r.t.Helper()
	h := r.dialTo("tcp", r.addr)
	c := tls.Client(h.Conn, &tls.Config{ServerName: "localhost", RootCAs: r.ca.Pool(),
		// Even if the server does not know who signed it.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certs) == 0 {
				return new(tls.Certificate), nil
			}
			return &certs[0], nil
		}})
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	h.Conn = c
	return h
}

// refusal waits for the log's only line about a refused TLS client.
func (r *tlsRig) refusal() string {
	r.t.Helper()
	for by := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if lines := r.logs.FilterMessage("TLS client refused").All(); len(lines) > 0 {
			r.logs.TakeAll()
			fields := lines[0].ContextMap()
			if len(lines) != 1 || lines[0].LoggerName != "audit" || fields["addr"] == nil {
				r.t.Errorf("logged %v", lines)
			}
			return fields["error"].(string)
		}
		if time.Now().After(by) {
			r.t.Fatal("no line about a refused client")
		}
	}
}

// TestWrongCertificates asserts that each gets an alert, though its request was on
// the way, and the log one line with the reason.
func TestWrongCertificates(t *testing.T) {
	r := newTLSRig(t, nil)
	past := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	nameless := func(c *x509.Certificate) { c.Subject, c.DNSNames = pkix.Name{Organization: []string{"lab"}}, nil }
	for _, tt := range []struct {
		name         string
		certs        []tls.Certificate
		alert, error string
	}{
		{"none", nil, "certificate required", "didn't provide a certificate"},
		{"of another authority", []tls.Certificate{tlstest.New(t).Issue("ci", x509.ExtKeyUsageClientAuth)}, "unknown certificate authority", "unknown authority"},
		{"expired", []tls.Certificate{r.issue("ci", past)}, "expired certificate", "expired"},
		{"a server's", []tls.Certificate{r.ca.Issue("ci", x509.ExtKeyUsageServerAuth)}, "bad certificate", "incompatible key usage"},
		{"without a name", []tls.Certificate{r.issue("", nameless)}, "bad certificate", "neither a common name nor a DNS name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := r.dialTLS(tt.certs...)
			h.t = t
			_, _ = h.Conn.Write(ask(1, "ListDevices")) // may come too late
			n, err := h.Conn.Read(make([]byte, 1))
			if n != 0 || err == nil || !strings.Contains(err.Error(), tt.alert) {
				t.Errorf("the client got %d bytes, %v; want an alert: %s", n, err, tt.alert)
			}
			h.Conn.Close()
			if got := r.refusal(); !strings.Contains(got, tt.error) {
				t.Errorf("logged %q, want %q", got, tt.error)
			}
		})
	}
}

// TestOtherHandshakes asserts that what is no TLS 1.3 does not come through.
func TestOtherHandshakes(t *testing.T) {
	r := newTLSRig(t, nil)
	plain := r.dialTo("tcp", r.addr)
	plain.write(ask(1, "ListDevices"))
	if b, err := io.ReadAll(plain.Conn); bytes.Contains(b, []byte("DeviceList")) {
		t.Errorf("plain client read %q, %v", b, err)
	}
	if got := r.refusal(); !strings.Contains(got, "does not look like a TLS handshake") {
		t.Errorf("logged %q", got)
	}
	old := tls.Client(r.dialTo("tcp", r.addr).Conn, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{r.issue("ci")}})
	if err := old.Handshake(); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2: %v", err)
	}
	if got := r.refusal(); !strings.Contains(got, "unsupported versions") {
		t.Errorf("logged %q", got)
	}
}

// TestNoCredentials asserts that the zero value lets nobody in.
func TestNoCredentials(t *testing.T) {
	r := newTLSRig(t, nil)
	r.creds.config.Store(nil)
	c := tls.Client(r.dialTo("tcp", r.addr).Conn, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{r.issue("ci")}})
	if err := c.Handshake(); err == nil {
		t.Error("handshake without a certificate to answer with")
	}
	if got := r.refusal(); got != errNoCredentials.Error() {
		t.Errorf("logged %q", got)
	}
}

// TestNoHandshake asserts that a client that sends nothing, or half of a hello, is
// dropped in time, and keeps nobody waiting meanwhile.
func TestNoHandshake(t *testing.T) {
	r := newTLSRig(t, nil, func(c *Config) { c.HandshakeTimeout = 500 * time.Millisecond })
	silent, half := r.dialTo("tcp", r.addr), r.dialTo("tcp", r.addr)
	half.write([]byte{22, 3, 1, 2, 0, 1})
	quick := r.dialTLS(r.issue("ci"))
	quick.write(ask(1, "ListDevices"))
	quick.read()
	for _, h := range []*host{silent, half} {
		if _, err := io.ReadAll(h.Conn); err != nil && !isReset(err) {
			t.Errorf("want the end of the connection, got %v", err)
		}
	}
	for len(r.logs.FilterMessage("TLS client refused").All()) < 2 {
		time.Sleep(time.Millisecond)
	}
	for _, line := range r.logs.FilterMessage("TLS client refused").All() {
		if got := line.ContextMap()["error"]; got != "no handshake within 500ms" {
			t.Errorf("logged %q", got)
		}
	}
}

func isReset(err error) bool { return strings.Contains(err.Error(), "connection reset") }

// TestCrowdOverTLS asserts that handshakes count among the clients, and that those of
// the network keep no local user out.
func TestCrowdOverTLS(t *testing.T) {
	r := newTLSRig(t, nil, func(c *Config) { c.UserClients = 2 })
	first, second := r.dialTo("tcp", r.addr), r.dialTo("tcp", r.addr)
	r.await(2)
	third := r.dialTo("tcp", r.addr)
	if b, err := io.ReadAll(third.Conn); len(b) != 0 || err != nil && !isReset(err) {
		t.Errorf("the third read %q, %v", b, err)
	}
	if n := r.logs.FilterMessage(tooMany).Len(); n != 1 {
		t.Errorf("%d lines about a client too many", n)
	}
	u := r.dial()
	u.write(ask(1, "ListDevices"))
	u.read()
	u.Close()
	first.Close()
	second.Close()
	r.await(0)
	h := r.dialTLS(r.issue("ci"))
	h.write(ask(1, "ListDevices"))
	h.read()
}

// TestHandshakesAtOnce asserts that those who have not shown a certificate yet leave
// room for those who have.
func TestHandshakesAtOnce(t *testing.T) {
	r := newTLSRig(t, nil, func(c *Config) { c.Handshakes = 2 })
	var here []*host
	for range 3 {
		here = append(here, r.dialTLS(r.issue("ci")))
		here[len(here)-1].sync()
	}
	first := r.dialTo("tcp", r.addr)
	r.dialTo("tcp", r.addr)
	r.await(5)
	if b, err := io.ReadAll(r.dialTo("tcp", r.addr).Conn); len(b) != 0 || err != nil && !isReset(err) {
		t.Errorf("a third handshake: read %q, %v", b, err)
	}
	for _, h := range here {
		h.sync()
	}
	first.Close()
	r.await(4)
	r.dialTLS(r.issue("ci")).sync()
}

// await waits until so many clients are here.
func (r *tlsRig) await(n int) {
	r.t.Helper()
	for by := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		r.srv.mu.Lock()
		have := len(r.srv.clients)
		r.srv.mu.Unlock()
		if have == n {
			return
		}
		if time.Now().After(by) {
			r.t.Fatalf("%d clients, want %d", have, n)
		}
	}
}

// TestCertificateRules asserts that rules know clients by their certificates, that
// nobody has records over the network without one, and that the log names them.
func TestCertificateRules(t *testing.T) {
	gate := gateOf(t,
		access.Rule{Who: []string{"cert:ci-runner"}, May: []string{"records"}},
		access.Rule{Who: []string{"cert:guest"}, MayNot: []string{"everything"}})
	r := newTLSRig(t, gate)
	r.attach(newFakeDevice())
	if err := r.records.Save(udid24, []byte("record")); err != nil {
		t.Fatal(err)
	}
	dns := func(c *x509.Certificate) { c.Subject = pkix.Name{}; c.DNSNames = []string{"ci-runner", "other"} }
	for _, tt := range []struct {
		name         string
		cert         tls.Certificate
		sees, record bool
	}{
		{"by common name", r.issue("ci-runner"), true, true},
		{"by DNS name", r.issue("", dns), true, true},
		{"without a rule", r.issue("desk"), true, false},
		{"shut out", r.issue("guest"), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.logs.TakeAll()
			h := r.dialTLS(tt.cert)
			h.t = t
			h.write(ask(1, "ListDevices"))
			if got := bytes.Contains(h.read().payload, []byte(udid24)); got != tt.sees {
				t.Errorf("sees the phone: %v", got)
			}
			h.write(ask(2, "ReadPairRecord", str("PairRecordID", udid24)))
			m := h.read()
			if tt.record != bytes.Contains(m.payload, []byte("PairRecordData")) || !tt.record && binary.LittleEndian.Uint32(m.payload) == 0 && m.message == msgResult {
				t.Errorf("the record: %q", m.payload)
			}
			what, name := "refused", access.CertificateName(tt.cert.Leaf)
			if tt.record {
				what = "pair record read"
			}
			lines := r.logs.FilterMessage(what).All()
			if len(lines) != 1 || lines[0].LoggerName != "audit" || lines[0].ContextMap()["certificate"] != name {
				t.Errorf("logged %v, want %q by %q", r.logs.All(), what, name)
			}
		})
	}
}

// TestTransferOverTLS moves data both ways, then ends each side in turn.
func TestTransferOverTLS(t *testing.T) {
	r := newTLSRig(t, nil)
	d := newFakeDevice()
	id := r.attach(d)
	down, up := noise(1), noise(2)

	h := r.dialTLS(r.issue("ci"))
	p := h.connect(d, id, 22)
	go p.send(down)
	sent := make(chan error, 1)
	go func() { _, err := h.Conn.Write(up); sent <- err }()
	got := make([]byte, len(down))
	if _, err := io.ReadFull(h.Conn, got); err != nil || !bytes.Equal(got, down) {
		t.Fatalf("from the phone: %v, equal %v", err, bytes.Equal(got, down))
	}
	if !bytes.Equal(p.recv(t, len(up)), up) || <-sent != nil {
		t.Fatal("to the phone: other bytes")
	}

	// close_notify is the end of what the client sends; the phone's goes on.
	if err := h.Conn.(*tls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p.await(t, "half-close", func() bool { return p.half })
	p.send([]byte("more"))
	h.bytes("6d6f7265")
	p.end()
	h.eof()
	p.awaitClosed(t)
}

// TestPhoneEndsTLS asserts that a phone's end of data is a close_notify, not a cut.
func TestPhoneEndsTLS(t *testing.T) {
	r := newTLSRig(t, nil)
	d := newFakeDevice()
	id := r.attach(d)
	h := r.dialTLS(r.issue("ci"))
	p := h.connect(d, id, 22)
	p.send([]byte("bye"))
	p.reset()
	if b, err := io.ReadAll(h.Conn); string(b) != "bye" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	p.awaitClosed(t)
}

// TestTLSCutOff asserts that a client that vanishes without close_notify, or garbles
// its stream, ends the phone's connection at once, after what had come.
func TestTLSCutOff(t *testing.T) {
	for name, cut := range map[string]func(net.Conn){
		"closed":    func(c net.Conn) { c.Close() },
		"shut down": func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() },
		"garbled":   func(c net.Conn) { _, _ = c.Write([]byte("\x17\x03\x03\x00\x20garbled garbled garbled garbled ")) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newTLSRig(t, nil)
			d := newFakeDevice()
			id := r.attach(d)
			h := r.dialTLS(r.issue("ci"))
			p := h.connect(d, id, 22)
			h.write([]byte("last"))
			cut(h.Conn.(*tls.Conn).NetConn())
			if got := p.recv(t, 4); string(got) != "last" {
				t.Errorf("the phone got %q", got)
			}
			p.awaitClosed(t)
		})
	}
}

// TestCloseWithTLSClients asserts that the server's end waits for none of them, in
// whatever state.
func TestCloseWithTLSClients(t *testing.T) {
	r := newTLSRig(t, nil)
	d := newFakeDevice()
	id := r.attach(d)
	r.dialTo("tcp", r.addr) // in its handshake
	idle, listening, busy := r.dialTLS(r.issue("ci")), r.dialTLS(r.issue("ci")), r.dialTLS(r.issue("ci"))
	listening.listen(1)
	p := busy.connect(d, id, 22)
	go p.send(make([]byte, 8<<20)) // which nobody reads
	r.await(4)
	r.srv.Close()
	p.awaitClosed(t)
	if _, err := idle.Conn.Read(make([]byte, 1)); err == nil {
		t.Error("an open connection after Close")
	}
}

// TestCredentialsReplaced asserts that new certificates hold for new connections, and
// that those which are there go on.
func TestCredentialsReplaced(t *testing.T) {
	r := newTLSRig(t, nil)
	before := r.issue("ci")
	here := r.dialTLS(before)
	here.write(ask(1, "ListDevices"))
	here.read()

	other := tlstest.New(t)
	r.creds.Set(r.ca.Issue("renewed", x509.ExtKeyUsageServerAuth), other.Pool())
	h := r.dialTLS(before)
	if _, err := h.Conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the old authority: %v", err)
	}
	r.refusal()
	h = r.dialTLS(other.Issue("ci", x509.ExtKeyUsageClientAuth))
	if got := h.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName; got != "renewed" {
		t.Errorf("the server is %q", got)
	}
	for _, h := range []*host{h, here} {
		h.write(ask(2, "ListDevices"))
		h.read()
	}
}

// TestListenedAddress asserts that a socket has the address that it was asked for: rules
// name it by that.
func TestListenedAddress(t *testing.T) {
	free, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	addr := free.Addr().String()
	l, err := ListenAnywhere(addr, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s, err := ListenTLS("tls:"+addr, new(Credentials))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if l.Addr().String() != addr || s.Addr().String() != "tls:"+addr {
		t.Errorf("asked for %s, got %s and %s", addr, l.Addr(), s.Addr())
	}
}

// TestListenTLS asserts that the functions for plain sockets open none for TLS.
func TestListenTLS(t *testing.T) {
	if l, err := ListenAnywhere("tls:127.0.0.1:1", 0); !errors.Is(err, ErrAddress) {
		t.Errorf("ListenAnywhere = %v, %v", l, err)
	}
	if l, err := ListenTLS("127.0.0.1:1", new(Credentials)); !errors.Is(err, ErrAddress) {
		t.Errorf("ListenTLS = %v, %v", l, err)
	}
	if err := CheckLoopback("tls:0.0.0.0:1"); err != nil {
		t.Errorf("CheckLoopback = %v", err)
	}
}

// TestTLSLeavesWhileConnecting asserts that what a client sent behind its Connect
// reaches the phone, though it has closed since, and that the phone's connection ends.
func TestTLSLeavesWhileConnecting(t *testing.T) {
	r := newTLSRig(t, nil)
	d := newFakeDevice()
	id := r.attach(d)
	dialling, open, _ := d.gate()
	h := r.dialTLS(r.issue("ci"))
	payload := noise(3)
	h.write(append(askConnect(1, id, 22), payload...))
	p := <-dialling
	h.Conn.Close()
	open(nil)
	if !bytes.Equal(p.recv(t, len(payload)), payload) {
		t.Error("the phone got other bytes")
	}
	p.awaitClosed(t)
}
