package usb

import (
	"testing"
)

// bulk makes the two endpoints of a phone's usbmux interface.
func bulk(size int) []endpoint {
	return []endpoint{{address: testOut, bulk: true, maxPacket: size}, {address: testIn, bulk: true, maxPacket: size}}
}

func iface(number int, class, subclass, protocol uint8, ep ...endpoint) alternate {
	return alternate{number: number, class: class, subclass: subclass, protocol: protocol, endpoints: ep}
}

var (
	ptp      = iface(0, 6, 1, 1, endpoint{0x81, true, 512}, endpoint{0x02, true, 512}, endpoint{0x83, false, 64})
	usbmux   = iface(1, 255, 254, 2, bulk(512)...)
	ethernet = iface(2, 255, 253, 1)
	valeria  = iface(2, 255, 42, 255, endpoint{0x86, true, 512}, endpoint{0x05, true, 512})
	ncm      = iface(3, 2, 13, 0, endpoint{0x87, false, 16})
	ncmData  = iface(4, 10, 0, 1)
)

func conf(value int, i ...alternate) configuration { return configuration{value, i} }

// What a phone shows in each mode.
var (
	initial = []configuration{conf(1, ptp), conf(2, ptp), conf(3, ptp, usbmux), conf(4, ptp, usbmux, ethernet)}
	mode2   = append(initial[:4:4], conf(5, valeria, usbmux, ptp))
	mode3   = append(initial[:4:4], conf(5, ptp, usbmux, ncm, ncmData))
	mode4   = append(mode3[:5:5], conf(6, ptp, usbmux, ethernet, ncm, ncmData))
	direct  = []configuration{conf(1, ncm, ncmData)}
)

func TestChoices(t *testing.T) {
	odd := usbmux
	odd.endpoints = []endpoint{{testIn, true, 512}, {testOut, true, 1024}} // either order
	three := iface(1, 255, 254, 2, append(bulk(512), endpoint{0x87, true, 512})...)
	sameWay := iface(1, 255, 254, 2, endpoint{0x81, true, 512}, endpoint{0x82, true, 512})
	interrupt := iface(1, 255, 254, 2, endpoint{0x81, false, 512}, endpoint{0x02, true, 512})
	empty := iface(1, 255, 254, 2, bulk(0)...)
	other := usbmux
	other.setting = 1
	for _, tt := range []struct {
		name string
		in   []configuration
		want []int // configuration values, best first
	}{
		{"initial mode", initial, []int{4, 3}},
		{"any order of descriptors", []configuration{initial[2], initial[0], initial[3], initial[1]}, []int{4, 3}},
		{"mode 2, Valeria first", mode2, []int{5, 4, 3}},
		{"mode 3", mode3, []int{5, 4, 3}},
		{"mode 4", mode4, []int{6, 5, 4, 3}},
		{"mode 5 has none", direct, nil},
		{"only the class", []configuration{conf(1, iface(0, 255, 0, 0, bulk(512)...))}, nil},
		{"only the subclass", []configuration{conf(1, iface(0, 3, 254, 0, bulk(512)...))}, nil},
		{"only the protocol", []configuration{conf(1, iface(0, 8, 6, 2, bulk(512)...))}, nil},
		{"class and protocol", []configuration{conf(1, iface(0, 255, 253, 2, bulk(512)...))}, nil},
		{"firmware upgrade", []configuration{conf(1, iface(0, 254, 1, 2, bulk(512)...))}, nil},
		{"endpoints in the other order", []configuration{conf(1, odd)}, []int{1}},
		{"three endpoints", []configuration{conf(1, three)}, nil},
		{"both the same way", []configuration{conf(1, sameWay)}, nil},
		{"not bulk", []configuration{conf(1, interrupt)}, nil},
		{"no packet size", []configuration{conf(1, empty)}, nil},
		{"another alternate setting", []configuration{conf(1, other)}, nil},
		{"nothing", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []int
			for _, c := range choices(tt.in) {
				got = append(got, c.value)
				if c.iface != 1 || c.in != testIn || c.out != testOut || c.inMax != 512 {
					t.Errorf("endpoints %+v", c.endpoints)
				}
			}
			if len(got) != len(tt.want) {
				t.Fatalf("configurations %v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Fatalf("configurations %v, want %v", got, tt.want)
				}
			}
		})
	}
}

func TestGuessMode(t *testing.T) {
	withBoth := append(initial[:4:4], conf(5, valeria, usbmux, ncm))
	noMux := append(initial[:4:4], conf(5, valeria, ncm))
	for _, tt := range []struct {
		name string
		in   []configuration
		want Mode
	}{
		{"one", direct, ModeDirect},
		{"one with usbmux, as in restore mode", []configuration{conf(1, usbmux)}, Keep},
		{"two", initial[:2], ModeInitial},
		{"four", initial, ModeInitial},
		{"five with Valeria", mode2, ModeValeria},
		{"five with NCM", mode3, ModeNCM},
		{"five with both", withBoth, ModeValeria},
		{"five without usbmux", noMux, Keep},
		{"five with neither", append(initial[:4:4], conf(5, ptp, usbmux)), Keep},
		{"six", mode4, ModeEthernetNCM},
		{"seven", append(mode4[:6:6], conf(7, ptp)), Keep},
		{"none", nil, Keep},
	} {
		if got := guessMode(tt.in); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestModeWants(t *testing.T) {
	for _, tt := range []struct {
		policy, now Mode
		want        bool
	}{
		{Keep, ModeNCM, false},
		{ModeInitial, ModeInitial, false},
		{ModeInitial, ModeNCM, true},
		{ModeNCM, ModeInitial, true},
		{ModeNCM, Keep, false}, // unknown
		{7, ModeInitial, false},
		{-1, ModeInitial, false},
	} {
		if got := tt.policy.wants(tt.now); got != tt.want {
			t.Errorf("policy %v in mode %v: %v, want %v", tt.policy, tt.now, got, tt.want)
		}
	}
}

func TestParseMode(t *testing.T) {
	for in, want := range map[string]Mode{
		"": ModeInitial, "1": ModeInitial, "3": ModeNCM, "5": ModeDirect,
		"0": Keep, "6": Keep, "-1": Keep, "keep": Keep, "three": Keep,
	} {
		if got := ParseMode(in); got != want {
			t.Errorf("ParseMode(%q) = %v, want %v", in, got, want)
		}
	}
}
