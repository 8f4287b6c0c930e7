package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/usbip"
)

const attachHelp = `Usage: virtualphone attach [OPTIONS]

Plugs virtual iPhones into this kernel over USB/IP and runs until it is
interrupted, which unplugs them. Needs root and the module vhci_hcd.

Presets:
%s
Options:
`

const attachExamples = `
Examples:
  modprobe vhci_hcd && virtualphone attach
  virtualphone attach --preset iphone-17 --behavior dialog-delay=20s
  virtualphone attach --count 16 --speed super -s /run/phones.sock
  virtualphone -s /run/phones.sock --phone 00008110-000A111122220000 unplug
`

// attachOptions are the flags of attach.
type attachOptions struct {
	count    int
	speed    string
	product  string
	preset   string
	behavior []string
	mode     int
	passcode string
	ios      string
	noMux    bool
	socket   string
}

// attach plugs virtual iPhones into the kernel until ctx ends.
func attach(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	var o attachOptions
	flags := pflag.NewFlagSet("virtualphone attach", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&o.count, "count", 1, "how many phones, 1 to 120")
	flags.StringVar(&o.speed, "speed", "high", "high or super")
	flags.StringVar(&o.product, "product", "12a8", "USB product id in hex, such as 1281 for recovery or 1227 for DFU mode")
	flags.IntVar(&o.mode, "mode", 1, "USB mode, 1 to 5")
	flags.StringVar(&o.passcode, "passcode", "", "passcode; none if empty")
	flags.StringVar(&o.ios, "ios", "", "the version of iOS, or of its kin, that they run")
	flags.StringVar(&o.preset, "preset", "", "what they are, see above; default an iPhone 13")
	flags.StringArrayVar(&o.behavior, "behavior", nil, "`NAME=VALUE`, a behavior from the start, see virtualphone --help; may be repeated")
	flags.BoolVar(&o.noMux, "no-usbmux", false, "without the usbmux interface")
	flags.StringVarP(&o.socket, "socket", "s", env(socketVariable), "control socket to make; default $"+socketVariable+", or none")
	usage := func(err error) int {
		fmt.Fprintf(stderr, "virtualphone attach: %v\nTry virtualphone attach --help.\n", err)
		return exitUsage
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, fmt.Sprintf(attachHelp, presetList()), optionList(flags), attachExamples)
		return exitOK
	case err != nil:
		return usage(err)
	case flags.NArg() > 0:
		return usage(fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	case o.count < 1 || o.count > 120:
		return usage(fmt.Errorf("--count %d is not in 1 to 120", o.count))
	}
	gadgets, err := o.gadgets()
	if err != nil {
		return usage(err)
	}
	if err := o.run(ctx, gadgets, stdout); err != nil {
		fmt.Fprintf(stderr, "virtualphone attach: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// gadgets makes the phones, not plugged in yet.
func (o *attachOptions) gadgets() ([]*usbip.Gadget, error) {
	speed, err := usbip.ParseSpeed(o.speed)
	if err != nil {
		return nil, err
	}
	product, err := strconv.ParseUint(o.product, 16, 16)
	if err != nil {
		return nil, fmt.Errorf("product id %q is no hex number of 16 bits", o.product)
	}
	all := make([]*usbip.Gadget, o.count)
	for i := range all {
		cfg, err := o.config(i)
		if err != nil {
			return nil, err
		}
		cfg.MaxPacketSize = speed.PacketSize()
		if i > 0 {
			cfg.Name += " " + strconv.Itoa(i+1)
		}
		phone, err := virtualphone.New(cfg)
		if err != nil {
			return nil, err
		}
		all[i], err = usbip.New(usbip.Config{Phone: phone, Speed: speed, Product: uint16(product), Mode: o.mode, NoMux: o.noMux})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// config describes phone i.
func (o *attachOptions) config(i int) (virtualphone.Config, error) {
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

// run plugs the gadgets in, each with a line of output, until ctx ends or one
// cannot be plugged in.
func (o *attachOptions) run(ctx context.Context, gadgets []*usbip.Gadget, stdout io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	if o.socket != "" {
		_ = os.Remove(o.socket) // left over from a phone before
		l, err := net.Listen("unix", o.socket)
		if err != nil {
			return fmt.Errorf("control socket: %w", err)
		}
		phones := make([]*virtualphone.Phone, len(gadgets))
		for i, g := range gadgets {
			phones[i] = g.Phone()
		}
		wg.Go(func() {
			if err := virtualphone.ServeControl(ctx, l, func() []*virtualphone.Phone { return phones }); err != nil {
				cancel(err)
			}
		})
	}
	var printing sync.Mutex
	for _, g := range gadgets {
		wg.Go(func() {
			defer g.Phone().Close()
			err := g.Follow(ctx, usbip.Attach, func(ev usbip.Event) {
				printing.Lock()
				defer printing.Unlock()
				switch {
				case ev.Port != nil:
					fmt.Fprintf(stdout, "%s attached: port %d of controller %d, %s speed\n", g.Phone().UDID(), ev.Port.Number, ev.Port.Controller, g.Speed())
				case ev.Err != nil:
					fmt.Fprintf(stdout, "%s detached: %v\n", g.Phone().UDID(), ev.Err)
				default:
					fmt.Fprintf(stdout, "%s detached\n", g.Phone().UDID())
				}
			})
			if err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
