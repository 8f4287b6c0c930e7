package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"gomuxd/virtualphone"
)

// phoneOptions are the flags that say which phones there are.
type phoneOptions struct {
	count    int
	preset   string
	behavior []string
	passcode string
	ios      string
}

const maxPhones = 120

func (o *phoneOptions) addFlags(flags *pflag.FlagSet) {
	flags.IntVar(&o.count, "count", 1, "how many phones, 1 to "+strconv.Itoa(maxPhones))
	flags.StringVar(&o.passcode, "passcode", "", "passcode; none if empty")
	flags.StringVar(&o.ios, "ios", "", "the version of iOS, or of its kin, that they run")
	flags.StringVar(&o.preset, "preset", "", "what they are, see above; default an iPhone 13")
	flags.StringArrayVar(&o.behavior, "behavior", nil, "`NAME=VALUE`, a behavior from the start, see virtualphone --help; may be repeated")
}

// configs describes all phones.
func (o *phoneOptions) configs() ([]virtualphone.Config, error) {
	if o.count < 1 || o.count > maxPhones {
		return nil, fmt.Errorf("--count %d is not in 1 to %d", o.count, maxPhones)
	}
	all := make([]virtualphone.Config, o.count)
	for i := range all {
		var err error
		if all[i], err = o.config(i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// config describes phone i.
func (o *phoneOptions) config(i int) (virtualphone.Config, error) {
	cfg := virtualphone.Config{UDID: fmt.Sprintf("00008110-%016X", 0x000A1111_2222_0000+i), Name: "Virtual iPhone"}
	if o.preset != "" {
		var err error
		if cfg, err = virtualphone.Preset(o.preset); err != nil {
			return cfg, err
		}
		const digits = 4 // at the end of the UDID, to tell them apart
		if i > 0 {
			cfg.UDID = fmt.Sprintf("%s%0*x", cfg.UDID[:len(cfg.UDID)-digits], digits, i)
		}
	}
	if i > 0 {
		cfg.Name += " " + strconv.Itoa(i+1)
	}
	cfg.Passcode = o.passcode
	if o.ios != "" {
		cfg.ProductVersion = o.ios
	}
	for _, s := range o.behavior {
		name, value, _ := strings.Cut(s, "=")
		if err := cfg.Behavior.Set(name, value); err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

// presetList is a line per preset for the help.
func presetList() string {
	var b strings.Builder
	for _, name := range virtualphone.Presets() {
		cfg, err := virtualphone.Preset(name)
		if err != nil {
			continue // cannot be: it is listed
		}
		fmt.Fprintf(&b, "  %-12s %s, version %s\n", name, cfg.ProductType, cfg.ProductVersion)
	}
	return b.String()
}
