package service

import (
	"net"
	"reflect"
	"slices"
	"testing"
)

// ask sends a request to the diagnostics relay and returns the answer.
func ask(t *testing.T, host net.Conn, m diagnosticsRequest, inBinary bool) diagnosticsAnswer {
	t.Helper()
	tell(t, host, m, inBinary)
	var a diagnosticsAnswer
	if got, err := ReadPlist(host, &a); err != nil || got != inBinary {
		t.Fatalf("want an answer, binary %v; got %v, %v", inBinary, got, err)
	}
	return a
}

func phoneInfo() map[string]any {
	return map[string]any{"ProductType": "iPhone14,5", "SerialNumber": "F2LVIRTUAL01"}
}

func TestDiagnosticsValues(t *testing.T) {
	host := start(t, Diagnostics(phoneInfo, nil))
	for _, tt := range []struct {
		name   string
		ask    diagnosticsRequest
		status string
		keys   []string // of Diagnostics
	}{
		{"all", diagnosticsRequest{Request: "All"}, "Success", []string{"GasGauge", "NAND", "WiFi"}},
		{"gas gauge", diagnosticsRequest{Request: "GasGauge"}, "Success", []string{"GasGauge"}},
		{"wifi", diagnosticsRequest{Request: "WiFi"}, "Success", []string{"WiFi"}},
		{"nand", diagnosticsRequest{Request: "NAND"}, "Success", []string{"NAND"}},
		{"registry plane", diagnosticsRequest{Request: "IORegistry", CurrentPlane: "IOService"}, "Success", []string{"IORegistry"}},
		{"battery", diagnosticsRequest{Request: "IORegistry", EntryClass: "IOPMPowerSource"}, "Success", []string{"IORegistry"}},
		{"foreign plane", diagnosticsRequest{Request: "IORegistry", CurrentPlane: "Moon"}, "Failure", nil},
		{"foreign entry", diagnosticsRequest{Request: "IORegistry", EntryName: "Moon"}, "Failure", nil},
		{"foreign request", diagnosticsRequest{Request: "Moon"}, "UnknownRequest", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, inBinary := range []bool{false, true} {
				a := ask(t, host, tt.ask, inBinary)
				var keys []string
				for k := range a.Diagnostics {
					keys = append(keys, k)
				}
				slices.Sort(keys)
				if a.Status != tt.status || !slices.Equal(keys, tt.keys) {
					t.Errorf("want %s %v, got %s %v", tt.status, tt.keys, a.Status, keys)
				}
			}
		})
	}
	t.Run("gestalt", func(t *testing.T) {
		a := ask(t, host, diagnosticsRequest{Request: "MobileGestalt", MobileGestaltKeys: []string{"ProductType", "Moon"}}, false)
		want := map[string]any{"MobileGestalt": map[string]any{"Status": "Success", "ProductType": "iPhone14,5"}}
		if !reflect.DeepEqual(a.Diagnostics, want) {
			t.Errorf("want %v, got %v", want, a.Diagnostics)
		}
	})
	if a := ask(t, host, diagnosticsRequest{Request: "Goodbye"}, false); a.Status != "Success" {
		t.Errorf("want Success, got %s", a.Status)
	}
	wantEOF(t, host)
}

func TestDiagnosticsActions(t *testing.T) {
	actions := make(chan string, 1)
	h := Diagnostics(nil, func(name string) { actions <- name })
	for _, name := range []string{"Restart", "Shutdown", "Sleep"} {
		t.Run(name, func(t *testing.T) {
			host := start(t, h)
			ask(t, host, diagnosticsRequest{Request: name}, false)
			if got := <-actions; got != name {
				t.Errorf("want %s, got %s", name, got)
			}
		})
		t.Run(name+" after disconnect", func(t *testing.T) {
			host := start(t, h)
			ask(t, host, diagnosticsRequest{Request: name, WaitForDisconnect: true}, false)
			ask(t, host, diagnosticsRequest{Request: "WiFi"}, false)
			select {
			case got := <-actions:
				t.Errorf("%s before the host is gone", got)
			default:
			}
			ask(t, host, diagnosticsRequest{Request: "Goodbye"}, false)
			wantEOF(t, host)
			if got := <-actions; got != name {
				t.Errorf("want %s, got %s", name, got)
			}
		})
	}
}
