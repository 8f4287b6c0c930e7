package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"gomuxd/virtualphone"
	"gomuxd/virtualphone/bus"
)

const serveHelp = `Usage: virtualphone serve --bus SOCKET [OPTIONS]

Holds virtual iPhones for a daemon that was built with the tag virtualphone and
started with --virtual-phone-bus SOCKET. They outlive it, as real ones do, until
this program is interrupted; it fails if a daemon did anything against the
protocol.

Presets:
%s
Options:
`

const serveExamples = `
Examples:
  virtualphone serve --bus /tmp/bus -s /tmp/phone.sock --unplugged &
  usbmuxd -f -S /tmp/usbmuxd -C /tmp/lockdown -P NONE --virtual-phone-bus /tmp/bus &
  virtualphone -s /tmp/phone.sock replug
`

// serveOptions are the flags of serve.
type serveOptions struct {
	phoneOptions
	bus       string
	socket    string
	unplugged bool
	verbose   bool
}

// serve holds virtual iPhones until ctx ends.
func serve(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	var o serveOptions
	flags := pflag.NewFlagSet("virtualphone serve", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.bus, "bus", "", "socket to make, for the daemon")
	o.addFlags(flags)
	flags.BoolVar(&o.unplugged, "unplugged", false, "leave the cables out until replug")
	flags.StringVarP(&o.socket, "socket", "s", env(socketVariable), "control socket to make; default $"+socketVariable)
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "log what the phones do")
	usage := func(err error) int {
		fmt.Fprintf(stderr, "virtualphone serve: %v\nTry virtualphone serve --help.\n", err)
		return exitUsage
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, fmt.Sprintf(serveHelp, presetList()), optionList(flags), serveExamples)
		return exitOK
	case err != nil:
		return usage(err)
	case flags.NArg() > 0:
		return usage(fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	case o.bus == "" || o.socket == "":
		return usage(errors.New("two sockets are wanted, --bus and --socket"))
	}
	configs, err := o.configs()
	if err != nil {
		return usage(err)
	}
	if err := o.run(ctx, configs, stdout); err != nil {
		fmt.Fprintf(stderr, "virtualphone serve: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// run says when the phones are there, and holds them until ctx ends.
func (o *serveOptions) run(ctx context.Context, configs []virtualphone.Config, stdout io.Writer) (err error) {
	log := zap.NewNop()
	if o.verbose {
		if log, err = zap.NewDevelopment(); err != nil {
			return err
		}
	}
	phones := make([]*virtualphone.Phone, len(configs))
	for i, cfg := range configs {
		cfg.Log = log
		if phones[i], err = virtualphone.New(cfg); err != nil {
			return err
		}
		defer phones[i].Close()
	}
	b := bus.New(phones)
	if !o.unplugged {
		for _, p := range phones {
			if _, err := p.Plug(); err != nil {
				return err
			}
		}
	}
	daemons, err := listen(o.bus)
	if err != nil {
		return err
	}
	orders, err := listen(o.socket)
	if err != nil {
		daemons.Close()
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(b.Serve(ctx, daemons)) })
	wg.Go(func() {
		cancel(virtualphone.ServeControl(ctx, orders, func() []*virtualphone.Phone { return phones }))
	})
	for _, p := range phones {
		fmt.Fprintf(stdout, "%s waits at %s\n", p.UDID(), o.bus)
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	for _, p := range phones {
		if v := p.Violations(); v.Total() > 0 {
			err = errors.Join(err, fmt.Errorf("%s counted protocol violations: %v %q", p.UDID(), v, p.ViolationNotes()))
		}
	}
	return err
}

// listen makes a socket in place of one that is left over from a phone before.
func listen(path string) (net.Listener, error) {
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return l, nil
}
