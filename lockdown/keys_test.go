package lockdown

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gomuxd/pairrecord"
)

const testBUID = "3A5E0C6B-9F1D-4E27-8B60-D1C4A2F7E953"

// Keys are slow to make under the race detector, so the tests share them.
var (
	hostKeys = sync.OnceValue(func() *Keys {
		keys, err := NewKeys()
		if err != nil {
			panic(err)
		}
		return keys
	})
	deviceKey = sync.OnceValue(func() *rsa.PrivateKey { return rsaKey(2048) })
	otherKey  = sync.OnceValue(func() *rsa.PrivateKey { return rsaKey(2048) })
	oldKey    = sync.OnceValue(func() *rsa.PrivateKey { return rsaKey(1024) })
)

func rsaKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// devicePEM is a phone's key as GetValue gives it.
func devicePEM(key *rsa.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(key)})
}

func newRecord(t testing.TB, key *rsa.PublicKey, sha1 bool) pairrecord.Record {
	t.Helper()
	rec, err := NewRecord(hostKeys(), RecordConfig{
		DevicePublicKey: devicePEM(key), SystemBUID: testBUID, WiFiMACAddress: "aa:bb:cc:dd:ee:ff", SHA1: sha1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func parseCert(t testing.TB, data []byte) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		t.Fatalf("no single PEM certificate: %q", data)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestNewRecord(t *testing.T) {
	for _, tt := range []struct {
		name      string
		key       *rsa.PrivateKey
		sha1      bool
		algorithm x509.SignatureAlgorithm
	}{
		{"iphone", deviceKey(), false, x509.SHA256WithRSA},
		{"before ios 4", oldKey(), true, x509.SHA1WithRSA},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := time.Now().Truncate(time.Second)
			rec := newRecord(t, &tt.key.PublicKey, tt.sha1)

			if rec.SystemBUID != testBUID || rec.WiFiMACAddress != "aa:bb:cc:dd:ee:ff" || rec.EscrowBag != nil {
				t.Errorf("record = %q %q %q, want the given ids and no escrow bag", rec.SystemBUID, rec.WiFiMACAddress, rec.EscrowBag)
			}
			v4 := regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)
			if !v4.MatchString(rec.HostID) {
				t.Errorf("HostID = %q, want an upper-case UUID of version 4", rec.HostID)
			}
			if again := newRecord(t, &tt.key.PublicKey, tt.sha1); again.HostID == rec.HostID {
				t.Errorf("two records have the HostID %s", rec.HostID)
			}

			rootKey, hostKey := parseKey(t, rec.RootPrivateKey), parseKey(t, rec.HostPrivateKey)
			ski := sha1.Sum(x509.MarshalPKCS1PublicKey(&tt.key.PublicKey))
			for _, c := range []struct {
				name string
				pem  []byte
				key  *rsa.PublicKey
				ext  map[string]string // critical flag and DER by id
			}{
				{"root", rec.RootCertificate, &rootKey.PublicKey, map[string]string{
					"2.5.29.19": "critical 30030101ff",
				}},
				{"host", rec.HostCertificate, &hostKey.PublicKey, map[string]string{
					"2.5.29.19": "critical 3000",
					"2.5.29.15": "critical 030205a0",
				}},
				{"device", rec.DeviceCertificate, &tt.key.PublicKey, map[string]string{
					"2.5.29.19": "critical 3000",
					"2.5.29.15": "critical 030205a0",
					"2.5.29.14": "0414" + hexOf(ski[:]),
				}},
			} {
				cert := parseCert(t, c.pem)
				if cert.Version != 3 || cert.SerialNumber.Sign() != 0 {
					t.Errorf("%s: version %d, serial %v; want 3, 0", c.name, cert.Version, cert.SerialNumber)
				}
				if hexOf(cert.RawSubject) != "3000" || hexOf(cert.RawIssuer) != "3000" {
					t.Errorf("%s: names %x, %x; want empty ones", c.name, cert.RawSubject, cert.RawIssuer)
				}
				if cert.NotBefore.Before(before) || cert.NotBefore.After(time.Now()) {
					t.Errorf("%s: valid from %v, want now", c.name, cert.NotBefore)
				}
				if got := cert.NotAfter.Sub(cert.NotBefore); got != 3650*24*time.Hour {
					t.Errorf("%s: valid for %v, want 3650 days", c.name, got)
				}
				if !c.key.Equal(cert.PublicKey) {
					t.Errorf("%s: certifies another key", c.name)
				}
				if cert.SignatureAlgorithm != tt.algorithm {
					t.Errorf("%s: signed with %v, want %v", c.name, cert.SignatureAlgorithm, tt.algorithm)
				}
				if err := verifySignature(&rootKey.PublicKey, cert, tt.sha1); err != nil {
					t.Errorf("%s: not signed by root: %v", c.name, err)
				}
				got := map[string]string{}
				for _, e := range cert.Extensions {
					text := hexOf(e.Value)
					if e.Critical {
						text = "critical " + text
					}
					got[e.Id.String()] = text
				}
				if len(got) != len(c.ext) {
					t.Errorf("%s: extensions %v, want %v", c.name, got, c.ext)
				}
				for id, want := range c.ext {
					if got[id] != want {
						t.Errorf("%s: extension %s = %q, want %q", c.name, id, got[id], want)
					}
				}
			}
		})
	}
}

