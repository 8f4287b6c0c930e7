package hotplug

import (
	"errors"
	"testing"
)

func TestClassify(t *testing.T) {
	const with, without, unread = 1, 0, -1 // usbmux interface
	serial := Rule{Serial: "00008110-001C20223E29401E"}
	phone := Device{Vendor: apple, Product: 0x12a8, Serial: "00008110001C20223E29401E", Port: "1-2"}
	for _, tt := range []struct {
		name   string
		policy policy
		dev    Device
		mux    int
		want   Kind
	}{
		{"first phone", policy{}, Device{Vendor: apple, Product: 0x1290}, with, Mux},
		{"last phone", policy{}, Device{Vendor: apple, Product: 0x12af}, with, Mux},
		{"phone without", policy{}, Device{Vendor: apple, Product: 0x12a8}, without, NoMux},
		{"below the phones", policy{}, Device{Vendor: apple, Product: 0x128f}, without, Ignored},
		{"behind the phones, without", policy{}, Device{Vendor: apple, Product: 0x12b0}, without, Ignored},
		{"Vision Pro", policy{}, Device{Vendor: apple, Product: 0x12b1}, with, Mux},
		{"a phone to come", policy{}, Device{Vendor: apple, Product: 0x12c7}, with, Mux},
		{"Mac restore, first", policy{}, Device{Vendor: apple, Product: 0x1901}, unread, Mux},
		{"Mac restore, last", policy{}, Device{Vendor: apple, Product: 0x1904}, unread, Mux},
		{"Mac restore 1905", policy{}, Device{Vendor: apple, Product: 0x1905}, with, Mux},
		{"ordinary Mac", policy{}, Device{Vendor: apple, Product: 0x1905}, without, Ignored},
		{"before Mac restore", policy{}, Device{Vendor: apple, Product: 0x1900}, without, Ignored},
		{"T2", policy{}, Device{Vendor: apple, Product: 0x8600}, unread, Mux},
		{"keyboard", policy{}, Device{Vendor: apple, Product: 0x024f}, without, Ignored},
		{"recovery 1280", policy{}, Device{Vendor: apple, Product: 0x1280}, unread, Recovery},
		{"recovery 1281", policy{}, Device{Vendor: apple, Product: 0x1281}, unread, Recovery},
		{"recovery 1282", policy{}, Device{Vendor: apple, Product: 0x1282}, unread, Recovery},
		{"recovery 1283", policy{}, Device{Vendor: apple, Product: 0x1283}, unread, Recovery},
		{"not recovery", policy{}, Device{Vendor: apple, Product: 0x1284}, without, Ignored},
		{"WTF", policy{}, Device{Vendor: apple, Product: 0x1222}, unread, DFU},
		{"DFU 1226", policy{}, Device{Vendor: apple, Product: 0x1226}, unread, DFU},
		{"DFU 1227", policy{}, Device{Vendor: apple, Product: 0x1227}, unread, DFU},
		{"other vendor's phone", policy{}, Device{Vendor: 0x18d1, Product: 0x12a8}, unread, Ignored},

		{"denied by id", policy{deny: []Rule{{Vendor: apple, Product: 0x12a8}}}, phone, unread, Ignored},
		{"denied by vendor", policy{deny: []Rule{{Vendor: apple}}}, phone, unread, Ignored},
		{"denied by UDID", policy{deny: []Rule{serial}}, phone, unread, Ignored},
		{"denied by port", policy{deny: []Rule{{Port: "1-2"}}}, phone, unread, Ignored},
		{"other port denied", policy{deny: []Rule{{Port: "1-2.1"}}}, phone, with, Mux},
		{"all of a rule must match", policy{deny: []Rule{{Port: "1-2", Product: 0x1290}}}, phone, with, Mux},
		{"allowed by UDID", policy{allow: []Rule{serial}}, phone, with, Mux},
		{"not on the allow list", policy{allow: []Rule{{Serial: "x"}}}, phone, unread, Ignored},
		{"allowed and denied", policy{allow: []Rule{serial}, deny: []Rule{{Port: "1-2"}}}, phone, unread, Ignored},
		{"allowed, unknown id, without", policy{allow: []Rule{{Vendor: apple, Product: 0x1905}}}, Device{Vendor: apple, Product: 0x1905}, without, NoMux},
		{"allowed, other vendor", policy{allow: []Rule{{Vendor: 0x1d6b, Product: 0x104}}}, Device{Vendor: 0x1d6b, Product: 0x104}, with, Mux},
		{"allowed, other vendor, without", policy{allow: []Rule{{Vendor: 0x1d6b, Product: 0x104}}}, Device{Vendor: 0x1d6b, Product: 0x104}, without, NoMux},
		{"allowed by port alone, other vendor", policy{allow: []Rule{{Port: "1-2"}}}, Device{Vendor: 0x1d6b, Product: 0x104, Port: "1-2"}, unread, Ignored},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.policy.classify(&tt.dev, func() (bool, error) {
				if tt.mux == unread {
					t.Error("descriptors were read; want no need")
				}
				return tt.mux == with, nil
			})
			if got != tt.want || err != nil {
				t.Errorf("classify = %v, %v; want %v", got, err, tt.want)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := (policy{}).classify(&phone, func() (bool, error) { return false, broken }); err != broken {
		t.Errorf("classify = %v; want the error of the descriptors", err)
	}
}

func TestParseRule(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Rule
		bad  bool
	}{
		{in: "05ac:12a8", want: Rule{Vendor: apple, Product: 0x12a8}},
		{in: "5AC:*", want: Rule{Vendor: apple}},
		{in: "serial=00008110-001C20223E29401E", want: Rule{Serial: "00008110-001C20223E29401E"}},
		{in: "port=1-2.3", want: Rule{Port: "1-2.3"}},
		{in: "05ac:12a8,port=3-1", want: Rule{Vendor: apple, Product: 0x12a8, Port: "3-1"}},
		{in: "", bad: true},
		{in: "05ac", bad: true},
		{in: "05ac:", bad: true},
		{in: "0:*", bad: true},
		{in: "105ac:1", bad: true},
		{in: "*:*", bad: true},
		{in: "serial=-", bad: true},
		{in: "port=usb1", bad: true},
		{in: "port=1-", bad: true},
		{in: "port=1-2.", bad: true},
		{in: "udid=x", bad: true},
		{in: "05ac:12a8,", bad: true},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseRule(tt.in)
			if got != tt.want || (err != nil) != tt.bad {
				t.Errorf("ParseRule = %+v, %v; want %+v, error %v", got, err, tt.want, tt.bad)
			}
		})
	}
}
