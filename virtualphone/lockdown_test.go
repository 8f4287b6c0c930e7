package virtualphone

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gomuxd/plist"
	"gomuxd/virtualphone/service"
)

// computer is a host's identity: what a pair record holds.
type computer struct {
	record   map[string]any
	cert     tls.Certificate // of the host key
	root     tls.Certificate
	stranger tls.Certificate
}

var testKeys = sync.OnceValue(func() [3]*rsa.PrivateKey {
	return [3]*rsa.PrivateKey{makeDeviceKey(), makeDeviceKey(), makeDeviceKey()}
})

func certificate(t testing.TB, pub crypto.PublicKey, ca *x509.Certificate, key *rsa.PrivateKey, alg x509.SignatureAlgorithm) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(0), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(3650 * 24 * time.Hour),
		BasicConstraintsValid: true, IsCA: ca == nil, SignatureAlgorithm: alg,
	}
	if ca == nil {
		ca = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func newComputer(t testing.TB, devicePEM []byte, id, buid string, alg x509.SignatureAlgorithm) *computer {
	t.Helper()
	block, _ := pem.Decode(devicePEM)
	if block == nil || block.Type != "RSA PUBLIC KEY" {
		t.Fatalf("device key is not a PEM RSA PUBLIC KEY: %q", devicePEM)
	}
	device, err := x509.ParsePKCS1PublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	keys := testKeys()
	root := certificate(t, &keys[0].PublicKey, nil, keys[0], alg)
	hc := certificate(t, &keys[1].PublicKey, root, keys[0], alg)
	dc := certificate(t, device, root, keys[0], alg)
	other := certificate(t, &keys[2].PublicKey, nil, keys[2], alg)
	return &computer{
		record: map[string]any{
			"DeviceCertificate": pemOf(dc), "HostCertificate": pemOf(hc), "RootCertificate": pemOf(root),
			"HostID": id, "SystemBUID": buid,
		},
		cert:     tls.Certificate{Certificate: [][]byte{hc.Raw}, PrivateKey: keys[1]},
		root:     tls.Certificate{Certificate: [][]byte{root.Raw}, PrivateKey: keys[0]},
		stranger: tls.Certificate{Certificate: [][]byte{other.Raw}, PrivateKey: keys[2]},
	}
}

func (c *computer) id() string { return c.record["HostID"].(string) }

// buffered is a conn whose reads go through a buffer.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// talker is a client of lockdownd.
type talker struct {
	t      testing.TB
	raw    net.Conn
	c      net.Conn // raw or TLS
	binary bool
}

func lockdownOf(h *muxHost) *talker {
	h.t.Helper()
	dialed := h.mustDial(LockdownPort)
	c := &buffered{Conn: dialed, r: bufio.NewReader(dialed)}
	return &talker{t: h.t, raw: c, c: c}
}

func (l *talker) try(request map[string]any) (map[string]any, error) {
	if err := service.WritePlist(l.c, request, l.binary); err != nil {
		return nil, err
	}
	var a map[string]any
	isBinary, err := service.ReadPlist(l.c, &a)
	if err == nil && isBinary != l.binary {
		l.t.Errorf("asked in binary: %t, answered in binary: %t", l.binary, isBinary)
	}
	return a, err
}

func (l *talker) ask(name string, more map[string]any) map[string]any {
	l.t.Helper()
	m := map[string]any{"Request": name, "Label": "test", "ProtocolVersion": "2"}
	for k, v := range more {
		m[k] = v
	}
	a, err := l.try(m)
	if err != nil {
		l.t.Fatalf("%s: %v", name, err)
	}
	if a["Request"] != name {
		l.t.Errorf("answer to %s names %v", name, a["Request"])
	}
	return a
}

// want asks and compares the Error, "" for success.
func (l *talker) want(name string, more map[string]any, wantError string) map[string]any {
	l.t.Helper()
	a := l.ask(name, more)
	got, _ := a["Error"].(string)
	if got != wantError {
		l.t.Fatalf("%s: error %q, want %q; answer %v", name, got, wantError, a)
	}
	return a
}

func (l *talker) value(domain, key string) any {
	l.t.Helper()
	m := map[string]any{"Key": key}
	if domain != "" {
		m["Domain"] = domain
	}
	return l.want("GetValue", m, "")["Value"]
}

func (l *talker) computer(id, buid string) *computer {
	l.t.Helper()
	return newComputer(l.t, l.value("", "DevicePublicKey").([]byte), id, buid, x509.SHA256WithRSA)
}

func (l *talker) pair(c *computer, wantError string) map[string]any {
	l.t.Helper()
	return l.want("Pair", map[string]any{
		"PairRecord": c.record, "PairingOptions": map[string]any{"ExtendedPairingErrors": true},
	}, wantError)
}

func clientTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS10,
		CipherSuites:         []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
	}
}

