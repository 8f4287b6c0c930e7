package lockdown

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"gomuxd/pairrecord"
	"gomuxd/plist"
)

// phoneTLS is the phone's end: the record's DeviceCertificate and the phone's
// key, any client certificate wanted and kept in *seen.
func phoneTLS(rec pairrecord.Record, key *rsa.PrivateKey, version uint16, seen *[]byte) *tls.Config {
	block, _ := pem.Decode(rec.DeviceCertificate)
	cfg := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{block.Bytes}, PrivateKey: key}},
		ClientAuth:   tls.RequireAnyClientCert,
		MinVersion:   tls.VersionTLS10,
		MaxVersion:   version,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if seen != nil {
				*seen = slices.Clone(raw[0])
			}
			return nil
		},
	}
	if version < tls.VersionTLS12 {
		cfg.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA} // what old phones have
	}
	return cfg
}

func sessionReply(ssl string) string {
	return "<key>SessionID</key><string>5E55-10</string><key>EnableSessionSSL</key>" + ssl
}

// openSession plays a phone up to and including the TLS handshake.
func (p *phone) openSession(class, version string, cfg *tls.Config) {
	p.t.Helper()
	p.serveGeneration(class, version)
	p.answer("StartSession", sessionReply("<true/>"))
	if err := p.secure(cfg); err != nil {
		p.fatalf("handshake: %v", err)
	}
}

func TestSession(t *testing.T) {
	for _, tt := range []struct {
		name           string
		class, version string
		key            *rsa.PrivateKey
		sha1           bool
		phone          uint16 // newest TLS the phone speaks
		want           uint16
	}{
		{name: "tls 1.3", class: "iPhone", version: "17.5", key: deviceKey(), phone: tls.VersionTLS13, want: tls.VersionTLS13},
		{name: "tls 1.2", class: "iPhone", version: "11.0", key: deviceKey(), phone: tls.VersionTLS12, want: tls.VersionTLS12},
		{name: "tls 1.0 only", class: "iPhone", version: "10.0", key: deviceKey(), phone: tls.VersionTLS10, want: tls.VersionTLS10},
		{name: "capped below ios 10", class: "iPhone", version: "9.3.5", key: deviceKey(), phone: tls.VersionTLS12, want: tls.VersionTLS10},
		{name: "old key and sha-1", class: "iPhone", version: "3.1", key: oldKey(), sha1: true, phone: tls.VersionTLS10, want: tls.VersionTLS10},
		{name: "old key and tls 1.3", class: "iPhone", version: "17.5", key: oldKey(), phone: tls.VersionTLS13, want: tls.VersionTLS13},
		{name: "visionos 1", class: "RealityDevice", version: "1.0", key: deviceKey(), phone: tls.VersionTLS13, want: tls.VersionTLS13},
		{name: "no class or version", key: deviceKey(), phone: tls.VersionTLS12, want: tls.VersionTLS12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := newRecord(t, &tt.key.PublicKey, tt.sha1)
			var seen []byte
			c := connect(t, Config{}, func(p *phone) {
				p.serveGeneration(tt.class, tt.version)
				p.expect("StartSession", "<key>HostID</key><string>"+rec.HostID+"</string>", "<key>SystemBUID</key><string>"+testBUID+"</string>")
				p.reply("StartSession", sessionReply("<true/>"))
				if err := p.secure(phoneTLS(rec, tt.key, tt.phone, &seen)); err != nil {
					p.fatalf("handshake: %v", err)
				}
				if got := p.conn.(*tls.Conn).ConnectionState().Version; got != tt.want {
					t.Errorf("version = %s, want %s", tls.VersionName(got), tls.VersionName(tt.want))
				}
				p.answer("GetValue", "<key>Value</key><string>secret</string>")
				p.expect("StopSession", "<key>SessionID</key><string>5E55-10</string>")
				p.reply("StopSession", "")
				if _, err := p.conn.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("after StopSession the phone reads %v, want an orderly end", err)
				}
			})
			ctx := t.Context()
			if c.Secure() {
				t.Error("secure before the session")
			}
			if err := c.StartSession(ctx, rec); err != nil {
				t.Fatal(err)
			}
			if !c.Secure() {
				t.Error("not secure in the session")
			}
			if got, err := c.String(ctx, "", "x"); err != nil || got != "secret" {
				t.Errorf("value in the session = %q, %v", got, err)
			}
			if root := parseCert(t, rec.RootCertificate); string(seen) != string(root.Raw) {
				t.Errorf("the phone was not shown the root certificate")
			}
			if err := c.StartSession(ctx, rec); !errors.Is(err, ErrSessionActive) {
				t.Errorf("second StartSession = %v, want ErrSessionActive", err)
			}
			if err := c.StopSession(ctx); err != nil {
				t.Errorf("StopSession = %v", err)
			}
			if _, err := c.QueryType(ctx); !errors.Is(err, net.ErrClosed) {
				t.Errorf("call after StopSession = %v, want net.ErrClosed", err)
			}
			if err := c.StopSession(ctx); !errors.Is(err, ErrNoSession) {
				t.Errorf("second StopSession = %v, want ErrNoSession", err)
			}
		})
	}
}

