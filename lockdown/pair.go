package lockdown

import (
	"context"
	"maps"

	"gomuxd/pairrecord"
)

// protocolVersion is sent with the pairing requests. Source: libimobiledevice.
const protocolVersion = "2"

// PairOptions are for supervised phones; the zero value is for all others.
type PairOptions struct {
	// SupervisorCertificate (DER) asks a supervised phone to skip its dialog. The
	// phone refuses with ErrMCChallengeRequired and Error.PairingChallenge.
	SupervisorCertificate []byte

	// ChallengeResponse is that challenge, PKCS#7-signed by the supervisor.
	ChallengeResponse []byte
}

// NewRecord makes a pair record for this phone with keys: it asks for the
// phone's public key, Wi-Fi address and version, and issues the certificates.
// Nothing is paired yet. Use the record for every further attempt with Pair.
func (c *Client) NewRecord(ctx context.Context, keys *Keys, systemBUID string) (pairrecord.Record, error) {
	deviceKey, err := c.Bytes(ctx, "", "DevicePublicKey")
	if err != nil {
		return pairrecord.Record{}, err
	}
	wifi, err := c.String(ctx, "", "WiFiAddress")
	if refusalIsNone(err) != nil {
		return pairrecord.Record{}, err
	}
	id, err := c.generation(ctx)
	if err != nil {
		return pairrecord.Record{}, err
	}
	return NewRecord(keys, RecordConfig{
		DevicePublicKey: deviceKey,
		SystemBUID:      systemBUID,
		WiFiMACAddress:  wifi,
		SHA1:            id.olderThan(4),
	})
}

// Pair asks the phone to trust this host. On success it returns rec with the
// phone's EscrowBag; saving it is the caller's. The phone need not send an
// EscrowBag (a locked supervised one does not): rec's own then stays.
//
// Since iOS 7 the first try makes the Trust dialog appear and is refused with
// ErrPairingDialogResponsePending; try again, with the same record, until it is
// something else: ErrUserDeniedPairing, ErrPasswordProtected, ...
func (c *Client) Pair(ctx context.Context, rec pairrecord.Record, opts PairOptions) (pairrecord.Record, error) {
	extra := map[string]any{"ExtendedPairingErrors": true}
	if len(opts.SupervisorCertificate) > 0 {
		extra["SupervisorCertificate"] = opts.SupervisorCertificate
	}
	if len(opts.ChallengeResponse) > 0 {
		extra["ChallengeResponse"] = opts.ChallengeResponse
	}
	var reply struct {
		EscrowBag []byte `plist:"EscrowBag"`
	}
	err := c.pairing(ctx, "Pair", rec, map[string]any{"PairingOptions": extra}, &reply)
	if err != nil {
		return pairrecord.Record{}, err
	}
	if len(reply.EscrowBag) > 0 {
		rec.EscrowBag = reply.EscrowBag
	}
	return rec, nil
}

// ValidatePair asks a phone up to iOS 6 whether it knows the record, and makes
// this host the trusted one there. Later phones may not know the request;
// StartSession tells as much.
func (c *Client) ValidatePair(ctx context.Context, rec pairrecord.Record) error {
	return c.pairing(ctx, "ValidatePair", rec, nil, nil)
}

// Unpair makes the phone forget the record. The session under it, if any, does
// not survive that; Close the Client.
func (c *Client) Unpair(ctx context.Context, rec pairrecord.Record) error {
	return c.pairing(ctx, "Unpair", rec, nil, nil)
}

func (c *Client) pairing(ctx context.Context, request string, rec pairrecord.Record, more map[string]any, reply any) error {
	args := map[string]any{
		"PairRecord":      public(rec),
		"ProtocolVersion": protocolVersion,
	}
	maps.Copy(args, more)
	return c.call(ctx, request, args, reply)
}

// public is the part of a record that the phone gets: no private key and no
// escrow bag. Empty fields are left out.
func public(rec pairrecord.Record) map[string]any {
	p := map[string]any{}
	for key, cert := range map[string][]byte{
		"DeviceCertificate": rec.DeviceCertificate,
		"HostCertificate":   rec.HostCertificate,
		"RootCertificate":   rec.RootCertificate,
	} {
		if len(cert) > 0 {
			p[key] = cert
		}
	}
	for key, id := range map[string]string{"HostID": rec.HostID, "SystemBUID": rec.SystemBUID} {
		if id != "" {
			p[key] = id
		}
	}
	return p
}