// start starts a session and returns its id; the talker speaks TLS then.
func (l *talker) start(c *computer, cert tls.Certificate) string {
	l.t.Helper()
	a := l.want("StartSession", map[string]any{"HostID": c.id(), "SystemBUID": c.record["SystemBUID"]}, "")
	if a["EnableSessionSSL"] != true {
		l.t.Fatalf("no TLS in %v", a)
	}
	// Record by record, so that plain text after TLS stays in the buffer.
	s := tls.Client(&recordConn{Conn: l.raw, r: l.raw.(*buffered).r}, clientTLS(cert))
	if err := s.Handshake(); err != nil {
		l.t.Fatalf("session handshake: %v", err)
	}
	l.c = s
	return a["SessionID"].(string)
}

// paired plugs a phone without a passcode and makes it trust a computer.
func paired(t testing.TB, cfg Config) (*Phone, *muxHost, *computer) {
	t.Helper()
	p := newPhone(t, cfg)
	h := dialPhone(t, plug(t, p))
	l := lockdownOf(h)
	c := l.computer("HOST-1", "BUID-1")
	if p.cfg.iOS() >= 7 {
		l.pair(c, "PairingDialogResponsePending")
		if err := p.TapTrust(); err != nil {
			t.Fatal(err)
		}
	}
	l.pair(c, "")
	l.c.Close()
	return p, h, c
}

func TestSessionAndService(t *testing.T) {
	for _, tt := range []struct {
		name, ios string
		version   uint16
		root      bool
	}{
		{name: "today", ios: "17.5", version: tls.VersionTLS13},
		{name: "root certificate", ios: "17.5", version: tls.VersionTLS13, root: true},
		{name: "tls 1.2", ios: "12.0", version: tls.VersionTLS12},
		{name: "tls 1.0", ios: "9.3", version: tls.VersionTLS10},
		{name: "no dialog yet", ios: "6.1", version: tls.VersionTLS10, root: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, h, c := paired(t, Config{ProductVersion: tt.ios})
			cert := c.cert
			if tt.root {
				cert = c.root
			}
			l := lockdownOf(h)
			if got := l.ask("QueryType", nil)["Type"]; got != "com.apple.mobile.lockdown" {
				t.Errorf("type = %v", got)
			}
			id := l.start(c, cert)
			if v := l.c.(*tls.Conn).ConnectionState().Version; v != tt.version {
				t.Errorf("TLS version %x, want %x", v, tt.version)
			}
			if n := l.value("com.apple.disk_usage", "TotalDiskCapacity"); n != uint64(128_000_000_000) {
				t.Errorf("disk = %v", n)
			}
			a := l.want("StartService", map[string]any{"Service": ServiceEcho}, "")
			if a["EnableServiceSSL"] != true {
				t.Fatalf("no TLS in %v", a)
			}
			s := tls.Client(h.mustDial(uint16(a["Port"].(uint64))), clientTLS(cert))
			io.WriteString(s, "hello")
			got := make([]byte, 5)
			if _, err := io.ReadFull(s, got); err != nil || string(got) != "hello" {
				t.Errorf("echo = %q, %v", got, err)
			}
			s.Close()
			if _, err := h.dial(uint16(a["Port"].(uint64))); err != errRefused {
				t.Errorf("second connection to a service port: %v, want refused", err)
			}
			l.want("StopSession", map[string]any{"SessionID": id}, "")
			l.c.(*tls.Conn).CloseWrite()
			if _, err := l.c.Read(got); err != io.EOF {
				t.Errorf("end of TLS = %v, want EOF", err)
			}
			l.c = l.raw
			l.want("GetValue", map[string]any{"Key": "SerialNumber"}, "GetProhibited")
			l.want("Goodbye", nil, "")
			if _, err := l.raw.Read(got); err != io.EOF {
				t.Errorf("after Goodbye: %v, want EOF", err)
			}
			clean(t, p)
		})
	}
}

// TestStopSessionWithoutGoodbye: a host that goes on in plain text at once is understood.
func TestStopSessionWithoutGoodbye(t *testing.T) {
	_, h, c := paired(t, Config{})
	l := lockdownOf(h)
	id := l.start(c, c.cert)
	l.want("StopSession", map[string]any{"SessionID": id}, "")
	// The phone's close_notify record is on the stream before the plain answer.
	if err := service.WritePlist(l.raw, map[string]any{"Request": "QueryType"}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := l.c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("TLS end = %v, want EOF", err)
	}
	var a map[string]any
	if _, err := service.ReadPlist(l.raw, &a); err != nil || a["Type"] == nil {
		t.Fatalf("plain answer = %v, %v", a, err)
	}
}

