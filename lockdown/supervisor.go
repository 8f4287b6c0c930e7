package lockdown

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"
)

// Supervisor is the identity of the organisation that supervises phones: with it
// they pair without a dialog.
type Supervisor struct {
	certificate *x509.Certificate
	key         crypto.PrivateKey
}

// ParseSupervisor reads an identity as Apple Configurator exports it (PKCS #12,
// with its password), or a certificate and a private key in PEM, in any order.
func ParseSupervisor(data []byte, password string) (*Supervisor, error) {
	s := new(Supervisor)
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		pair, err := tls.X509KeyPair(data, data)
		if err != nil {
			return nil, fmt.Errorf("supervisor identity: PEM with a certificate and its private key expected: %w", err)
		}
		s.certificate, s.key = pair.Leaf, pair.PrivateKey
		if s.certificate == nil {
			block, _ := pem.Decode(data)
			if s.certificate, err = x509.ParseCertificate(block.Bytes); err != nil {
				return nil, fmt.Errorf("supervisor identity: %w", err)
			}
		}
	} else {
		key, certificate, _, err := pkcs12.DecodeChain(data, password)
		if errors.Is(err, pkcs12.ErrIncorrectPassword) {
			return nil, errors.New("supervisor identity: the password is wrong")
		}
		if err != nil {
			return nil, fmt.Errorf("supervisor identity: neither PEM nor PKCS #12: %w", err)
		}
		s.certificate, s.key = certificate, key
	}
	key, ok := s.key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("supervisor identity: phones know RSA keys, this is %T", s.key)
	}
	if !key.PublicKey.Equal(s.certificate.PublicKey) {
		return nil, errors.New("supervisor identity: the private key is not the certificate's")
	}
	return s, nil
}

// Certificate is the identity's certificate, DER.
func (s *Supervisor) Certificate() []byte { return s.certificate.Raw }

// Sign answers a pairing challenge: PKCS #7 SignedData around it.
func (s *Supervisor) Sign(challenge []byte) ([]byte, error) {
	sd, err := pkcs7.NewSignedData(challenge)
	if err != nil {
		return nil, fmt.Errorf("sign pairing challenge: %w", err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(s.certificate, s.key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("sign pairing challenge: %w", err)
	}
	answer, err := sd.Finish()
	if err != nil {
		return nil, fmt.Errorf("sign pairing challenge: %w", err)
	}
	return answer, nil
}
