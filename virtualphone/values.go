package virtualphone

import (
	"maps"
	"math"
	"time"
)

// Domains with their own rules; "" is the phone's own.
const (
	domainBattery = "com.apple.mobile.battery"
	domainDisk    = "com.apple.disk_usage"
	domainWiFi    = "com.apple.mobile.wireless_lockdown"
)

// publicKeys are what lockdownd tells a host without a session.
var publicKeys = map[string]bool{
	"BasebandVersion": true, "BluetoothAddress": true, "BoardId": true, "BuildVersion": true,
	"CPUArchitecture": true, "ChipID": true, "DeviceClass": true, "DeviceColor": true,
	"DeviceName": true, "DieID": true, "HardwareModel": true, "HasSiDP": true,
	"PartitionType": true, "ProductName": true, "ProductType": true, "ProductVersion": true,
	"ProductionSOC": true, "ProtocolVersion": true, "SupportedDeviceFamilies": true,
	"TelephonyCapability": true, "UniqueChipID": true, "UniqueDeviceID": true,
	"WiFiAddress": true, "DevicePublicKey": true, "PasswordProtected": true,
}

// writableKeys are the keys of the phone's own domain a host may set in a session.
var writableKeys = map[string]bool{
	"DeviceName": true, "TimeZone": true, "TimeIntervalSince1970": true, "Uses24HourClock": true,
	"UntrustedHostBUID": true,
}

// values are what lockdownd knows, by domain and key.
type values map[string]map[string]any

// sampleValues are the values of a phone as cfg describes it.
func sampleValues(cfg *Config) values {
	v := values{
		"": {
			"ActivationState":                      "Activated",
			"ActivationStateAcknowledged":          true,
			"BasebandStatus":                       "BBInfoAvailable",
			"BasebandVersion":                      "3.50.05",
			"BluetoothAddress":                     "02:00:5e:10:00:02",
			"BoardId":                              uint64(24),
			"BrickState":                           false,
			"BuildVersion":                         cfg.BuildVersion,
			"CPUArchitecture":                      "arm64e",
			"ChipID":                               uint64(33040),
			"DeviceClass":                          cfg.DeviceClass,
			"DeviceColor":                          "1",
			"DeviceName":                           cfg.Name,
			"DieID":                                uint64(2814749767106590),
			"EthernetAddress":                      "02:00:5e:10:00:03",
			"FirmwareVersion":                      "iBoot-10151.122.1",
			"HardwareModel":                        cfg.Model,
			"HardwarePlatform":                     "t8110",
			"HasSiDP":                              true,
			"HostAttached":                         true,
			"InternationalMobileEquipmentIdentity": "350000000000006",
			"MLBSerialNumber":                      "C0V000000000VIRT0",
			"ModelNumber":                          "MLPF3",
			"NonVolatileRAM":                       map[string]any{"auto-boot": []byte("true")},
			"PartitionType":                        "GUID_partition_scheme",
			"ProductName":                          "iPhone OS",
			"ProductType":                          cfg.ProductType,
			"ProductVersion":                       cfg.ProductVersion,
			"ProductionSOC":                        true,
			"ProtocolVersion":                      "2",
			"ProximitySensorCalibration":           []byte{0},
			"RegionInfo":                           "ZD/A",
			"SIMStatus":                            "kCTSIMSupportSIMStatusNotInserted",
			"SerialNumber":                         "VIRT0PHONE01",
			"SoftwareBehavior":                     []byte{1, 0, 0, 0},
			"SupportedDeviceFamilies":              []any{uint64(1)},
			"TelephonyCapability":                  true,
			"TimeZone":                             "Europe/Berlin",
			"TimeZoneOffsetFromUTC":                float64(3600),
			"UniqueChipID":                         uint64(2814749767106590),
			"UniqueDeviceID":                       cfg.UDID,
			"UseRaptorCerts":                       true,
			"Uses24HourClock":                      true,
			"WiFiAddress":                          cfg.WiFiAddress,
			"iTunesHasConnected":                   true,
		},
		domainBattery: {
			"BatteryCurrentCapacity": uint64(84),
			"BatteryIsCharging":      true,
			"ExternalChargeCapable":  true,
			"ExternalConnected":      true,
			"FullyCharged":           false,
			"GasGaugeCapability":     true,
			"HasBattery":             true,
		},
		domainDisk: {
			"AmountDataAvailable":    uint64(81_604_378_624),
			"AmountDataReserved":     uint64(209_715_200),
			"AmountRestoreAvailable": uint64(84_825_604_096),
			"TotalDataAvailable":     uint64(85_899_345_920),
			"TotalDataCapacity":      uint64(119_185_342_464),
			"TotalDiskCapacity":      uint64(128_000_000_000),
			"TotalSystemAvailable":   uint64(0),
			"TotalSystemCapacity":    uint64(8_814_657_536),
		},
		domainWiFi: {
			"BonjourFullServiceName": cfg.WiFiAddress + "@fe80::5eff:fe10:1._apple-mobdev2._tcp.local.",
			"EnableWifiConnections":  false,
			"SupportsWifi":           true,
			"SupportsWifiSyncing":    true,
		},
		"com.apple.international": {
			"Keyboard": "en_US", "Language": "en", "Locale": "en_DE",
			"SupportedKeyboards": []any{"en_US", "de_DE"}, "SupportedLanguages": []any{"en", "de"},
			"SupportedLocales": []any{"en_US", "de_DE"},
		},
		"com.apple.mobile.backup":         {"WillEncrypt": false, "RequiresEncryption": false, "CloudBackupEnabled": false},
		"com.apple.mobile.iTunes":         {"MinITunesVersion": "12.8.0", "iTunesSetupComplete": true},
		"com.apple.mobile.internal":       {"IsInternal": false, "DevToolsAvailable": "Standard"},
		"com.apple.purplebuddy":           {"SetupDone": true},
		"com.apple.xcode.developerdomain": {"DeveloperStatus": "Development"},
	}
	for domain, over := range cfg.Values {
		if v[domain] == nil {
			v[domain] = make(map[string]any, len(over))
		}
		for key, value := range over {
			if value == nil {
				delete(v[domain], key)
				continue
			}
			v[domain][key] = value
		}
	}
	return v
}