func TestSessionRefusals(t *testing.T) {
	p, h, c := paired(t, Config{Passcode: ""})
	l := lockdownOf(h)
	l.want("StartSession", nil, "MissingHostID")
	l.want("StartSession", map[string]any{"HostID": "nobody"}, "InvalidHostID")
	l.want("StartSession", map[string]any{"HostID": c.id(), "SystemBUID": "other"}, "InvalidHostID")
	l.want("StopSession", nil, "SessionInactive")
	l.want("StartService", map[string]any{"Service": ServiceAFC}, "SessionInactive")
	l.want("StartService", map[string]any{"Service": "nonsense"}, "InvalidService")
	l.want("Dance", nil, "InvalidRequest")
	l.want("ValidatePair", map[string]any{"PairRecord": map[string]any{"HostID": c.id()}}, "")
	l.want("ValidatePair", map[string]any{"PairRecord": map[string]any{"HostID": "x"}}, "InvalidHostID")

	l.want("StartSession", map[string]any{"HostID": c.id()}, "")
	s := tls.Client(l.raw, clientTLS(c.stranger))
	err := s.Handshake()
	if err == nil {
		_, err = s.Read(make([]byte, 1)) // TLS 1.3 tells a client only afterwards
	}
	if err == nil {
		t.Error("a stranger's certificate was taken")
	}

	l = lockdownOf(h)
	l.want("Unpair", map[string]any{"PairRecord": c.record}, "")
	l.want("StartSession", map[string]any{"HostID": c.id()}, "InvalidHostID")
	if s := p.State(); len(s.Hosts) != 0 {
		t.Errorf("hosts after Unpair = %v", s.Hosts)
	}
	clean(t, p)
}

func TestPairRecordShapes(t *testing.T) {
	p := newPhone(t, Config{ProductVersion: "6.0"})
	h := dialPhone(t, plug(t, p))
	l := lockdownOf(h)
	l.binary = true
	good := l.computer("H", "B").record
	with := func(key string, v any) map[string]any {
		m := map[string]any{}
		for k, x := range good {
			m[k] = x
		}
		if v == nil {
			delete(m, key)
		} else {
			m[key] = v
		}
		return m
	}
	wrongKey := newComputer(t, pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&testKeys()[2].PublicKey)}), "H", "B", x509.SHA256WithRSA)
	stranger, _ := x509.ParseCertificate(newComputer(t, p.DevicePublicKey(), "H", "B", x509.SHA256WithRSA).stranger.Certificate[0])
	for _, tt := range []struct {
		name   string
		record any
		want   string
	}{
		{"none", nil, "MissingPairRecord"},
		{"no host id", with("HostID", nil), "InvalidPairRecord"},
		{"no device certificate", with("DeviceCertificate", nil), "InvalidPairRecord"},
		{"garbage root", with("RootCertificate", []byte("nonsense")), "InvalidPairRecord"},
		{"another phone's key", wrongKey.record, "InvalidPairRecord"},
		{"foreign root", with("RootCertificate", pemOf(stranger)), "InvalidPairRecord"},
		{"good", good, ""},
		{"sha-1", newComputer(t, p.DevicePublicKey(), "H2", "B2", x509.SHA1WithRSA).record, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := map[string]any{}
			if tt.record != nil {
				m["PairRecord"] = tt.record
			}
			a := l.want("Pair", m, tt.want)
			if b, _ := a["EscrowBag"].([]byte); tt.want == "" && len(b) != 32 {
				t.Errorf("escrow bag = %x, want 32 bytes", b)
			}
			result := "Success"
			if tt.want != "" {
				result = "Failure"
			}
			if a["Result"] != result {
				t.Errorf("result of an old iOS = %v, want %s", a["Result"], result)
			}
		})
	}
}

