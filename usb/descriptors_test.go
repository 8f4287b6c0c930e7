package usb

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// A phone's descriptors: 05ac:12a8, configuration 1 with PTP, 4 with PTP, usbmux
// (endpoints 0x04 and 0x85 of 512 bytes) and a class descriptor in between.
const phoneDescriptors = `
	12 01 0002 00 00 00 40 ac05 a812 0214 01 02 03 02
	09 02 2000 01 01 00 c0 fa  09 04 00 00 02 06 01 01 00  07 05 02 02 0002 00  07 05 81 02 0002 00
	09 02 3c00 02 04 00 c0 fa  09 04 00 00 02 06 01 01 00  07 05 02 02 0002 00  07 05 81 02 0002 00
	05 24 00 10 01  09 04 01 00 02 ff fe 02 00  07 05 04 02 0002 00  07 05 85 02 0002 00`

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseDescriptors(t *testing.T) {
	raw := unhex(t, phoneDescriptors)
	d, err := parseDescriptors(raw)
	if err != nil {
		t.Fatal(err)
	}
	if d.vendor != 0x05ac || d.product != 0x12a8 {
		t.Errorf("ids %04x:%04x", d.vendor, d.product)
	}
	if got, want := choices(d.configurations), []choice{{4, testEndpoints}}; !reflect.DeepEqual(got, want) {
		t.Errorf("choices %+v, want %+v", got, want)
	}
	if n := len(d.configurations[0].interfaces); n != 1 {
		t.Errorf("configuration 1 has %d interfaces, want 1", n)
	}
	// Cut anywhere, it is refused or has fewer configurations.
	for n := range raw {
		short, err := parseDescriptors(raw[:n])
		if err == nil && len(short.configurations) >= 2 {
			t.Errorf("%d of %d bytes give %d configurations", n, len(raw), len(short.configurations))
		}
	}
}

func FuzzDescriptors(f *testing.F) {
	f.Add(unhex(f, phoneDescriptors))
	f.Add(unhex(f, `12 01 0002 00 00 00 40 ac05 a812 0214 01 02 03 01  09 02 0b00 01 01 00 c0 fa 00 04`))
	f.Add(unhex(f, `12 01 0002 00 00 00 40 ac05 a812 0214 01 02 03 01  ff 02 0900 01 01 00 c0 fa`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDescriptors(b)
		if (err == nil) != (len(d.configurations) > 0) {
			t.Errorf("%d configurations, error %v", len(d.configurations), err)
		}
		things := 0
		for _, c := range d.configurations {
			things++
			for _, i := range c.interfaces {
				things += 1 + len(i.endpoints)
			}
		}
		if things*lenEndpoint > len(b) {
			t.Errorf("%d descriptors in %d bytes", things, len(b))
		}
		for _, c := range choices(d.configurations) {
			if c.in&endpointIn == 0 || c.out&endpointIn != 0 || c.inMax <= 0 || c.outMax <= 0 {
				t.Errorf("choice %+v", c)
			}
		}
		guessMode(d.configurations)
	})
}
