package client

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomuxd/socket"
	"gomuxd/socket/tlstest"
)

// TestTLS dials a TLS daemon with the right files, and with others.
func TestTLS(t *testing.T) {
	dir, ca := t.TempDir(), tlstest.New(t)
	var creds socket.Credentials
	creds.Set(ca.Issue("server", x509.ExtKeyUsageServerAuth), ca.Pool())
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reg := socket.NewRegistry()
	attach(t, reg)
	srv := socket.NewServer(reg, socket.Config{})
	done := make(chan error, 1)
	go func() { done <- srv.Serve(creds.Secure(l), nil) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())

	other := tlstest.New(t)
	ca.Write(dir, "ca")
	other.Write(dir, "other-ca")
	tlstest.Write(t, dir, "good", ca.Issue("good", x509.ExtKeyUsageClientAuth))
	tlstest.Write(t, dir, "bad", other.Issue("bad", x509.ExtKeyUsageClientAuth))
	if err := os.WriteFile(filepath.Join(dir, "empty.crt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, certificate, key, ca, host, says string }{
		{"all right", "good.crt", "good.key", "ca.crt", "localhost", ""},
		{"none", "", "", "ca.crt", "localhost", "set USBMUXD_TLS_CERTIFICATE and USBMUXD_TLS_KEY"},
		{"not that key", "good.crt", "bad.key", "ca.crt", "localhost", "does not match"},
		{"no such file", "gone.crt", "good.key", "ca.crt", "localhost", "no such file"},
		{"empty authority", "good.crt", "good.key", "empty.crt", "localhost", "USBMUXD_TLS_CA: "},
		{"no authority", "good.crt", "good.key", "gone.crt", "localhost", "USBMUXD_TLS_CA: "},
		{"another authority of the daemon", "good.crt", "good.key", "other-ca.crt", "localhost", "unknown authority"},
		{"the system's authorities", "good.crt", "good.key", "", "localhost", "unknown authority"},
		{"another name of the daemon", "good.crt", "good.key", "ca.crt", "127.0.0.1", "127.0.0.1"},
		{"another authority of the client", "bad.crt", "bad.key", "ca.crt", "localhost", "usbmuxd does not take the certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for variable, file := range map[string]string{CertificateEnv: tt.certificate, KeyEnv: tt.key, AuthorityEnv: tt.ca} {
				if file != "" {
					file = filepath.Join(dir, file)
				}
				t.Setenv(variable, file)
			}
			c, err := Dial(within(t), "tls:"+tt.host+":"+port)
			if err == nil {
				defer c.Close()
				var list []Device
				if list, err = c.ListDevices(within(t)); err == nil && len(list) != 1 {
					t.Errorf("list %v", list)
				}
			}
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("want %q, got %v", tt.says, err)
			}
		})
	}
}