func TestValues(t *testing.T) {
	p, h, c := paired(t, Config{Name: "Anna"})
	l := lockdownOf(h)
	for key, want := range map[string]any{
		"DeviceName": "Anna", "UniqueDeviceID": p.UDID(), "ProductVersion": "17.5", "DeviceClass": "iPhone",
	} {
		if got := l.value("", key); got != want {
			t.Errorf("%s = %v, want %v", key, got, want)
		}
	}
	public := l.want("GetValue", nil, "")["Value"].(map[string]any)
	if public["SerialNumber"] != nil || public["DeviceName"] != "Anna" {
		t.Errorf("public values = %v", public)
	}
	l.want("GetValue", map[string]any{"Domain": domainBattery}, "GetProhibited")
	l.want("SetValue", map[string]any{"Key": "UntrustedHostBUID", "Value": "B"}, "")
	l.want("SetValue", map[string]any{"Key": "DeviceName", "Value": "Eve"}, "SetProhibited")

	l.start(c, c.cert)
	all := l.want("GetValue", nil, "")["Value"].(map[string]any)
	if len(all) < len(public)+10 || all["SerialNumber"] == nil {
		t.Errorf("%d values in a session, %d without", len(all), len(public))
	}
	l.want("GetValue", map[string]any{"Key": "NoSuchThing"}, "MissingValue")
	l.want("SetValue", map[string]any{"Key": "DeviceName", "Value": "Berta"}, "")
	if p.Name() != "Berta" {
		t.Errorf("name = %q", p.Name())
	}
	l.want("SetValue", map[string]any{"Key": "ProductVersion", "Value": "99"}, "SetProhibited")
	l.want("SetValue", map[string]any{"Domain": domainWiFi, "Key": "EnableWifiConnections", "Value": true}, "")
	if l.value(domainWiFi, "EnableWifiConnections") != true {
		t.Error("EnableWifiConnections was not kept")
	}
	l.want("RemoveValue", map[string]any{"Domain": domainWiFi, "Key": "EnableWifiConnections"}, "")
	l.want("SetValue", map[string]any{"Key": "TimeIntervalSince1970", "Value": float64(1e9)}, "")
	if got := l.value("", "TimeIntervalSince1970").(float64); got < 1e9 || got > 1e9+100 {
		t.Errorf("time = %f, want about 1e9", got)
	}
	clean(t, p)
}

func TestFailNext(t *testing.T) {
	p := newPhone(t, Config{})
	h := dialPhone(t, plug(t, p))
	l := lockdownOf(h)
	p.FailNext("QueryType", "FMiPProtected")
	p.FailNext("QueryType", "ServiceLimit")
	l.want("QueryType", nil, "FMiPProtected")
	l.want("QueryType", nil, "ServiceLimit")
	l.want("QueryType", nil, "")
	p.FailAlways("QueryType", "EscrowLocked")
	l.want("QueryType", nil, "EscrowLocked")
	l.want("QueryType", nil, "EscrowLocked")
	p.FailAlways("QueryType", "")
	l.want("QueryType", nil, "")
}

// TestBadFrames: what is no message ends that connection and nothing else.
func TestBadFrames(t *testing.T) {
	p := newPhone(t, Config{})
	h := dialPhone(t, plug(t, p))
	for name, frame := range map[string]string{
		"over 1 MiB": "\x00\x10\x00\x01", "empty": "\x00\x00\x00\x00", "no plist": "\x00\x00\x00\x05hello",
		"array": "\x00\x00\x00\x2c<plist version=\"1.0\"><array></array></plist>",
	} {
		c := h.mustDial(LockdownPort)
		io.WriteString(c, frame)
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: %v, want the connection closed", name, err)
		}
	}
	lockdownOf(h).want("QueryType", nil, "")
	clean(t, p)
}

// FuzzLockdownFrame: whatever a host sends as first message, the phone answers
// with a whole message that repeats the request, or closes.
func FuzzLockdownFrame(f *testing.F) {
	for _, m := range []map[string]any{
		{"Request": "QueryType"}, {"Request": "GetValue", "Key": "DeviceName"}, {"Request": "GetValue"},
		{"Request": "SetValue", "Key": "UntrustedHostBUID", "Value": "x"},
		{"Request": "Pair", "PairRecord": map[string]any{"HostID": "x", "RootCertificate": []byte("y")}},
		{"Request": "StartSession", "HostID": "x"}, {"Request": "StartService", "Service": ServiceInsecureNotification},
	} {
		x, _ := plist.MarshalXML(m)
		b, _ := plist.MarshalBinary(m)
		f.Add(x)
		f.Add(b)
	}
	p, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	f.Fuzz(func(t *testing.T, in []byte) {
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.lockdownd(t.Context(), far)
		}()
		go near.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(in))), in...))
		var m request
		valid := plist.Unmarshal(in, &m) == nil && len(in) > 0
		var a map[string]any
		isBinary, err := service.ReadPlist(near, &a)
		near.Close()
		<-done
		switch {
		case !valid && err == nil:
			t.Fatalf("answered %v to what is no request", a)
		case valid && err != nil:
			t.Fatalf("no answer to a request: %v", err)
		case valid && a["Request"] != m.Request && !strings.ContainsFunc(m.Request, func(r rune) bool { return r < ' ' || r > '~' }):
			t.Fatalf("answer names %q, asked %q", a["Request"], m.Request)
		case valid && isBinary != bytes.HasPrefix(in, []byte("bplist")):
			t.Fatal("answered in another form than asked")
		}
	})
}
