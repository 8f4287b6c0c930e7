package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"gomuxd/control"
)

func (a *app) captureCommand() *cobra.Command {
	var (
		path    string
		ports   []int
		secrets bool
	)
	cmd := &cobra.Command{
		Use:   "capture [DEVICE]",
		Short: "Record what goes between this computer and a device, for Wireshark",
		Long: `Capture writes the packets of a device's multiplexer in the format pcapng, as they
go by: TCP connections between fd00:6d75:78::1, this computer, and fd00:6d75:78::2,
the device, and with a comment each what the multiplexer itself has to say. It goes
on when the device is unplugged and comes back, and ends with SIGINT or SIGTERM.

What is said to lockdownd, on port 62078, is left out, since private keys go by
there: the headers and lengths stay. With --with-secrets it is in the file, which
then must not leave this computer; only root may do that.

Nothing waits for a capture: if the disk or the program behind the pipe is too slow,
packets are dropped. Their number is in the file, at the place where they are missing,
and told at the end.`,
		Example: `  muxctl capture -w phone.pcapng
  muxctl capture "Anna's iPhone" --port 62078 --port 8100 -w phone.pcapng
  muxctl capture | wireshark -k -i -
  muxctl capture | tshark -r - -z conv,tcp`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeDevices,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := control.CaptureRequest{Secrets: secrets}
			for _, p := range ports {
				if p < 1 || p > 65535 {
					return usagef("the device's port %d is no number from 1 to 65535", p)
				}
				req.Ports = append(req.Ports, uint16(p))
			}
			if path == "-" {
				path = ""
			}
			if path == "" && a.isTerminal(a.stdout) {
				return usagef("a capture is nothing for a terminal: write it with -w FILE, or pipe it into \"wireshark -k -i -\"")
			}
			ctx, c := cmd.Context(), a.api()
			d, err := chosen(ctx, c, args)
			if err != nil {
				return lacking(err, "a capture")
			}
			if udidOf(d) == "" {
				return codef(exitRefused, "%s has no connections to capture (%s): %s", title(d), d.Trust, sentence(d))
			}
			return a.capture(ctx, c, d, req, path)
		},
	}
	cmd.Flags().StringVarP(&path, "write", "w", "", "write to `FILE` instead of standard output")
	cmd.Flags().IntSliceVarP(&ports, "port", "p", nil, "only connections to port `N` of the device; may be given several times")
	cmd.Flags().BoolVar(&secrets, "with-secrets", false, "also what is said to lockdownd, which holds private keys; for root alone")
	_ = cmd.RegisterFlagCompletionFunc("port", cobra.NoFileCompletions)
	return cmd
}

// capture writes until ctx ends, or the daemon goes, or nobody reads.
func (a *app) capture(ctx context.Context, c api, d control.Device, req control.CaptureRequest, path string) error {
	signal.Ignore(syscall.SIGPIPE) // Wireshark may end at any time
	var (
		r   recorder
		out *bufio.Writer // nil until the capture has begun
		f   io.WriteCloser
	)
	err := c.Capture(ctx, udidOf(d), req, func(got control.Captured) error {
		if out == nil {
			var w io.Writer = a.stdout
			if path != "" {
				var err error
				if f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
					return err
				}
				w = f
			}
			out = bufio.NewWriterSize(w, 1<<18)
			if err := r.begin(out, title(d), got.Time); err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "muxctl: capturing %s, until Ctrl-C\n", title(d))
		}
		if err := r.add(got); err != nil || got.More {
			return err
		}
		return out.Flush()
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = nil
	}
	if out == nil {
		return lacking(err, "a capture")
	}
	lost := errors.Is(err, syscall.EPIPE)
	if !lost {
		err = errors.Join(err, r.end(), out.Flush())
		lost = errors.Is(err, syscall.EPIPE)
	}
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	text := fmt.Sprintf("%d packets, %s", r.counts[ifaceTCP]+r.counts[ifaceMux], bytesText(r.bytes))
	if r.dropped > 0 {
		text += fmt.Sprintf("; %d are missing, since the writing was too slow: write to a file on a faster disk with -w, or choose connections with --port", r.dropped)
	}
	fmt.Fprintln(a.stderr, "muxctl: "+text)
	if lost {
		return nil // whoever has read has had enough
	}
	return err
}
