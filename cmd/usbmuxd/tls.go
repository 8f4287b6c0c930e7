package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"gomuxd/socket"
)

// tlsSettings name the files for addresses that begin with "tls:".
type tlsSettings struct {
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	Clients     string `toml:"clients"`
}

// validate returns the first key that makes no sense.
func (t tlsSettings) validate() (key string, err error) {
	if t == (tlsSettings{}) {
		return "", nil
	}
	for _, f := range []struct{ key, path string }{{"certificate", t.Certificate}, {"key", t.Key}, {"clients", t.Clients}} {
		if f.path == "" {
			return f.key, fmt.Errorf("wants a file: certificate, key and clients go together")
		}
		if err := checkPath(f.path); err != nil {
			return f.key, err
		}
	}
	return "", nil
}

// checkTLS refuses an address for TLS without the files for it.
func (s *settings) checkTLS(address string) error {
	if socket.OverTLS(address) && s.TLS == (tlsSettings{}) {
		return fmt.Errorf("wants certificate, key and clients in [tls] for %s", address)
	}
	return nil
}

// read reads the files.
func (t tlsSettings) read() (own tls.Certificate, clients *x509.CertPool, err error) {
	info, err := os.Stat(t.Key)
	if err != nil {
		return own, nil, fmt.Errorf("tls.key: %w", err)
	}
	if info.Mode()&0o007 != 0 {
		return own, nil, fmt.Errorf("tls.key: %s is open to all users: chmod o= %s", t.Key, t.Key)
	}
	if own, err = tls.LoadX509KeyPair(t.Certificate, t.Key); err != nil {
		return own, nil, fmt.Errorf("tls.certificate %s with tls.key %s: %w", t.Certificate, t.Key, err)
	}
	pem, err := os.ReadFile(t.Clients)
	if err != nil {
		return own, nil, fmt.Errorf("tls.clients: %w", err)
	}
	clients = x509.NewCertPool()
	if !clients.AppendCertsFromPEM(pem) {
		return own, nil, fmt.Errorf("tls.clients: %s holds no certificate in PEM form", t.Clients)
	}
	return own, clients, nil
}

// setCredentials reads the files for TLS, if there are any, for new connections.
func (d *muxd) setCredentials(s *settings) error {
	if s.TLS == (tlsSettings{}) {
		return nil
	}
	own, clients, err := s.TLS.read()
	if err != nil {
		return err
	}
	d.credentials.Set(own, clients)
	return nil
}
