package virtualphone

import "testing"

func TestRestoreMode(t *testing.T) {
	p := newPhone(t, Config{RestoreMode: true})
	h := dialPhone(t, plug(t, p))
	l := lockdownOf(h)
	a := l.want("QueryType", nil, "")
	if a["Type"] != "com.apple.mobile.restored" || a["RestoreProtocolVersion"] != uint64(15) || a["Result"] != "Success" {
		t.Errorf("want restored, got %v", a)
	}
	a = l.want("QueryValue", map[string]any{"QueryKey": "HardwareInfo"}, "")
	if v, _ := a["HardwareInfo"].(map[string]any); v["ChipID"] != uint64(33040) {
		t.Errorf("want the hardware, got %v", a)
	}
	if a := l.want("QueryValue", map[string]any{"QueryKey": "SerialNumber"}, ""); a["SerialNumber"] != "VIRT0PHONE01" {
		t.Errorf("want the serial number, got %v", a)
	}
	l.want("QueryValue", map[string]any{"QueryKey": "Moon"}, "MissingValue")
	for _, request := range []string{"GetValue", "Pair", "StartSession", "StartService", "EnterRecovery"} {
		if a := l.want(request, nil, "InvalidRequest"); a["Result"] != "Failure" {
			t.Errorf("%s: want a failure, got %v", request, a)
		}
	}
	l.want("Goodbye", nil, "")
	if !p.State().RestoreMode {
		t.Error("want it in the state")
	}

	l = lockdownOf(h)
	_, _ = l.try(map[string]any{"Request": "Reboot"}) // the answer may be lost in the unplug
	if _, err := p.Wait(t.Context(), func(s State) bool { return !s.RestoreMode && s.Plugged }); err != nil {
		t.Fatal(err)
	}
	l = lockdownOf(dialPhone(t, p.Cable()))
	if a := l.want("QueryType", nil, ""); a["Type"] != lockdownType {
		t.Errorf("want lockdownd, got %v", a)
	}
	path := controlSocket(t, p)
	for _, mode := range []string{"on", "off"} {
		if a, err := Control(t.Context(), path, ControlRequest{Command: "restore-mode", Args: []string{mode}}); err != nil || a.State.RestoreMode != (mode == "on") {
			t.Errorf("restore-mode %s: %+v, %v", mode, a.State, err)
		}
	}
	clean(t, p)
}
