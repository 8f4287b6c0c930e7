package usb

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Vendor requests of a phone; both are IN transfers on endpoint 0.
const (
	reqGetMode = 0x45 // index 0: 4 bytes, "3:3:3:0" at first
	reqSetMode = 0x52 // index: the mode; 1 byte, 0 for yes
)

// phone is an opened device as the bring-up needs it: libusb's, or a test's.
type phone interface {
	identity() (vendor, product uint16)
	configurations() []configuration
	// active is the value of the active configuration, 0 for none.
	active() (int, error)
	// configure makes another configuration the active one and takes the kernel's
	// drivers off the interfaces for it.
	configure(value int) error
	// vendorIn does a vendor request to the device.
	vendorIn(request uint8, index uint16, data []byte) (int, error)
	serial() (string, error)
}

// prepared is what a bring-up has found out.
type prepared struct {
	choice
	vendor, product uint16
	mode            Mode
	serial          string
}

// bringUp makes a phone ready for its interface to be claimed.
func bringUp(ph phone, at Address, cfg Config, known *switches) (prepared, error) {
	var p prepared
	p.vendor, p.product = ph.identity()
	all := ph.configurations()
	p.mode = guessMode(all)
	if cfg.Mode.wants(p.mode) {
		if err := switchMode(ph, at, cfg, p.mode, known); err != nil {
			return p, err
		}
	}
	var err error
	if p.choice, err = configure(ph, cfg.Log, choices(all)); err != nil {
		return p, err
	}
	if p.serial, err = ph.serial(); err != nil {
		return p, fmt.Errorf("%w: %w", ErrNoSerial, err)
	}
	if p.serial = cleanSerial(p.serial); p.serial == "" {
		return p, ErrNoSerial
	}
	return p, nil
}

// switchMode asks a phone for another mode: ErrModeSwitched if it agrees. A
// phone that does not is used as it is.
func switchMode(ph phone, at Address, cfg Config, now Mode, known *switches) error {
	log := cfg.Log.With(zap.Stringer("mode", now), zap.Stringer("wanted", cfg.Mode))
	switch known.ask(at, time.Now()) {
	case stillLeaving:
		return ErrModeSwitched
	case tried:
		log.Warn("phone stays in its USB mode")
		return nil
	}
	// A phone expects to be asked first. Its answer is not understood.
	was := make([]byte, 4)
	if n, err := ph.vendorIn(reqGetMode, 0, was); err != nil {
		log.Debug("phone does not tell its USB mode", zap.Error(err))
	} else {
		log.Debug("phone tells its USB mode", zap.Binary("answer", was[:n]))
	}
	answer := []byte{0xff}
	n, err := ph.vendorIn(reqSetMode, uint16(cfg.Mode), answer)
	if err != nil || n != 1 || answer[0] != 0 {
		log.Warn("phone refuses the USB mode", zap.Uint8("answer", answer[0]), zap.Error(err))
		return nil
	}
	known.note(at, time.Now())
	log.Info("switched the USB mode, the phone comes back by itself")
	return ErrModeSwitched
}

// configure selects the best configuration that can be.
func configure(ph phone, log *zap.Logger, best []choice) (choice, error) {
	if len(best) == 0 {
		return choice{}, ErrNoMux
	}
	active, err := ph.active()
	if err != nil {
		return choice{}, fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	var errs []error
	for _, c := range best {
		if c.value == active {
			return c, nil
		}
		err := ph.configure(c.value)
		if err == nil {
			log.Debug("configured", zap.Int("configuration", c.value), zap.Int("before", active))
			return c, nil
		}
		errs = append(errs, fmt.Errorf("configuration %d: %w", c.value, err))
	}
	return choice{}, fmt.Errorf("%w: %w", ErrConfiguration, errors.Join(errs...))
}
