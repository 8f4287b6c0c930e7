package usbip_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"
	"unicode/utf16"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

// TestFirstLook asks what every kernel asks first and compares with bytes made
// up by hand from the USB specification.
func TestFirstLook(t *testing.T) {
	for _, tt := range []struct {
		speed  usbip.Speed
		device string
		bos    int32 // status of the request
	}{
		{usbip.High, "1201 0002 000000 40 ac05 a812 0214 01 02 03 04", -32},
		{usbip.Super, "1201 2003 000000 09 ac05 a812 0214 01 02 03 04", 0},
	} {
		t.Run(tt.speed.String(), func(t *testing.T) {
			h := plug(t, gadget(t, usbip.Config{Speed: tt.speed}, virtualphone.Config{}))
			want, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(tt.device), []byte(" "), nil)))
			if err != nil {
				t.Fatal(err)
			}
			if r := h.control(0x80, 6, 0x100, 0, 64); !bytes.Equal(r.data, want) {
				t.Fatalf("device descriptor: want %x, got %x", want, r.data)
			}
			if r := h.control(0x80, 6, 0x100, 0, 8); !bytes.Equal(r.data, want[:8]) {
				t.Fatalf("its first 8 bytes: got %x", r.data)
			}
			if r := h.control(0x80, 6, 0xf00, 0, 255); r.status != tt.bos {
				t.Fatalf("BOS: want status %d, got %+v", tt.bos, r)
			} else if tt.bos == 0 && int(binary.LittleEndian.Uint16(r.data[2:])) != len(r.data) {
				t.Fatalf("BOS of %d bytes: %x", len(r.data), r.data)
			}
			serial := h.control(0x80, 6, 0x303, 0x409, 255).data
			var units []uint16
			for b := serial[2:]; len(b) > 0; b = b[2:] {
				units = append(units, binary.LittleEndian.Uint16(b))
			}
			if s := string(utf16.Decode(units)); s != "00008110000A11112222001E" {
				t.Fatalf("serial %q", s)
			}
		})
	}
}

// look is what a configuration holds.
type look struct {
	interfaces map[byte]string // class triples by number, the last setting's
	endpoints  int
	power      byte
}

// parse walks a configuration descriptor and checks its form.
func parse(t *testing.T, b []byte, speed usbip.Speed) look {
	t.Helper()
	l := look{interfaces: map[byte]string{}, power: b[8]}
	if int(binary.LittleEndian.Uint16(b[2:])) != len(b) || b[0] != 9 {
		t.Fatalf("total length of %d bytes: %x", len(b), b)
	}
	count := int(b[4])
	left := 0       // endpoints to come of the interface
	last := byte(0) // type of the descriptor before
	for rest := b[9:]; len(rest) > 0; rest = rest[rest[0]:] {
		if rest[0] < 2 || int(rest[0]) > len(rest) {
			t.Fatalf("descriptor of %d bytes with %d left", rest[0], len(rest))
		}
		if last == 5 && (rest[1] == 48) != (speed == usbip.Super) {
			t.Fatalf("after an endpoint comes %x", rest[:rest[0]])
		}
		switch last = rest[1]; last {
		case 4:
			if left != 0 {
				t.Fatalf("%d endpoints are missing", left)
			}
			l.interfaces[rest[2]] = fmt.Sprintf("%d/%d/%d", rest[5], rest[6], rest[7])
			left = int(rest[4])
		case 5:
			left--
			l.endpoints++
			if size := binary.LittleEndian.Uint16(rest[4:]); rest[3]&3 == 2 && int(size) != speed.PacketSize() {
				t.Fatalf("bulk packets of %d bytes", size)
			}
		}
	}
	if left != 0 || len(l.interfaces) != count {
		t.Fatalf("%d interfaces announced, %d there, %d endpoints missing", count, len(l.interfaces), left)
	}
	return l
}

