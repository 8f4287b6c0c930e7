package lockdown

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestStartService(t *testing.T) {
	port := func(v string) string { return "<key>Port</key>" + v }
	for _, tt := range []struct {
		name   string
		inside string
		want   Service
		err    error
		text   string
	}{
		{name: "plain", inside: port("<integer>49152</integer>"), want: Service{"com.apple.afc", 49152, false}},
		{name: "tls", inside: port("<integer>65535</integer>") + "<key>EnableServiceSSL</key><true/>", want: Service{"com.apple.afc", 65535, true}},
		{name: "no tls", inside: port("<integer>1</integer>") + "<key>EnableServiceSSL</key><false/>", want: Service{"com.apple.afc", 1, false}},
		{name: "no port", err: ErrProtocol, text: "Port is missing"},
		{name: "port 0", inside: port("<integer>0</integer>"), err: ErrProtocol, text: "Port is missing"},
		{name: "port too large", inside: port("<integer>70000</integer>"), err: ErrProtocol, text: `"Port"`},
		{name: "port below zero", inside: port("<integer>-1</integer>"), err: ErrProtocol, text: `"Port"`},
		{name: "port a string", inside: port("<string>49152</string>"), err: ErrProtocol, text: `string of key "Port"`},
		{name: "tls a string", inside: port("<integer>1</integer>") + "<key>EnableServiceSSL</key><string>x</string>", err: ErrProtocol, text: `string of key "EnableServiceSSL"`},
		{name: "invalid", inside: "<key>Error</key><string>InvalidService</string>", err: ErrInvalidService},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, Config{}, func(p *phone) {
				if got := p.expect("StartService", "<key>Service</key><string>com.apple.afc</string>"); strings.Contains(got, "Escrow") {
					t.Errorf("escrow bag sent unasked")
				}
				p.reply("StartService", tt.inside)
			})
			got, err := c.StartService(t.Context(), "com.apple.afc", false)
			if !errors.Is(err, tt.err) || got != tt.want {
				t.Fatalf("StartService = %+v, %v; want %+v, %v", got, err, tt.want, tt.err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q does not say %q", err, tt.text)
			}
		})
	}
}

func TestServiceInSession(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	rec.EscrowBag = []byte("bag")
	phoneCfg := phoneTLS(rec, deviceKey(), tls.VersionTLS13, nil)
	start := func(p *phone, port int, ssl string) {
		p.expect("StartService")
		p.reply("StartService", fmt.Sprintf("<key>Port</key><integer>%d</integer><key>EnableServiceSSL</key>%s", port, ssl))
	}
	scripts := map[uint16]func(*phone){
		Port: func(p *phone) {
			p.openSession("iPhone", "17.5", phoneCfg)
			p.expect("StartService", "<key>EscrowBag</key>"+data([]byte("bag")))
			p.reply("StartService", "<key>Port</key><integer>50001</integer><key>EnableServiceSSL</key><true/>")
			start(p, 50006, "<true/>")
			start(p, 50002, "<false/>")
			start(p, 50003, "<true/>")
			start(p, 50004, "<true/>")
			start(p, 50005, "<true/>")
		},
		50001: func(p *phone) { // TLS, ends without close_notify
			if err := p.secure(phoneCfg); err != nil {
				p.fatalf("handshake: %v", err)
			}
			_, _ = io.WriteString(p.conn, "secret")
		},
		50006: func(p *phone) { // ends within a record
			raw := p.conn
			if err := p.secure(phoneCfg); err != nil {
				p.fatalf("handshake: %v", err)
			}
			_, _ = io.WriteString(p.conn, "half")
			_, _ = raw.Write([]byte{0x17, 0x03, 0x03, 0x00, 0x40, 1, 2, 3})
		},
		50002: func(p *phone) { _, _ = io.WriteString(p.conn, "plain") },
		50003: func(p *phone) { // another phone's key
			stranger := newRecord(t, &otherKey().PublicKey, false)
			_ = p.secure(phoneTLS(stranger, otherKey(), tls.VersionTLS13, nil))
		},
		50004: silent,
	}
	c := connectTo(t, Config{}, scripts)
	ctx := t.Context()
	if err := c.StartSession(ctx, rec); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		want string
		err  error
	}{{"secret", nil}, {"half", io.ErrUnexpectedEOF}, {"plain", nil}} {
		svc, err := c.StartService(ctx, "x", i == 0)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := c.DialService(ctx, svc)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if !errors.Is(err, tt.err) || string(got) != tt.want {
			t.Errorf("service sent %q, %v; want %q, %v", got, err, tt.want, tt.err)
		}
		conn.Close()
	}
	svc, err := c.StartService(ctx, "x", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DialService(ctx, svc); !errors.Is(err, ErrDeviceKey) || !errors.Is(err, ErrTLS) {
		t.Errorf("service with another key = %v, want ErrDeviceKey", err)
	}
	if svc, err = c.StartService(ctx, "x", false); err != nil {
		t.Fatal(err)
	}
	c.cfg.Timeout = 1 // as good as over
	if _, err := c.DialService(ctx, svc); !errors.Is(err, ErrTimeout) {
		t.Errorf("silent service = %v, want ErrTimeout", err)
	}
	c.cfg.Timeout = DefaultTimeout
	if svc, err = c.StartService(ctx, "x", false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DialService(ctx, svc); !errors.Is(err, ErrConnection) {
		t.Errorf("service nobody serves = %v, want ErrConnection", err)
	}
}

func TestServiceWithoutSession(t *testing.T) {
	c := connect(t, Config{}, func(p *phone) {
		p.expect("StartService")
		p.refuse("StartService", "SessionInactive")
	})
	ctx := t.Context()
	if _, err := c.StartService(ctx, "x", true); !errors.Is(err, ErrNoSession) {
		t.Errorf("escrow bag without a session = %v, want ErrNoSession", err)
	}
	if _, err := c.DialService(ctx, Service{Port: 50001, SSL: true}); !errors.Is(err, ErrNoSession) {
		t.Errorf("TLS service without a session = %v, want ErrNoSession", err)
	}
	if _, err := c.StartService(ctx, "x", false); !errors.Is(err, ErrSessionInactive) {
		t.Errorf("StartService = %v, want ErrSessionInactive", err)
	}
}

func TestNoEscrowBag(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	c := connect(t, Config{}, func(p *phone) {
		p.openSession("iPhone", "17.5", phoneTLS(rec, deviceKey(), tls.VersionTLS13, nil))
	})
	if err := c.StartSession(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if _, err := c.StartService(t.Context(), "x", true); !errors.Is(err, ErrRecord) {
		t.Errorf("StartService = %v, want ErrRecord", err)
	}
}