func TestPlainSession(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	rec.EscrowBag = []byte("bag")
	c := connect(t, Config{}, func(p *phone) {
		p.serveGeneration("iPhone", "1.0")
		p.answer("StartSession", sessionReply("<false/>"))
		p.answer("StopSession", "")
		p.answer("QueryType", "<key>Type</key><string>x</string>")
	})
	ctx := t.Context()
	if err := c.StartSession(ctx, rec); err != nil || c.Secure() {
		t.Fatalf("StartSession = %v, secure %v; want a plain session", err, c.Secure())
	}
	if _, err := c.StartService(ctx, "x", true); !errors.Is(err, ErrNoSession) {
		t.Errorf("escrow bag without TLS = %v, want ErrNoSession", err)
	}
	if err := c.StopSession(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.QueryType(ctx); err != nil {
		t.Errorf("call after a plain session = %v", err)
	}
}

// An identity known already is not asked for again.
func TestSessionUsesIdentity(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	c := connect(t, Config{}, func(p *phone) {
		p.answer("GetValue", "<key>Value</key><dict><key>DeviceClass</key><string>iPhone</string><key>ProductVersion</key><string>9.0</string></dict>")
		p.expect("StartSession")
		p.refuse("StartSession", "InvalidHostID")
		p.answer("QueryType", "<key>Type</key><string>x</string>")
	})
	ctx := t.Context()
	if _, err := c.Identity(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.StartSession(ctx, rec); !errors.Is(err, ErrInvalidHostID) || Number(err) != -21 {
		t.Errorf("StartSession = %v, want ErrInvalidHostID", err)
	}
	if _, err := c.QueryType(ctx); err != nil {
		t.Errorf("call after a refused session = %v", err)
	}
}

func TestSessionFailures(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	stranger := newRecord(t, &otherKey().PublicKey, false)
	modern := func(p *phone) { p.serveGeneration("iPhone", "17.5") }
	started := func(p *phone) { modern(p); p.answer("StartSession", sessionReply("<true/>")) }
	for _, tt := range []struct {
		name   string
		script func(*phone)
		want   []error
		not    error
		text   string
	}{
		{name: "another phone, tls 1.3", script: func(p *phone) {
			started(p)
			_ = p.secure(phoneTLS(stranger, otherKey(), tls.VersionTLS13, nil))
		}, want: []error{ErrTLS, ErrDeviceKey}},
		{name: "another phone, tls 1.0", script: func(p *phone) {
			started(p)
			_ = p.secure(phoneTLS(stranger, otherKey(), tls.VersionTLS10, nil))
		}, want: []error{ErrTLS, ErrDeviceKey}},
		{name: "our certificate is not accepted, tls 1.2", script: func(p *phone) {
			started(p)
			cfg := phoneTLS(rec, deviceKey(), tls.VersionTLS12, nil)
			cfg.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errors.New("no") }
			_ = p.secure(cfg)
		}, want: []error{ErrTLS}, not: ErrDeviceKey},
		{name: "ssl 3 only", script: func(p *phone) {
			started(p)
			p.readSome()
			p.send([]byte{0x15, 0x03, 0x00, 0x00, 0x02, 0x02, 0x28}) // handshake_failure
		}, want: []error{ErrTLS}, not: ErrDeviceKey},
		{name: "garbage", script: func(p *phone) {
			started(p)
			p.readSome()
			p.send([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		}, want: []error{ErrTLS}, not: ErrDeviceKey},
		{name: "plain message", script: func(p *phone) {
			started(p)
			p.readSome()
			p.reply("StartSession", "")
		}, want: []error{ErrTLS}, not: ErrDeviceKey},
		{name: "closes before the handshake", script: started, want: []error{ErrTLS}},
		{name: "closes in the handshake", script: func(p *phone) {
			started(p)
			p.readSome()
			p.send([]byte{0x16, 0x03, 0x03, 0x00, 0x7a, 0x02})
		}, want: []error{ErrTLS, io.ErrUnexpectedEOF}},
		{name: "closes instead of a version", script: func(*phone) {}, want: []error{ErrConnection}, not: ErrTLS},
		{name: "closes instead of a session", script: func(p *phone) { modern(p); p.expect("StartSession") }, want: []error{io.ErrUnexpectedEOF}, not: ErrTLS},
		{name: "no session id", script: func(p *phone) { modern(p); p.answer("StartSession", "<key>EnableSessionSSL</key><true/>") }, want: []error{ErrProtocol}, text: "SessionID"},
		{name: "session id of the wrong kind", script: func(p *phone) { modern(p); p.answer("StartSession", "<key>SessionID</key><integer>1</integer>") }, want: []error{ErrProtocol}, text: "SessionID"},
		{name: "ssl of the wrong kind", script: func(p *phone) { modern(p); p.answer("StartSession", sessionReply("<string>yes</string>")) }, want: []error{ErrProtocol}, text: "EnableSessionSSL"},
		{name: "locked", script: func(p *phone) { modern(p); p.expect("StartSession"); p.refuse("StartSession", "PasswordProtected") }, want: []error{ErrPasswordProtected}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, Config{}, tt.script)
			err := c.StartSession(t.Context(), rec)
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("StartSession = %v, want %v", err, want)
				}
			}
			if tt.not != nil && errors.Is(err, tt.not) {
				t.Errorf("StartSession = %v, which is also %v", err, tt.not)
			}
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v does not say %q", err, tt.text)
			}
			if c.sessionID != "" || c.Secure() {
				t.Error("a session is left behind")
			}
		})
	}
}

