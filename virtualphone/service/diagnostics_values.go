package service

// diagnose answers a request that only asks. values are the phone's own, by
// MobileGestalt key.
func diagnose(m diagnosticsRequest, values map[string]any) diagnosticsAnswer {
	ok := func(d map[string]any) diagnosticsAnswer {
		return diagnosticsAnswer{Status: "Success", Diagnostics: d}
	}
	switch m.Request {
	case "All":
		return ok(map[string]any{"GasGauge": gasGauge(), "NAND": nand(), "WiFi": wifi()})
	case "GasGauge":
		return ok(map[string]any{"GasGauge": gasGauge()})
	case "NAND":
		return ok(map[string]any{"NAND": nand()})
	case "WiFi":
		return ok(map[string]any{"WiFi": wifi()})
	case "MobileGestalt":
		return ok(map[string]any{"MobileGestalt": gestalt(m.MobileGestaltKeys, values)})
	case "IORegistry":
		entry := registryEntry(m, values)
		if entry == nil {
			return diagnosticsAnswer{Status: "Failure"}
		}
		return ok(map[string]any{"IORegistry": entry})
	}
	return diagnosticsAnswer{Status: "UnknownRequest"}
}

// gestalt returns the asked-for values that the phone has. Like the phone it says
// Success beside them, even for a key that it leaves out.
func gestalt(keys []string, values map[string]any) map[string]any {
	d := map[string]any{"Status": "Success"}
	for _, key := range keys {
		if v, ok := values[key]; ok && v != nil {
			d[key] = v
		}
	}
	return d
}

// gasGauge is the battery's health: capacities in mAh.
func gasGauge() map[string]any {
	return map[string]any{
		"CycleCount":         uint64(128),
		"DesignCapacity":     uint64(3227),
		"FullChargeCapacity": uint64(3041),
		"Status":             "Success",
	}
}

func nand() map[string]any { return map[string]any{"Status": "Success"} }

func wifi() map[string]any {
	return map[string]any{"Active": true, "Scans": uint64(0), "Status": "Success"}
}

// battery is the AppleSmartBattery entry: charge in percent, capacities in mAh,
// Voltage in mV, InstantAmperage in mA, Temperature in hundredths of a degree
// Celsius.
func battery() map[string]any {
	return map[string]any{
		"AppleRawCurrentCapacity": uint64(2640),
		"AppleRawMaxCapacity":     uint64(3041),
		"AtCriticalLevel":         false,
		"BatteryInstalled":        true,
		"CurrentCapacity":         uint64(87),
		"CycleCount":              uint64(128),
		"DesignCapacity":          uint64(3227),
		"ExternalConnected":       true,
		"FullyCharged":            false,
		"InstantAmperage":         int64(482),
		"IsCharging":              true,
		"MaxCapacity":             uint64(100),
		"NominalChargeCapacity":   uint64(3104),
		"Temperature":             uint64(2829),
		"Voltage":                 uint64(4231),
	}
}

// registryPlanes are the planes of the phone's registry; a host may name none.
var registryPlanes = map[string]bool{
	"": true, "IODeviceTree": true, "IOPower": true, "IOService": true, "IOUSB": true,
}

// registryEntry returns the registry entry that m names by class or by name, the
// root of the asked-for plane if it names none, or nil if the phone has no such
// entry.
func registryEntry(m diagnosticsRequest, values map[string]any) map[string]any {
	switch {
	case m.EntryClass == "IOPMPowerSource" || m.EntryClass == "AppleSmartBattery" || m.EntryName == "AppleSmartBattery":
		return battery()
	case m.EntryClass == "IOPlatformExpertDevice":
		return platform(values)
	case m.EntryName == "" && m.EntryClass == "" && registryPlanes[m.CurrentPlane]:
		return map[string]any{"IOObjectClass": "IORegistryEntry", "children": []any{platform(values)}}
	}
	return nil
}

// platform is the IOPlatformExpertDevice entry.
func platform(values map[string]any) map[string]any {
	d := map[string]any{"IOObjectClass": "IOPlatformExpertDevice", "manufacturer": []byte("Apple Inc.\x00")}
	if v, ok := values["SerialNumber"].(string); ok {
		d["IOPlatformSerialNumber"] = v
	}
	if v, ok := values["ProductType"].(string); ok {
		d["model"] = []byte(v + "\x00")
	}
	return d
}