// verifySignature does without crypto/x509, which judges no SHA-1.
func verifySignature(root *rsa.PublicKey, cert *x509.Certificate, old bool) error {
	if old {
		sum := sha1.Sum(cert.RawTBSCertificate)
		return rsa.VerifyPKCS1v15(root, crypto.SHA1, sum[:], cert.Signature)
	}
	sum := sha256.Sum256(cert.RawTBSCertificate)
	return rsa.VerifyPKCS1v15(root, crypto.SHA256, sum[:], cert.Signature)
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func parseKey(t testing.TB, data []byte) *rsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		t.Fatalf("no PKCS#8 key in %.40q", data)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if bits := key.(*rsa.PrivateKey).N.BitLen(); bits != 2048 {
		t.Errorf("key has %d bits, want 2048", bits)
	}
	return key.(*rsa.PrivateKey)
}

func TestDeviceKeyForms(t *testing.T) {
	pkix, err := x509.MarshalPKIXPublicKey(&deviceKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(&deviceKey().PublicKey)
	block := func(typ string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
	}
	tiny, err := asn1.Marshal(struct{ N, E int }{65537 * 3, 3})
	if err != nil {
		t.Fatal(err)
	}
	huge := x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: new(big.Int).Lsh(deviceKey().N, 8000), E: 65537})
	for _, tt := range []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"pkcs1", block("RSA PUBLIC KEY", pkcs1), true},
		{"pkcs1 with zero bytes after it", append(block("RSA PUBLIC KEY", pkcs1), 0, 0), true},
		{"pkix", block("PUBLIC KEY", pkix), true},
		{"pkix called pkcs1", block("RSA PUBLIC KEY", pkix), true},
		{"1024 bits", devicePEM(&oldKey().PublicKey), true},
		{"empty", nil, false},
		{"der", pkcs1, false},
		{"garbage in pem", block("RSA PUBLIC KEY", []byte("garbage")), false},
		{"cut short", block("RSA PUBLIC KEY", pkcs1[:100]), false},
		{"elliptic curve", block("PUBLIC KEY", ecDER), false},
		{"tiny", block("RSA PUBLIC KEY", tiny), false},
		{"huge", block("RSA PUBLIC KEY", huge), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec, err := NewRecord(hostKeys(), RecordConfig{DevicePublicKey: tt.in, SystemBUID: testBUID})
			if tt.ok != (err == nil) || (err != nil && !errors.Is(err, ErrProtocol)) {
				t.Fatalf("NewRecord = %v, want success %v or ErrProtocol", err, tt.ok)
			}
			if err != nil && (rec.HostID != "" || rec.RootPrivateKey != nil) {
				t.Errorf("an error came with a record")
			}
		})
	}
}

// OpenSSL is what libimobiledevice makes and reads certificates with.
func TestOpenSSLReadsTheRecord(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	rec := newRecord(t, &deviceKey().PublicKey, false)
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	root := file("root.pem", rec.RootCertificate)
	// No "openssl verify": with empty names every certificate looks self-signed to
	// it, those of libimobiledevice too.
	file("device.pem", rec.DeviceCertificate)
	text := run("x509", "-in", filepath.Join(dir, "device.pem"), "-noout", "-text")
	for _, want := range []string{"Serial Number: 0", "CA:FALSE", "Digital Signature, Key Encipherment", "X509v3 Subject Key Identifier", "sha256WithRSAEncryption"} {
		if !strings.Contains(text, want) {
			t.Errorf("device certificate lacks %q:\n%s", want, text)
		}
	}
	if text := run("x509", "-in", root, "-noout", "-text"); !strings.Contains(text, "CA:TRUE") {
		t.Errorf("root certificate is no CA:\n%s", text)
	}
	run("pkey", "-in", file("root.key", rec.RootPrivateKey), "-noout", "-check")
	run("pkey", "-in", file("host.key", rec.HostPrivateKey), "-noout", "-check")
}