// readSome takes what the host sends first, a ClientHello.
func (p *phone) readSome() {
	if _, err := p.conn.Read(make([]byte, 16<<10)); err != nil {
		p.fatalf("no ClientHello: %v", err)
	}
}

// In TLS 1.3 the phone objects to our certificate only after our handshake is
// over: its alert crosses our first request, or comes before it with a reset behind.
// A pipe without a buffer would lock up there, so this one is over TCP.
func TestLateObjection(t *testing.T) {
	t.Run("crosses the request", func(t *testing.T) { testLateObjection(t, false) })
	t.Run("before the request", func(t *testing.T) { testLateObjection(t, true) })
}

// resetConn fails to write once the other end has reset the connection.
type resetConn struct {
	net.Conn
	reset <-chan struct{}
}

func (c *resetConn) Write(b []byte) (int, error) {
	select {
	case <-c.reset:
		return 0, syscall.ECONNRESET
	default:
		return c.Conn.Write(b)
	}
}

func testLateObjection(t *testing.T, early bool) {
	objected := make(chan struct{})
	rec := newRecord(t, &deviceKey().PublicKey, false)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.Close()
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		p := &phone{t: t, conn: conn}
		p.serveGeneration("iPhone", "17.5")
		p.answer("StartSession", sessionReply("<true/>"))
		cfg := phoneTLS(rec, deviceKey(), tls.VersionTLS13, nil)
		cfg.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errors.New("no") }
		if p.secure(cfg) == nil {
			t.Error("the phone took the certificate")
		}
		close(objected)
		silent(p)
	})
	var d net.Dialer
	c, err := Dial(t.Context(), func(ctx context.Context, _ uint16) (net.Conn, error) {
		c, err := d.DialContext(ctx, "tcp", l.Addr().String())
		if early && err == nil {
			c = &resetConn{c, objected}
		}
		return c, err
	}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err = c.StartSession(t.Context(), rec); err == nil {
		if early {
			<-objected
		}
		_, err = c.QueryType(t.Context())
	}
	if !errors.Is(err, ErrTLS) || errors.Is(err, ErrDeviceKey) {
		t.Errorf("first request = %v, want ErrTLS", err)
	}
}

