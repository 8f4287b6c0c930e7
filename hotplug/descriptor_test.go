package hotplug

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// configuration joins descriptors into one configuration with its total length.
func configuration(value byte, parts ...[]byte) []byte {
	b := slices.Concat(append([][]byte{{9, 2, 0, 0, 1, value, 0, 0xc0, 250}}, parts...)...)
	b[2], b[3] = byte(len(b)), byte(len(b)>>8)
	return b
}

// intf gives an interface descriptor.
func intf(number, alt, class, subclass, protocol byte) []byte {
	return []byte{9, 4, number, alt, 0, class, subclass, protocol, 0}
}

// device puts a device descriptor before configurations.
func device(configs ...[]byte) []byte {
	head := []byte{18, 1, 0, 2, 0, 0, 0, 64, 0xac, 5, 0xa8, 0x12, 2, 0x14, 1, 2, 3, byte(len(configs))}
	return slices.Concat(append([][]byte{head}, configs...)...)
}

func TestHasUsbmux(t *testing.T) {
	ptp, mux := intf(0, 0, 6, 1, 1), intf(1, 0, 255, 254, 2)
	for _, tt := range []struct {
		name string
		in   []byte
		want bool
		bad  bool
	}{
		{name: "phone", in: muxDescriptors, want: true},
		{name: "keyboard", in: plainDescriptors},
		{name: "no configuration", in: device()},
		{name: "first configuration", in: device(configuration(1, mux), configuration(2, ptp)), want: true},
		{name: "last configuration", in: device(configuration(1, ptp), configuration(2, ptp), configuration(5, ptp, mux)), want: true},
		{name: "alternate setting", in: device(configuration(1, ptp, intf(0, 1, 255, 254, 2))), want: true},
		{name: "behind unknown descriptors", in: device(configuration(1, []byte{8, 11, 2, 2, 2, 13, 0, 0}, []byte{2, 99}, mux)), want: true},
		{name: "other class", in: device(configuration(1, intf(0, 0, 254, 254, 2)))},
		{name: "Valeria", in: device(configuration(1, intf(0, 0, 255, 42, 255)))},
		{name: "other protocol", in: device(configuration(1, intf(0, 0, 255, 254, 1)))},
		{name: "only an endpoint looks so", in: device(configuration(1, ptp, []byte{9, 5, 0, 0, 0, 255, 254, 2, 0}))},

		{name: "empty", bad: true},
		{name: "short device", in: muxDescriptors[:17], bad: true},
		{name: "configurations missing", in: muxDescriptors[:18], bad: true},
		{name: "second missing", in: muxDescriptors[:18+39], bad: true},
		{name: "cut", in: muxDescriptors[:len(muxDescriptors)-1], bad: true},
		{name: "more than promised", in: append(bytes.Clone(muxDescriptors), 0), bad: true},
		{name: "length 0", in: device(configuration(1, mux, []byte{0, 4})), bad: true},
		{name: "length 1", in: device(configuration(1, mux, []byte{1})), bad: true},
		{name: "descriptor beyond its configuration", in: device(configuration(1, []byte{9, 4, 0, 0, 0, 255, 254}), configuration(2, mux)), bad: true},
		{name: "short interface", in: device(configuration(1, []byte{8, 4, 0, 0, 0, 255, 254, 2})), bad: true},
		{name: "total too short", in: device([]byte{9, 2, 8, 0, 0, 1, 0, 0xc0, 250}), bad: true},
		{name: "device type", in: append([]byte{18, 2}, muxDescriptors[2:]...), bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := hasUsbmux(tt.in)
			if got != tt.want || errors.Is(err, errDescriptors) != tt.bad || (err != nil) != tt.bad {
				t.Errorf("hasUsbmux = %v, %v; want %v, error %v", got, err, tt.want, tt.bad)
			}
		})
	}
}

func FuzzDescriptors(f *testing.F) {
	f.Add(muxDescriptors)
	f.Add(plainDescriptors)
	f.Add(device())
	f.Add(device(configuration(1, intf(0, 0, 6, 1, 1)), configuration(5, []byte{2, 99}, intf(1, 1, 255, 254, 2))))
	f.Add(muxDescriptors[:60])
	f.Add(device(configuration(1, []byte{0, 4})))
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		got, err := hasUsbmux(in)
		if !bytes.Equal(in, before) {
			t.Fatal("the descriptors were changed")
		}
		if err != nil {
			if got || !errors.Is(err, errDescriptors) {
				t.Fatalf("hasUsbmux = %v, %v", got, err)
			}
			return
		}
		// Well-formed: neither shorter nor longer is.
		if len(in) > deviceLen {
			if _, err := hasUsbmux(in[:len(in)-1]); err == nil {
				t.Fatal("accepted without the last byte")
			}
		}
		if _, err := hasUsbmux(append(before, 0)); err == nil {
			t.Fatal("accepted with a byte more")
		}
		// A flat walk over all descriptors, which knows of no configurations, sees
		// the same interfaces and as many configurations as are promised. A
		// configuration header longer than nine bytes is one step for both.
		want, configs := false, 0
		for i := deviceLen; i < len(in); i += int(in[i]) {
			if in[i+1] == typeInterface && in[i+5] == 255 && in[i+6] == 254 && in[i+7] == 2 {
				want = true
			}
			if in[i+1] == typeConfig {
				configs++
			}
		}
		if got != want || configs < int(in[17]) {
			t.Fatalf("hasUsbmux = %v with %d configurations; want %v with %d", got, configs, want, in[17])
		}
		// One more configuration with the interface makes any device one.
		if in[17] < 255 {
			more := append(bytes.Clone(in), configuration(9, intf(0, 0, 255, 254, 2))...)
			more[17]++
			if got, err := hasUsbmux(more); !got || err != nil {
				t.Fatalf("with usbmux added: %v, %v; want true", got, err)
			}
		}
	})
}
