package usbip

import (
	"fmt"
	"sync"

	"gomuxd/virtualphone"
)

// Speed is the speed of the bus.
type Speed byte

// Speeds by their numbers in the kernel's enum usb_device_speed.
const (
	High  Speed = 3
	Super Speed = 5
)

// PacketSize is the size of bulk packets in bytes.
func (s Speed) PacketSize() int {
	if s == Super {
		return 1024
	}
	return 512
}

func (s Speed) String() string {
	if s == Super {
		return "super"
	}
	return "high"
}

// ParseSpeed reads "high" or "super".
func ParseSpeed(s string) (Speed, error) {
	switch s {
	case "high":
		return High, nil
	case "super":
		return Super, nil
	}
	return 0, fmt.Errorf("speed %q is neither high nor super", s)
}

// Ids of phones.
const (
	vendorApple = 0x05ac

	ProductPhone    = 0x12a8
	ProductDFU      = 0x1227
	ProductRecovery = 0x1281
)

// Config describes the USB side of a phone.
type Config struct {
	Phone   *virtualphone.Phone // its packet size must be the speed's
	Speed   Speed               // default High
	Product uint16              // idProduct, default ProductPhone
	Release uint16              // bcdDevice, default 0x1402
	Mode    int                 // USB mode at the first plug, 1 to 5, default 1
	NoMux   bool                // no configuration has the usbmux interface
	Faults  Faults
}

// Gadget is a virtual iPhone as a USB device. Its mode outlives its plugs.
type Gadget struct {
	cfg Config

	mu      sync.Mutex // guards all below
	mode    int
	configs []config
	faults  Faults
	active  int          // configuration value, 0 = none
	alts    map[int]byte // interface settings that are not 0
	halted  map[byte]bool
	next    int     // mode to come after a switch, 0 = none
	conn    *server // while serving
}

// New makes a gadget for a phone. It does not plug it in.
func New(cfg Config) (*Gadget, error) {
	if cfg.Speed == 0 {
		cfg.Speed = High
	}
	if cfg.Product == 0 {
		cfg.Product = ProductPhone
	}
	if cfg.Release == 0 {
		cfg.Release = 0x1402
	}
	if cfg.Mode == 0 {
		cfg.Mode = 1
	}
	switch {
	case cfg.Phone == nil:
		return nil, fmt.Errorf("usb gadget without a phone")
	case cfg.Speed != High && cfg.Speed != Super:
		return nil, fmt.Errorf("speed %d is neither high nor super", cfg.Speed)
	case cfg.Mode < 1 || cfg.Mode > 5:
		return nil, fmt.Errorf("usb mode %d is not in 1 to 5", cfg.Mode)
	case cfg.Phone.PacketSize() != cfg.Speed.PacketSize():
		return nil, fmt.Errorf("phone with packets of %d bytes at %s speed, whose packets have %d", cfg.Phone.PacketSize(), cfg.Speed, cfg.Speed.PacketSize())
	}
	g := &Gadget{cfg: cfg, mode: cfg.Mode, faults: cfg.Faults}
	g.configs = g.configurations(cfg.Mode)
	return g, nil
}

// configurations are those of a mode, of a phone that is not in recovery.
func (g *Gadget) configurations(mode int) []config {
	switch g.cfg.Product {
	case ProductDFU, 0x1222, 0x1226:
		return []config{{name: "DFU", alts: []alt{{class: [3]byte{0xfe, 1, 2}}}}}
	case 0x1280, ProductRecovery, 0x1282, 0x1283:
		return []config{{name: "Recovery", alts: []alt{{class: [3]byte{255, 255, 81}, endpoints: []endpoint{
			{address: 0x04, kind: bulk}, {address: 0x85, kind: bulk},
		}}}}}
	}
	return configurations(mode, !g.cfg.NoMux)
}

// Phone is the phone behind the gadget.
func (g *Gadget) Phone() *virtualphone.Phone { return g.cfg.Phone }

// Speed is the speed it is plugged at.
func (g *Gadget) Speed() Speed { return g.cfg.Speed }

// Mode is the USB mode in force.
func (g *Gadget) Mode() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mode
}

// Configuration is the value the host has set, 0 for none.
func (g *Gadget) Configuration() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.active
}

// begin starts a plugged period: the device is fresh, the mode is kept.
func (g *Gadget) begin(s *server) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		return fmt.Errorf("usb gadget is plugged in already")
	}
	g.conn = s
	g.active = 0
	g.alts = make(map[int]byte)
	g.halted = make(map[byte]bool)
	g.next = 0
	return nil
}

func (g *Gadget) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conn = nil
	g.active = 0
}

// switchMode carries out a SET_MODE whose answer is on its way.
func (g *Gadget) switchMode() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == 0 {
		return false
	}
	g.mode, g.configs, g.next = g.next, g.configurations(g.next), 0
	return true
}

// hasLocked reports whether the active configuration has an endpoint in the settings
// chosen.
func (g *Gadget) hasLocked(address byte) bool {
	c := g.configLocked(g.active)
	if c == nil {
		return false
	}
	for _, a := range c.alts {
		if a.setting != g.alts[int(a.number)] {
			continue
		}
		for _, e := range a.endpoints {
			if e.address == address {
				return true
			}
		}
	}
	return false
}

// muxLocked reports whether the active configuration has usbmux.
func (g *Gadget) muxLocked() bool {
	c := g.configLocked(g.active)
	if c == nil {
		return false
	}
	for _, a := range c.alts {
		if a.class == usbmux {
			return true
		}
	}
	return false
}

func (g *Gadget) configLocked(value int) *config {
	if value < 1 || value > len(g.configs) {
		return nil
	}
	return &g.configs[value-1]
}