func TestConfigurations(t *testing.T) {
	const mux, ether, valeria, ncm = "255/254/2", "255/253/1", "255/42/255", "2/13/0"
	for mode, want := range map[int][][]string{
		1: {nil, nil, {mux}, {mux, ether}},
		2: {nil, nil, {mux}, {mux, ether}, {mux, valeria}},
		3: {nil, nil, {mux}, {mux, ether}, {mux, ncm}},
		4: {nil, nil, {mux}, {mux, ether}, {mux, ncm}, {mux, ether, ncm}},
		5: {{ncm}},
	} {
		for _, speed := range []usbip.Speed{usbip.High, usbip.Super} {
			t.Run(fmt.Sprintf("mode %d %s", mode, speed), func(t *testing.T) {
				h := plug(t, gadget(t, usbip.Config{Speed: speed, Mode: mode}, virtualphone.Config{}))
				if n := h.control(0x80, 6, 0x100, 0, 18).data[17]; int(n) != len(want) {
					t.Fatalf("want %d configurations, got %d", len(want), n)
				}
				for i, kinds := range want {
					l := parse(t, h.control(0x80, 6, uint16(0x200+i), 0, 1024).data, speed)
					if unit := map[usbip.Speed]int{usbip.High: 2, usbip.Super: 8}[speed]; int(l.power)*unit > 500 {
						t.Errorf("configuration %d draws %d mA", i+1, int(l.power)*unit)
					}
					for _, kind := range kinds {
						found := false
						for _, k := range l.interfaces {
							found = found || k == kind
						}
						if !found {
							t.Errorf("configuration %d has %v, want %s", i+1, l.interfaces, kind)
						}
					}
					if r := h.control(0x00, 9, uint16(i+1), 0, 0); r.status != 0 {
						t.Errorf("set configuration %d: %d", i+1, r.status)
					}
					if r := h.control(0x80, 8, 0, 0, 1); !bytes.Equal(r.data, []byte{byte(i + 1)}) {
						t.Errorf("configuration after that: %x", r.data)
					}
				}
				if r := h.control(0x80, 6, uint16(0x200+len(want)), 0, 1024); r.status != -32 {
					t.Errorf("configuration too many: %+v", r)
				}
			})
		}
	}
}

func TestModes(t *testing.T) {
	g := gadget(t, usbip.Config{}, virtualphone.Config{})
	h := plug(t, g)
	if r := h.control(0xc0, 0x45, 0, 0, 4); !bytes.Equal(r.data, []byte{3, 3, 3, 0}) {
		t.Fatalf("mode at first: %+v", r)
	}
	if r := h.control(0xc0, 0x45, 0, 2, 64); len(r.data) != 1 {
		t.Fatalf("carrier: %+v", r)
	}
	if r := h.control(0xc0, 0x52, 0, 9, 1); !bytes.Equal(r.data, []byte{1}) {
		t.Fatalf("mode 9: %+v", r)
	}
	if r := h.control(0xc0, 0x52, 0, 3, 1); !bytes.Equal(r.data, []byte{0}) {
		t.Fatalf("mode 3: %+v", r)
	}
	<-h.served
	g.Phone().Unplug()
	if g.Mode() != 3 {
		t.Fatalf("mode %d after the switch", g.Mode())
	}
	h = plug(t, g)
	if r := h.control(0xc0, 0x45, 0, 0, 4); !bytes.Equal(r.data, []byte{5, 3, 3, 0}) {
		t.Fatalf("mode after the switch: %+v", r)
	}
}

func TestOddPhones(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  usbip.Config
	}{
		{"recovery", usbip.Config{Product: usbip.ProductRecovery}},
		{"DFU", usbip.Config{Product: usbip.ProductDFU}},
		{"without usbmux", usbip.Config{NoMux: true}},
		{"NCM only", usbip.Config{Mode: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := plug(t, gadget(t, tt.cfg, virtualphone.Config{}))
			device := h.control(0x80, 6, 0x100, 0, 18).data
			for i := range device[17] {
				for _, kind := range parse(t, h.control(0x80, 6, uint16(0x200)+uint16(i), 0, 1024).data, usbip.High).interfaces {
					if kind == "255/254/2" {
						t.Errorf("configuration %d has usbmux", i+1)
					}
				}
			}
		})
	}
	t.Run("a configuration that cannot be set", func(t *testing.T) {
		h := plug(t, gadget(t, usbip.Config{Faults: usbip.Faults{RefuseConfiguration: []int{4}}}, virtualphone.Config{}))
		if r := h.control(0, 9, 4, 0, 0); r.status != -32 {
			t.Errorf("configuration 4: %+v", r)
		}
		if r := h.control(0, 9, 3, 0, 0); r.status != 0 {
			t.Errorf("configuration 3: %+v", r)
		}
	})
}
