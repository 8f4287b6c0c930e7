package lockdown

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"gomuxd/pairrecord"
)

const (
	// keyBits is the size of the RSA keys made. Source: libimobiledevice,
	// pymobiledevice3, go-ios all use it.
	keyBits = 2048

	// validity of the certificates. Source: libimobiledevice.
	validity = 3650 * 24 * time.Hour

	// Bounds on the phone's key, in bits: what crypto/tls takes.
	minDeviceKeyBits = 1024
	maxDeviceKeyBits = 8192
)

// Keys are the host's two private keys of one pair record. Making them takes
// tens of milliseconds and more on a small CPU, so do it ahead of time. Each
// record wants Keys of its own.
type Keys struct {
	root, host *rsa.PrivateKey
}

// NewKeys makes a root key and a host key.
func NewKeys() (*Keys, error) {
	root, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make root key: %w", err)
	}
	host, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make host key: %w", err)
	}
	return &Keys{root: root, host: host}, nil
}

// RecordConfig is what NewRecord certifies.
type RecordConfig struct {
	// DevicePublicKey is the phone's key, PEM around PKCS#1 or PKIX, as GetValue
	// gives it.
	DevicePublicKey []byte

	// SystemBUID is this host's id, the same for all phones.
	SystemBUID string

	// WiFiMACAddress is the phone's, as GetValue gives WiFiAddress; may be empty.
	WiFiMACAddress string

	// SHA1 signs with SHA-1, for phones below iOS 4.
	SHA1 bool
}

// NewRecord issues the certificates of a pair record and gives it a new HostID.
// The record is complete but for the EscrowBag, which the phone adds when it
// pairs. A DevicePublicKey that is no usable RSA key is ErrProtocol.
func NewRecord(keys *Keys, cfg RecordConfig) (pairrecord.Record, error) {
	deviceKey, err := parseDeviceKey(cfg.DevicePublicKey)
	if err != nil {
		return pairrecord.Record{}, fmt.Errorf("%w: DevicePublicKey: %w", ErrProtocol, err)
	}
	rec := pairrecord.Record{
		HostID:         newUUID(),
		SystemBUID:     cfg.SystemBUID,
		WiFiMACAddress: cfg.WiFiMACAddress,
	}
	ca := issuer{key: keys.root, now: time.Now(), algorithm: x509.SHA256WithRSA}
	if cfg.SHA1 {
		ca.algorithm = x509.SHA1WithRSA
	}
	ski := sha1.Sum(x509.MarshalPKCS1PublicKey(deviceKey))
	for _, cert := range []struct {
		to       *[]byte
		key      *rsa.PublicKey
		template x509.Certificate
	}{
		{&rec.RootCertificate, &keys.root.PublicKey, rootTemplate()},
		{&rec.HostCertificate, &keys.host.PublicKey, leafTemplate(nil)},
		{&rec.DeviceCertificate, deviceKey, leafTemplate(ski[:])},
	} {
		if *cert.to, err = ca.issue(cert.template, cert.key); err != nil {
			return pairrecord.Record{}, fmt.Errorf("issue certificate: %w", err)
		}
	}
	if rec.RootPrivateKey, err = keyPEM(keys.root); err != nil {
		return pairrecord.Record{}, err
	}
	if rec.HostPrivateKey, err = keyPEM(keys.host); err != nil {
		return pairrecord.Record{}, err
	}
	return rec, nil
}

// rootTemplate has one extension, critical basicConstraints CA:TRUE. It is
// spelled out because IsCA would make crypto/x509 add a subjectKeyIdentifier,
// which the root of libimobiledevice has not.
func rootTemplate() x509.Certificate {
	return x509.Certificate{ExtraExtensions: []pkix.Extension{{
		Id:       asn1.ObjectIdentifier{2, 5, 29, 19},
		Critical: true,
		Value:    []byte{0x30, 0x03, 0x01, 0x01, 0xff}, // SEQUENCE { BOOLEAN TRUE }
	}}}
}

// leafTemplate has critical basicConstraints CA:FALSE, critical keyUsage and, for
// the phone, a subjectKeyIdentifier.
func leafTemplate(ski []byte) x509.Certificate {
	return x509.Certificate{
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		SubjectKeyId:          ski,
	}
}

// issuer signs certificates with the root key. All have serial 0, empty names
// and the same validity.
type issuer struct {
	key       *rsa.PrivateKey
	now       time.Time
	algorithm x509.SignatureAlgorithm
}

func (ca issuer) issue(template x509.Certificate, key *rsa.PublicKey) ([]byte, error) {
	template.SerialNumber = new(big.Int)
	template.NotBefore = ca.now.UTC()
	template.NotAfter = template.NotBefore.Add(validity)
	template.SignatureAlgorithm = ca.algorithm
	// The parent lends its name only, which is empty.
	der, err := x509.CreateCertificate(rand.Reader, &template, &x509.Certificate{}, key, ca.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func keyPEM(key *rsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseDeviceKey takes PKCS#1, whatever the PEM block is called, else PKIX.
func parseDeviceKey(data []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	key, err := x509.ParsePKCS1PublicKey(block.Bytes)
	if err != nil {
		pub, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("neither PKCS#1 nor PKIX: %w", err)
		}
		var ok bool
		if key, ok = pub.(*rsa.PublicKey); !ok {
			return nil, fmt.Errorf("not an RSA key but %T", pub)
		}
	}
	if bits := key.N.BitLen(); bits < minDeviceKeyBits || bits > maxDeviceKeyBits {
		return nil, fmt.Errorf("RSA key of %d bits", bits)
	}
	return key, nil
}

// newUUID returns a random (version 4) UUID in upper case, as HostIDs are.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