func TestGarbageWithinTLS(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	for _, tt := range []struct {
		name   string
		script func(*phone, net.Conn)
		want   error
	}{
		{"hangs up without close_notify", func(p *phone, raw net.Conn) { p.expect("QueryType") }, io.ErrUnexpectedEOF},
		{"close_notify", func(p *phone, raw net.Conn) { p.expect("QueryType"); p.conn.(*tls.Conn).CloseWrite() }, io.ErrUnexpectedEOF},
		{"plain bytes", func(p *phone, raw net.Conn) {
			p.expect("QueryType")
			_, _ = raw.Write([]byte("\x00\x00\x01\x00<?xml version"))
		}, ErrTLS},
		{"giant length", func(p *phone, raw net.Conn) { p.expect("QueryType"); p.send([]byte{0xff, 0, 0, 0}) }, ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, Config{}, func(p *phone) {
				raw := p.conn
				p.openSession("iPhone", "17.5", phoneTLS(rec, deviceKey(), tls.VersionTLS13, nil))
				tt.script(p, raw)
			})
			if err := c.StartSession(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			if _, err := c.QueryType(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("QueryType = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestSilentHandshake(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Config{}, func(p *phone) {
			p.serveGeneration("iPhone", "17.5")
			p.answer("StartSession", sessionReply("<true/>"))
			silent(p)
		})
		if err := c.StartSession(t.Context(), rec); !errors.Is(err, ErrTimeout) {
			t.Errorf("StartSession = %v, want ErrTimeout", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := connect(t, Config{}, func(p *phone) {
			p.serveGeneration("iPhone", "17.5")
			p.answer("StartSession", sessionReply("<true/>"))
			p.readSome()
			cancel()
			silent(p)
		})
		if err := c.StartSession(ctx, rec); !errors.Is(err, context.Canceled) {
			t.Errorf("StartSession = %v, want Canceled", err)
		}
	})
}

func TestUnusableRecords(t *testing.T) {
	good := newRecord(t, &deviceKey().PublicKey, false)
	for _, tt := range []struct {
		name  string
		spoil func(*pairrecord.Record)
	}{
		{"no host id", func(r *pairrecord.Record) { r.HostID = "" }},
		{"no device certificate", func(r *pairrecord.Record) { r.DeviceCertificate = nil }},
		{"broken device certificate", func(r *pairrecord.Record) { r.DeviceCertificate = []byte("x") }},
		{"device certificate is a key", func(r *pairrecord.Record) { r.DeviceCertificate = r.RootPrivateKey }},
		{"no root certificate", func(r *pairrecord.Record) { r.RootCertificate = nil }},
		{"no keys at all", func(r *pairrecord.Record) { r.RootPrivateKey, r.HostPrivateKey = nil, nil }},
		{"keys changed about", func(r *pairrecord.Record) {
			r.RootPrivateKey, r.HostPrivateKey = r.HostPrivateKey, r.RootPrivateKey
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := good
			tt.spoil(&rec)
			c := connect(t, Config{}, func(p *phone) {
				if rec.HostID == "" {
					return
				}
				p.serveGeneration("iPhone", "17.5")
				if got := p.read(); got != "" {
					t.Errorf("the phone was asked %s", got)
				}
			})
			if err := c.StartSession(t.Context(), rec); !errors.Is(err, ErrRecord) || Number(err) != -2 {
				t.Errorf("StartSession = %v, want ErrRecord", err)
			}
			c.Close()
		})
	}
}

// Records of other tools: PKCS#1 keys (go-ios), no root key, a trip through the
// disk.
func TestForeignRecords(t *testing.T) {
	for _, tt := range []struct {
		name  string
		alter func(*testing.T, *pairrecord.Record)
		shown func(pairrecord.Record) []byte
	}{
		{"pkcs1 keys", func(t *testing.T, r *pairrecord.Record) {
			for _, key := range []*[]byte{&r.RootPrivateKey, &r.HostPrivateKey} {
				*key = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(parseKey(t, *key))})
			}
		}, nil},
		{"host key only", func(t *testing.T, r *pairrecord.Record) { r.RootPrivateKey = nil },
			func(r pairrecord.Record) []byte { return r.HostCertificate }},
		{"xml and back", func(t *testing.T, r *pairrecord.Record) {
			text, err := plist.MarshalXML(*r)
			if err != nil {
				t.Fatal(err)
			}
			*r = pairrecord.Record{}
			if err := plist.Unmarshal(text, r); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"binary and back", func(t *testing.T, r *pairrecord.Record) {
			raw, err := plist.MarshalBinary(*r)
			if err != nil {
				t.Fatal(err)
			}
			*r = pairrecord.Record{}
			if err := plist.Unmarshal(raw, r); err != nil {
				t.Fatal(err)
			}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := newRecord(t, &deviceKey().PublicKey, false)
			tt.alter(t, &rec)
			var seen []byte
			c := connect(t, Config{}, func(p *phone) {
				p.openSession("iPhone", "17.5", phoneTLS(rec, deviceKey(), tls.VersionTLS12, &seen))
			})
			if err := c.StartSession(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			want := rec.RootCertificate
			if tt.shown != nil {
				want = tt.shown(rec)
			}
			if string(seen) != string(parseCert(t, want).Raw) {
				t.Error("the phone was shown another certificate")
			}
		})
	}
}

// A record made with openssl as libimobiledevice makes them.
func TestRecordMadeByOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), openssl, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("openssl %v: %v\n%s", args, err, out)
		}
	}
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	pkix, err := x509.MarshalPKIXPublicKey(&deviceKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	write("device.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}))
	root, err := keyPEM(hostKeys().root)
	if err != nil {
		t.Fatal(err)
	}
	write("root.key", root)
	write("openssl.cnf", []byte("[req]\ndistinguished_name=dn\n[dn]\n"+
		"[ca]\nbasicConstraints=critical,CA:TRUE\n"+
		"[leaf]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\nsubjectKeyIdentifier=hash\n"))
	run("req", "-config", "openssl.cnf", "-x509", "-new", "-key", "root.key", "-subj", "/", "-set_serial", "0",
		"-days", "3650", "-sha256", "-extensions", "ca", "-out", "root.pem")
	run("req", "-config", "openssl.cnf", "-new", "-key", "root.key", "-subj", "/", "-out", "device.csr")
	run("x509", "-req", "-in", "device.csr", "-force_pubkey", "device.pub", "-CA", "root.pem", "-CAkey", "root.key",
		"-set_serial", "0", "-days", "3650", "-sha256", "-extfile", "openssl.cnf", "-extensions", "leaf", "-out", "device.pem")
	rec := pairrecord.Record{
		HostID: "H", SystemBUID: testBUID,
		RootCertificate: read("root.pem"), RootPrivateKey: root, DeviceCertificate: read("device.pem"),
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13} {
		c := connect(t, Config{}, func(p *phone) {
			p.openSession("iPhone", "17.5", phoneTLS(rec, deviceKey(), version, nil))
		})
		if err := c.StartSession(t.Context(), rec); err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}
