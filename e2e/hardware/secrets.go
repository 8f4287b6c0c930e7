package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"

	"gomuxd/control/redact"
	"gomuxd/lockdown"
	"gomuxd/pairrecord"
)

// plainHosts are what computers are called that nobody has named.
var plainHosts = []string{"localhost", "debian", "fedora", "ubuntu", "arch", "raspberrypi"}

// newRedactor knows what gives away this computer and its user.
func newRedactor(env func(string) string) *redact.Redactor {
	r := redact.New(nil)
	if host, err := os.Hostname(); err == nil {
		short, domain, _ := strings.Cut(host, ".")
		if domain != "" {
			r.Learn("host", host)
		}
		if !slices.Contains(plainHosts, strings.ToLower(short)) {
			r.Learn("host", short)
		}
	}
	names := []string{env("SUDO_USER")}
	if u, err := user.Current(); err == nil {
		names = append(names, u.Username)
	}
	for _, n := range names {
		r.Owner(n)
	}
	return r
}

// personal are the values of lockdownd's own domain that are one phone's, or its
// owner's, alone.
var personal = map[string]string{
	"UniqueDeviceID": "udid", "SerialNumber": "serial", "MLBSerialNumber": "serial", "UniqueChipID": "serial", "DieID": "serial",
	"WirelessBoardSerialNumber": "serial", "BasebandSerialNumber": "serial", "MesaSerialNumber": "serial",
	"WiFiAddress": "mac", "BluetoothAddress": "mac", "EthernetAddress": "mac",
	"InternationalMobileEquipmentIdentity": "serial", "InternationalMobileEquipmentIdentity2": "serial",
	"InternationalMobileSubscriberIdentity": "serial", "IntegratedCircuitCardIdentity": "serial",
	"MobileEquipmentIdentifier": "serial", "PhoneNumber": "serial", "BasebandMasterKeyHash": "serial",
}

// learnPhone learns what lockdownd tells over c of the phone and its owner; in a
// session that is more. It keeps going without what the phone does not tell.
func learnPhone(ctx context.Context, r *redact.Redactor, c *lockdown.Client) error {
	var all map[string]any
	if err := c.Value(ctx, "", "", &all); err != nil {
		return fmt.Errorf("ask what must not be in the report: %w", err)
	}
	for key, kind := range personal {
		switch v := all[key].(type) {
		case string:
			r.Learn(kind, v)
		case uint64:
			r.Learn(kind, fmt.Sprint(v))
			r.Learn(kind, fmt.Sprintf("%X", v))
		case []byte:
			r.Learn(kind, fmt.Sprintf("%x", v))
		}
	}
	if name, ok := all["DeviceName"].(string); ok {
		r.Name(name)
	}
	return nil
}

// learnRecord learns the ids in a pair record.
func learnRecord(r *redact.Redactor, rec pairrecord.Record) {
	r.Learn("id", rec.HostID)
	r.Learn("id", rec.SystemBUID)
	r.Learn("mac", rec.WiFiMACAddress)
}
