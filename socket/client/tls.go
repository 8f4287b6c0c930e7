package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
)

// Environment variables that name files, in PEM form, for addresses that begin with
// "tls:".
const (
	CertificateEnv = "USBMUXD_TLS_CERTIFICATE" // this user's certificate
	KeyEnv         = "USBMUXD_TLS_KEY"         // its private key
	AuthorityEnv   = "USBMUXD_TLS_CA"          // who signs daemons' certificates; the system's authorities if unset
)

// tlsConfig is for a daemon at place, host:port, whose certificate must be for that
// host.
func tlsConfig(place string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(place)
	if err != nil {
		return nil, err
	}
	certificate, key := os.Getenv(CertificateEnv), os.Getenv(KeyEnv)
	if certificate == "" || key == "" {
		return nil, fmt.Errorf("usbmuxd at tls:%s asks for a certificate: set %s and %s to the files with yours and its key", place, CertificateEnv, KeyEnv)
	}
	own, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", CertificateEnv, KeyEnv, err)
	}
	config := &tls.Config{ServerName: host, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13}
	if path := os.Getenv(AuthorityEnv); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", AuthorityEnv, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %s holds no certificate in PEM form", AuthorityEnv, path)
		}
	}
	return config, nil
}
