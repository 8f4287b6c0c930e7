package pairrecord

import (
	"fmt"

	"go.uber.org/zap/zapcore"

	"gomuxd/plist"
)

// Record is a pair record's known keys. A record in the store may hold more;
// they survive a Save of its bytes, but not a Save of Record.Marshal.
//
// Certificates and keys are PEM text, as libimobiledevice writes them.
type Record struct {
	DeviceCertificate []byte `plist:"DeviceCertificate,omitempty"`
	EscrowBag         []byte `plist:"EscrowBag,omitempty"` // secret; absent if the phone gave none
	HostCertificate   []byte `plist:"HostCertificate,omitempty"`
	HostID            string `plist:"HostID"`                   // the identity the phone knows this host by
	HostPrivateKey    []byte `plist:"HostPrivateKey,omitempty"` // secret
	RootCertificate   []byte `plist:"RootCertificate,omitempty"`
	RootPrivateKey    []byte `plist:"RootPrivateKey,omitempty"` // secret
	SystemBUID        string `plist:"SystemBUID,omitempty"`
	WiFiMACAddress    string `plist:"WiFiMACAddress,omitempty"`
}

// Marshal encodes r as an XML property list, ready to Save.
func (r Record) Marshal() ([]byte, error) {
	data, err := plist.MarshalXML(r)
	if err != nil {
		return nil, fmt.Errorf("encode pair record: %w", err)
	}
	return data, nil
}

// complete reports whether r lets the host open a session on a locked phone.
func (r Record) complete() bool {
	return r.HostID != "" && len(r.HostPrivateKey) > 0 && len(r.EscrowBag) > 0
}

// Format prints the record's host id alone, for every verb, so that key
// material does not reach a log by way of fmt.
func (r Record) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "pair record of host %q", r.HostID)
}

// MarshalLogObject logs the record's host id alone, as Format does.
func (r Record) MarshalLogObject(e zapcore.ObjectEncoder) error {
	e.AddString("host_id", r.HostID)
	return nil
}
