package usb

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestReady(t *testing.T) {
	whole := map[string]string{
		"bConfigurationValue": "4",
		"serial":              "00008110000A11112222001E",
		"devnum":              "5",
	}
	descriptors := unhex(t, phoneDescriptors)
	want := prepared{
		choice: choice{4, testEndpoints}, vendor: 0x05ac, product: 0x12a8,
		mode: ModeInitial, serial: "00008110000A11112222001E",
	}
	for _, tt := range []struct {
		name   string
		change map[string]string // "-" for no such file
		cut    int               // bytes of descriptors that are missing
		mode   Mode
		ok     bool
	}{
		{name: "all there", ok: true},
		{name: "in the mode it is to have", mode: ModeInitial, ok: true},
		{name: "another mode wanted", mode: ModeNCM},
		{name: "unconfigured", change: map[string]string{"bConfigurationValue": ""}},
		{name: "a lower configuration", change: map[string]string{"bConfigurationValue": "1"}},
		{name: "no serial number", change: map[string]string{"serial": "-"}},
		{name: "another device", change: map[string]string{"devnum": "8"}},
		{name: "no usbmux", cut: len(descriptors) - 18 - 32},
		{name: "descriptors cut", cut: len(descriptors) - 17},
		{name: "no descriptors", cut: len(descriptors)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := maps.Clone(whole)
			maps.Copy(files, tt.change)
			maps.DeleteFunc(files, func(_, text string) bool { return text == "-" })
			root := sysTree(t, files)
			if b := descriptors[:len(descriptors)-tt.cut]; len(b) > 0 {
				if err := os.WriteFile(filepath.Join(root, testAddress.SysPath, "descriptors"), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, ok := ready(newSysDevice(root, testAddress), tt.mode)
			if ok != tt.ok {
				t.Fatalf("ready %v, want %v: %+v", ok, tt.ok, got)
			}
			if ok && !reflect.DeepEqual(got, want) {
				t.Errorf("%+v\nwant %+v", got, want)
			}
		})
	}
	if _, ok := ready(newSysDevice("", Address{Bus: 1, Address: 7}), Keep); ok {
		t.Error("ready without sysfs")
	}
}
