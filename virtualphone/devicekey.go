package virtualphone

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
)

// deviceKeyBits is the size of the key real phones show.
const deviceKeyBits = 2048

func makeDeviceKey() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, deviceKeyBits)
	if err != nil {
		panic(fmt.Sprintf("virtualphone: make device key: %v", err)) // crypto/rand does not fail
	}
	return k
}

// sharedDeviceKey is the key of all phones of the process that asked for none
// of their own: making one takes longer than most tests.
var sharedDeviceKey = sync.OnceValue(makeDeviceKey)

// DevicePublicKey is the phone's key as lockdownd shows it: a PEM block
// "RSA PUBLIC KEY" with PKCS#1 inside.
func (p *Phone) DevicePublicKey() []byte {
	return pem.EncodeToMemory(&pem.Block{
		Type:  "RSA PUBLIC KEY",
		Bytes: x509.MarshalPKCS1PublicKey(&p.deviceKey().PublicKey),
	})
}
