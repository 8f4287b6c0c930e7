package lockdown

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"

	"gomuxd/pairrecord"
)

// FuzzDeviceKey has a phone give any bytes for its public key: that is ErrProtocol,
// or a record whose DeviceCertificate is for a key of sound size, signed by its root.
func FuzzDeviceKey(f *testing.F) {
	f.Add(devicePEM(&deviceKey().PublicKey))
	f.Add(devicePEM(&oldKey().PublicKey))
	odd := deviceKey().PublicKey
	odd.E = 1
	f.Add(devicePEM(&odd))
	pkix, err := x509.MarshalPKIXPublicKey(&deviceKey().PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}))
	f.Add([]byte("-----BEGIN RSA PUBLIC KEY-----\n-----END RSA PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		rec, err := NewRecord(hostKeys(), RecordConfig{DevicePublicKey: in, SystemBUID: testBUID})
		if err != nil {
			if !errors.Is(err, ErrProtocol) || rec.HostID != "" {
				t.Fatalf("NewRecord = %v, want ErrProtocol and no record", err)
			}
			return
		}
		device, root := parseCert(t, rec.DeviceCertificate), parseCert(t, rec.RootCertificate)
		key, err := publicKey(rec.DeviceCertificate)
		if err != nil {
			t.Fatalf("certified, and not read again: %v", err)
		}
		want, err := parseDeviceKey(in)
		if err != nil || !key.Equal(want) {
			t.Fatalf("certified another key than %v (%v)", want, err)
		}
		if bits := want.N.BitLen(); bits < minDeviceKeyBits || bits > maxDeviceKeyBits {
			t.Fatalf("certified a key of %d bits", bits)
		}
		if err := root.CheckSignature(device.SignatureAlgorithm, device.RawTBSCertificate, device.Signature); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzSessionRecord starts sessions with records of anybody's making: that is
// ErrRecord before anything is sent, or TLS with the certificate and key in it.
func FuzzSessionRecord(f *testing.F) {
	rec := newRecord(f, &deviceKey().PublicKey, false)
	f.Add(rec.DeviceCertificate, rec.RootCertificate, rec.RootPrivateKey, rec.HostCertificate, rec.HostPrivateKey)
	f.Add(rec.DeviceCertificate, rec.RootCertificate, []byte(nil), rec.HostCertificate, rec.HostPrivateKey)
	f.Add(rec.HostCertificate, rec.HostCertificate, rec.RootPrivateKey, rec.RootCertificate, rec.HostPrivateKey)
	f.Add(rec.RootPrivateKey, []byte("-----BEGIN CERTIFICATE-----"), []byte("-----BEGIN PRIVATE KEY-----"), []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, device, root, rootKey, host, hostKey []byte) {
		cfg, err := tlsConfig(pairrecord.Record{
			DeviceCertificate: device, RootCertificate: root, RootPrivateKey: rootKey, HostCertificate: host, HostPrivateKey: hostKey,
		}, Identity{})
		if err != nil {
			if !errors.Is(err, ErrRecord) || cfg != nil {
				t.Fatalf("tlsConfig = %v, want ErrRecord", err)
			}
			return
		}
		cert, err := cfg.GetClientCertificate(nil)
		if err != nil || len(cert.Certificate) == 0 || cert.PrivateKey == nil {
			t.Fatalf("no certificate to show: %v", err)
		}
	})
}

// FuzzSupervisor reads foreign files as supervisors' identities: an error that says
// so, or one whose answers to challenges its own certificate verifies.
func FuzzSupervisor(f *testing.F) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<36, 0)}
	der, err := x509.CreateCertificate(nil, template, template, &otherKey().PublicKey, otherKey())
	if err != nil {
		f.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(otherKey())})
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	f.Add(append(cert, key...), "", []byte("challenge"))
	f.Add(append(key, cert...), "", []byte{})
	f.Add(cert, "", []byte("no key"))
	for _, key := range []*rsa.PrivateKey{otherKey(), deviceKey()} { // the second is not the certificate's
		bundle, err := pkcs12.Passwordless.Encode(key, certificate, nil, "")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bundle, "", []byte("challenge"))
	}
	f.Fuzz(func(t *testing.T, file []byte, password string, challenge []byte) {
		s, err := ParseSupervisor(file, password)
		if err != nil {
			if s != nil || !bytes.HasPrefix([]byte(err.Error()), []byte("supervisor identity: ")) {
				t.Fatalf("ParseSupervisor = %v, %v", s, err)
			}
			return
		}
		answer, err := s.Sign(challenge)
		if err != nil {
			t.Fatalf("an identity that cannot sign: %v", err)
		}
		signed, err := pkcs7.Parse(answer)
		if err != nil {
			t.Fatal(err)
		}
		var outdated *pkcs7.SigningTimeNotValidError // nothing that phones look at
		if err := signed.Verify(); err != nil && !errors.As(err, &outdated) || !bytes.Equal(signed.Content, challenge) {
			t.Fatalf("signed %q instead of %q: %v", signed.Content, challenge, err)
		}
	})
}
