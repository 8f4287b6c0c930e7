package virtualphone

// Source: the requests that restore tools send and the replies they expect.
const (
	// restoredType is the answer to QueryType of a phone in restore mode.
	restoredType = "com.apple.mobile.restored"

	// restoredProtocol is the version of its protocol.
	restoredProtocol = 15
)

// SetRestoreMode reboots the phone into restore mode, where restored takes the place
// of lockdownd and there is no pairing and no service; or back to normal mode. What
// the phone remembers stays.
func (p *Phone) SetRestoreMode(on bool) error {
	return p.reboot(func() { p.restoring = on })
}

func (p *Phone) inRestoreMode() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.restoring
}

// restored answers in restore mode. It knows none of lockdownd's requests but
// QueryType and Goodbye, and does not restore.
func (d *dialogue) restored(m *request) (answer, error) {
	switch m.Request {
	case "QueryType":
		return answer{"Type": restoredType, "RestoreProtocolVersion": uint64(restoredProtocol)}, nil
	case "QueryValue":
		return d.restoredValue(m.QueryKey)
	case "Reboot":
		d.lastRequest = true
		d.after = func() {
			if err := d.p.SetRestoreMode(false); err != nil {
				d.failure = err
			}
		}
		return nil, nil
	case "Goodbye":
		d.lastRequest = true
		return nil, nil
	}
	return nil, errInvalidRequest
}

// restoredValue is what a restore tool asks before it starts.
func (d *dialogue) restoredValue(key string) (answer, error) {
	p := d.p
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.values[""]
	switch key {
	case "HardwareInfo":
		return answer{key: map[string]any{
			"BoardID": v["BoardId"], "ChipID": v["ChipID"], "UniqueChipID": v["UniqueChipID"],
			"HardwareModel": v["HardwareModel"], "ProductionMode": true,
		}}, nil
	case "SerialNumber", "HardwareModel":
		return answer{key: v[key]}, nil
	}
	return nil, errMissingValue
}
