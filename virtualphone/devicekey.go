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

// sharedErasedKeys are the keys of such phones once they are erased, in turn.
var sharedErasedKeys = [...]func() *rsa.PrivateKey{sync.OnceValue(makeDeviceKey), sync.OnceValue(makeDeviceKey)}

// deviceKey is the phone's key, made at the first call.
func (p *Phone) deviceKey() *rsa.PrivateKey { return (*p.key.Load())() }

// setDeviceKey chooses the key for the phone's generation.
func (p *Phone) setDeviceKey() {
	key := sharedDeviceKey
	switch {
	case p.cfg.OwnKey:
		key = sync.OnceValue(makeDeviceKey)
	case p.generation > 0:
		key = sharedErasedKeys[(p.generation-1)%len(sharedErasedKeys)]
	}
	p.key.Store(&key)
}

// renewDeviceKeyLocked gives the phone another key than the one it had.
func (p *Phone) renewDeviceKeyLocked() {
	p.generation++
	p.setDeviceKey()
}

// DevicePublicKey is the phone's key as lockdownd shows it: a PEM block
// "RSA PUBLIC KEY" with PKCS#1 inside.
func (p *Phone) DevicePublicKey() []byte {
	return pem.EncodeToMemory(&pem.Block{
		Type:  "RSA PUBLIC KEY",
		Bytes: x509.MarshalPKCS1PublicKey(&p.deviceKey().PublicKey),
	})
}
