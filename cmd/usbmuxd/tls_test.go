package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"gomuxd/socket/tlstest"
)

// tlsFiles are the files of a daemon and of a client in one directory.
type tlsFiles struct {
	dir string
	ca  *tlstest.Authority
}

func newTLSFiles(t *testing.T) *tlsFiles {
	f := &tlsFiles{t.TempDir(), tlstest.New(t)}
	f.ca.Write(f.dir, "ca")
	tlstest.Write(t, f.dir, "server", f.ca.Issue("server", x509.ExtKeyUsageServerAuth))
	tlstest.Write(t, f.dir, "ci-runner", f.ca.Issue("ci-runner", x509.ExtKeyUsageClientAuth))
	return f
}

func (f *tlsFiles) path(name string) string { return filepath.Join(f.dir, name) }

// table is the [tls] of a configuration.
func (f *tlsFiles) table() string {
	return fmt.Sprintf("[tls]\ncertificate = %q\nkey = %q\nclients = %q\n", f.path("server.crt"), f.path("server.key"), f.path("ca.crt"))
}

// TestTLSFiles asserts that files which are no use keep the daemon from starting,
// with the key and what to do.
func TestTLSFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(f *tlsFiles) error
		want  string
	}{
		"good":         {func(*tlsFiles) error { return nil }, ""},
		"group's key":  {func(f *tlsFiles) error { return os.Chmod(f.path("server.key"), 0o640) }, ""},
		"open key":     {func(f *tlsFiles) error { return os.Chmod(f.path("server.key"), 0o644) }, "chmod o= "},
		"no key":       {func(f *tlsFiles) error { return os.Remove(f.path("server.key")) }, "tls.key: "},
		"no cert":      {func(f *tlsFiles) error { return os.Remove(f.path("server.crt")) }, "tls.certificate "},
		"another key":  {func(f *tlsFiles) error { return os.Rename(f.path("ci-runner.key"), f.path("server.key")) }, "private key does not match"},
		"no authority": {func(f *tlsFiles) error { return os.Truncate(f.path("ca.crt"), 0) }, "tls.clients: "},
		"none":         {func(f *tlsFiles) error { return os.Remove(f.path("ca.crt")) }, "tls.clients: "},
	} {
		t.Run(name, func(t *testing.T) {
			f := newTLSFiles(t)
			if err := tt.spoil(f); err != nil {
				t.Fatal(err)
			}
			s := defaults()
			if err := s.parseConfig("conf", []byte(f.table())); err != nil {
				t.Fatal(err)
			}
			err := newDaemon(new(options), &s, zap.NewNop()).setCredentials(&s)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("want %q, got %v", tt.want, err)
			}
		})
	}
}

// TestPassedTLS asserts that a socket of the service manager whose address is one for
// TLS in the configuration is served with TLS.
func TestPassedTLS(t *testing.T) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := newDaemon(new(options), set("-S", "tls:"+l.Addr().String()), zap.NewNop())
	all, err := passed{clients: []net.Listener{l}}.openClients(d.settings.Load(), &d.credentials)
	if err != nil || len(all) != 1 || all[0].Addr().Network() != "tls" {
		t.Errorf("got %v, %v", all, err)
	}
}
