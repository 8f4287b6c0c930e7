package usb

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestLook(t *testing.T) {
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
		want   lack
	}{
		{name: "all there"},
		{name: "in the mode it is to have", mode: ModeInitial},
		{name: "another mode wanted", mode: ModeNCM, want: lacksMore},
		{name: "unconfigured", change: map[string]string{"bConfigurationValue": ""}, want: lacksConfiguration},
		{name: "a lower configuration", change: map[string]string{"bConfigurationValue": "1"}, want: lacksConfiguration},
		{name: "no serial number", change: map[string]string{"serial": "-"}, want: lacksMore},
		{name: "another device", change: map[string]string{"devnum": "8"}, want: lacksMore},
		{name: "no usbmux", cut: len(descriptors) - 18 - 32, want: lacksMore},
		{name: "descriptors cut", cut: len(descriptors) - 17, want: lacksMore},
		{name: "no descriptors", cut: len(descriptors), want: lacksMore},
		{name: "unconfigured, another mode wanted", change: map[string]string{"bConfigurationValue": ""}, mode: ModeNCM, want: lacksMore},
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
			got, lacks := look(newSysDevice(root, testAddress), tt.mode)
			if lacks != tt.want {
				t.Fatalf("lacks %v, want %v: %+v", lacks, tt.want, got)
			}
			if lacks != lacksMore && !reflect.DeepEqual(got, want) {
				t.Errorf("%+v\nwant %+v", got, want)
			}
		})
	}
	if _, lacks := look(newSysDevice("", Address{Bus: 1, Address: 7}), Keep); lacks != lacksMore {
		t.Error("brought up without sysfs")
	}
}
