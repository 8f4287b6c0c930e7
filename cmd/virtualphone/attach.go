package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
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
	phoneOptions
	speed   string
	product string
	mode    int
	noMux   bool
	socket  string
}

// attach plugs virtual iPhones into the kernel until ctx ends.
func attach(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	var o attachOptions
	flags := pflag.NewFlagSet("virtualphone attach", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	o.addFlags(flags)
	flags.StringVar(&o.speed, "speed", "high", "high or super")
	flags.StringVar(&o.product, "product", "12a8", "USB product id in hex, such as 1281 for recovery or 1227 for DFU mode")
	flags.IntVar(&o.mode, "mode", 1, "USB mode, 1 to 5")
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
	configs, err := o.configs()
	if err != nil {
		return nil, err
	}
	all := make([]*usbip.Gadget, len(configs))
	for i, cfg := range configs {
		cfg.MaxPacketSize = speed.PacketSize()
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

// run plugs the gadgets in, each with a line of output, until ctx ends or one
// cannot be plugged in.
func (o *attachOptions) run(ctx context.Context, gadgets []*usbip.Gadget, stdout io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	if o.socket != "" {
		l, err := listen(o.socket)
		if err != nil {
			return err
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