// domainLocked is a copy of a domain with what is known only now.
func (d *dialogue) domainLocked(domain string) map[string]any {
	p := d.p
	v := maps.Clone(p.values[domain])
	if domain != "" {
		return v
	}
	v["DevicePublicKey"] = p.DevicePublicKey()
	v["PasswordProtected"] = p.passcode != ""
	v["TimeIntervalSince1970"] = float64(time.Now().UnixMilli()+p.clockSkew) / 1000
	v["TrustedHostAttached"] = d.host != nil
	if d.host == nil {
		maps.DeleteFunc(v, func(key string, _ any) bool { return !publicKeys[key] })
	}
	return v
}

func (d *dialogue) getValue(m *request) (answer, error) {
	p := d.p
	p.deviceKey() // made before the lock: it takes a while the first time
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.host == nil && m.Domain != "" {
		return nil, errGetProhibited
	}
	v := d.domainLocked(m.Domain)
	a := answer{}
	if m.Domain != "" {
		a["Domain"] = m.Domain
	}
	if m.Key == "" {
		if v == nil {
			v = map[string]any{}
		}
		a["Value"] = v
		return a, nil
	}
	a["Key"] = m.Key
	value, ok := v[m.Key]
	switch {
	case ok:
		a["Value"] = value
		return a, nil
	case d.host == nil && p.values[""][m.Key] != nil:
		return a, errGetProhibited
	}
	return a, errMissingValue
}

func (d *dialogue) setValue(m *request) (answer, error) {
	p := d.p
	switch {
	case m.Key == "":
		return nil, errMissingKey
	case m.Value == nil:
		return nil, errMissingValue
	case d.host == nil && (m.Domain != "" || m.Key != "UntrustedHostBUID"),
		m.Domain == "" && !writableKeys[m.Key],
		m.Domain == domainBattery, m.Domain == domainDisk:
		return nil, errSetProhibited
	}
	if !p.store(m) {
		return nil, errSetProhibited
	}
	if m.Domain == "" && m.Key == "DeviceName" {
		p.notifications.Post(notifyDeviceName)
	}
	a := answer{"Key": m.Key, "Value": m.Value}
	if m.Domain != "" {
		a["Domain"] = m.Domain
	}
	return a, nil
}

// maxDomains bounds what hosts can make a phone remember.
const (
	maxDomains    = 64
	maxDomainKeys = 256
)

// store keeps a value that a host may set; it reports false when the phone is full
// or the value is of no use.
func (p *Phone) store(m *request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Domain == "" && m.Key == "TimeIntervalSince1970" {
		var to float64
		switch v := m.Value.(type) {
		case float64:
			to = v
		case uint64:
			to = float64(v)
		default:
			return false
		}
		p.clockSkew = int64(math.Round(to*1000)) - time.Now().UnixMilli()
		return true
	}
	if m.Domain == "" && m.Key == "DeviceName" {
		if _, ok := m.Value.(string); !ok {
			return false
		}
	}
	v := p.values[m.Domain]
	if v == nil {
		if len(p.values) >= maxDomains {
			return false
		}
		v = make(map[string]any)
		p.values[m.Domain] = v
	}
	if _, ok := v[m.Key]; !ok && len(v) >= maxDomainKeys {
		return false
	}
	v[m.Key] = m.Value
	p.changedLocked()
	return true
}

func (d *dialogue) removeValue(m *request) (answer, error) {
	p := d.p
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case m.Key == "":
		return nil, errMissingKey
	case d.host == nil, m.Domain == "", m.Domain == domainBattery, m.Domain == domainDisk:
		return nil, errRemoveProhibited
	case p.values[m.Domain][m.Key] == nil:
		return nil, errMissingValue
	}
	delete(p.values[m.Domain], m.Key)
	return answer{"Domain": m.Domain, "Key": m.Key}, nil
}

// Value is what a host in a session would read, for tests; nil when missing.
func (p *Phone) Value(domain, key string) any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.values[domain][key]
}

func (p *Phone) nameLocked() string {
	name, _ := p.values[""]["DeviceName"].(string)
	return name
}
