package virtualphone

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1" // hosts may sign with it
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// The answer to a supervision challenge is a PKCS #7 SignedData (RFC 2315, 9;
// RFC 5652, 5) over the challenge, signed by a supervisor's key.

var (
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}

	digests = map[string]crypto.Hash{
		"1.3.14.3.2.26":          crypto.SHA1,
		"2.16.840.1.101.3.4.2.1": crypto.SHA256,
		"2.16.840.1.101.3.4.2.2": crypto.SHA384,
		"2.16.840.1.101.3.4.2.3": crypto.SHA512,
	}
)

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

type algorithm struct {
	OID        asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

type signedData struct {
	Version      int
	Digests      []algorithm `asn1:"set"`
	Content      encapsulated
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	CRLs         asn1.RawValue `asn1:"optional,tag:1"`
	Signers      []signerInfo  `asn1:"set"`
}

type encapsulated struct {
	Type    asn1.ObjectIdentifier
	Content []byte `asn1:"explicit,optional,tag:0"`
}

type signerInfo struct {
	Version   int
	Signer    asn1.RawValue // issuer and serial, or key id: the key decides, not the name
	Digest    algorithm
	Signed    asn1.RawValue `asn1:"optional,tag:0"`
	Algorithm algorithm
	Signature []byte
	Unsigned  asn1.RawValue `asn1:"optional,tag:1"`
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

func parseSupervisors(der [][]byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for i, b := range der {
		c, err := parseCertificate(b)
		if err != nil {
			return nil, fmt.Errorf("supervisor certificate %d: %w", i, err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// signedBySupervisor reports whether signature, a DER SignedData, is over
// challenge and by the key of one of certs.
func signedBySupervisor(certs []*x509.Certificate, signature, challenge []byte) bool {
	var ci contentInfo
	if _, err := asn1.Unmarshal(signature, &ci); err != nil || !ci.Type.Equal(oidSignedData) {
		return false
	}
	var sd signedData
	if _, err := asn1.Unmarshal(ci.Content.Bytes, &sd); err != nil {
		return false
	}
	if sd.Content.Content != nil && !bytes.Equal(sd.Content.Content, challenge) {
		return false
	}
	for _, s := range sd.Signers {
		for _, c := range certs {
			if s.verify(c.PublicKey, challenge) {
				return true
			}
		}
	}
	return false
}

// verify checks one signature over content, or over attributes that name its digest.
func (s *signerInfo) verify(key crypto.PublicKey, content []byte) bool {
	hash, ok := digests[s.Digest.OID.String()]
	if !ok {
		return false
	}
	digest := sum(hash, content)
	if len(s.Signed.FullBytes) > 0 {
		if !bytes.Equal(messageDigest(s.Signed.Bytes), digest) {
			return false
		}
		// What is signed is the attributes as a SET, not under their tag.
		set := bytes.Clone(s.Signed.FullBytes)
		set[0] = 0x31
		digest = sum(hash, set)
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, hash, digest, s.Signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, s.Signature)
	}
	return false
}

func sum(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}

// messageDigest finds the digest among signed attributes, nil without one.
func messageDigest(attributes []byte) []byte {
	for len(attributes) > 0 {
		var a attribute
		rest, err := asn1.Unmarshal(attributes, &a)
		if err != nil {
			return nil
		}
		attributes = rest
		if a.Type.Equal(oidMessageDigest) && len(a.Values) == 1 {
			return a.Values[0].Bytes
		}
	}
	return nil
}
