package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gomuxd/control"
)

func (a *app) forwardCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forward [DEVICE] [LOCAL:]REMOTE...",
		Short: "Let programs of this computer connect to ports of a device",
		Long: `Forward listens on this computer and leads every connection to a port of the
device. Each LOCAL:REMOTE is a place here and a port there; several may be given.
LOCAL is a port, on 127.0.0.1 alone, with 0 or nothing for one that is free; an
ADDRESS:PORT, to be reached from elsewhere too, where * stands for all addresses;
or the path of a Unix socket, with a slash in it. Each place is printed as soon as
connections are taken.

The device may be unplugged and come back: meanwhile connections are reset, and
standard error says so. A terminal shows how much goes through. Forward works with
every usbmuxd, and ends with SIGINT or SIGTERM.`,
		Example: `  muxctl forward 2222:22
  muxctl forward "Anna's iPhone" 8080:80 :5000 /tmp/lockdown.sock:62078
  muxctl forward 00008110 '*:9100:9100'`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeDevices,
		RunE: func(cmd *cobra.Command, args []string) error {
			var ref string
			if _, err := parsePair(args[0]); err != nil && len(args) > 1 {
				ref, args = args[0], args[1:]
			}
			var pairs []pair
			for _, arg := range args {
				p, err := parsePair(arg)
				if err != nil {
					return err
				}
				pairs = append(pairs, p)
			}
			f, err := a.newForwarder(cmd.Context(), ref)
			if err != nil {
				return err
			}
			for _, p := range pairs {
				if err := f.listen(p); err != nil {
					f.close()
					return err
				}
			}
			for _, d := range f.doors {
				if a.json {
					err = a.printLine(struct {
						Local string `json:"local"`
						Port  uint16 `json:"port"`
						UDID  string `json:"udid"`
					}{d.Addr().String(), d.port, udidOf(f.phone)})
				} else {
					_, err = fmt.Fprintf(a.stdout, "%s -> %s, port %d\n", d.Addr(), title(f.phone), d.port)
				}
				if err != nil {
					f.close()
					return err
				}
			}
			f.run(cmd.Context())
			return nil
		},
	}
}

// loopback is where connections are taken from unless another place is given.
const loopback = "127.0.0.1"

// pair is a place on this computer and a port of the phone.
type pair struct {
	network, address string // for package net
	port             uint16
}

func parsePair(s string) (pair, error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return pair{}, usagef("%q is no LOCAL:REMOTE: write 8080:80, :80 or /path:80", s)
	}
	local := s[:i]
	port, err := parsePort(s[i+1:])
	if err != nil {
		return pair{}, err
	}
	if rest, ok := strings.CutPrefix(local, "unix:"); ok || strings.Contains(local, "/") {
		return pair{"unix", rest, port}, nil
	}
	host := loopback
	if j := strings.LastIndexByte(local, ':'); j >= 0 {
		host, local = strings.Trim(local[:j], "[]"), local[j+1:]
		if host == "*" {
			host = ""
		}
	}
	if local == "" {
		local = "0"
	}
	if _, err := strconv.ParseUint(local, 10, 16); err != nil {
		return pair{}, usagef("%q: the local port %q is no number from 0 to 65535; the path of a socket has a slash", s, local)
	}
	return pair{"tcp", net.JoinHostPort(host, local), port}, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, usagef("the device's port %q is no number from 1 to 65535", s)
	}
	return uint16(n), nil
}

// door is a listener and where it leads.
type door struct {
	net.Listener
	port uint16
}

// forwarder leads connections to one phone.
type forwarder struct {
	*tracker
	doors []door
	quiet bool // no status on the terminal

	wg    sync.WaitGroup
	mu    sync.Mutex // guards all below, and what is printed
	links map[*link]struct{}
	ended total // links that are over
	live  bool  // the last line of the terminal is the status
	said  string
	again int // how often it was to be said since
}

// total sums links.
type total struct {
	count    int
	up, down int64
}

// newForwarder finds the phone. One named by its whole UDID need not be here yet.
func (a *app) newForwarder(ctx context.Context, ref string) (*forwarder, error) {
	a.sawNothing = true // any usbmuxd does, there is nothing to tell
	var (
		d   control.Device
		err error
	)
	if ref != "" {
		d, err = a.device(ctx, ref, "")
		if exitCode(err) == exitNoSuch && wholeUDID(ref) {
			d, err = control.Device{UDID: &ref}, nil
			fmt.Fprintf(a.stderr, "muxctl: %s is not plugged in: plug it in; until then connections are refused\n", ref)
		}
	} else {
		var all []control.Device
		if all, err = a.devices(ctx, ""); err == nil {
			d, err = only(all)
		}
	}
	if err != nil {
		return nil, err
	}
	if udidOf(d) == "" {
		return nil, codef(exitRefused, "%s has no ports to connect to (%s): %s", title(d), d.Trust, sentence(d))
	}
	f := &forwarder{links: map[*link]struct{}{}}
	f.tracker = newTracker(a, d, f.say)
	return f, nil
}

// wholeUDID reports whether s can be nothing but a complete UDID.
func wholeUDID(s string) bool {
	plain := plainUDID(s)
	return (len(plain) == 24 || len(plain) == 40) && strings.Trim(plain, "0123456789abcdef") == ""
}

// listen opens a door. What is left of a Unix socket without a listener is taken
// away.
func (f *forwarder) listen(p pair) error {
	l, err := net.Listen(p.network, p.address)
	if p.network == "unix" && errors.Is(err, syscall.EADDRINUSE) {
		if c, lost := net.Dial("unix", p.address); lost == nil {
			c.Close()
		} else if errors.Is(lost, syscall.ECONNREFUSED) && os.Remove(p.address) == nil {
			l, err = net.Listen(p.network, p.address)
		}
	}
	switch {
	case err == nil:
		f.doors = append(f.doors, door{l, p.port})
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: something else listens there: choose another place, or port 0 for any", p.address)
	case errors.Is(err, syscall.EACCES) && p.network == "tcp":
		return codef(exitForbidden, "listen on %s: ports below 1024 need root: choose one above", p.address)
	}
	return err
}

// run serves until ctx ends, and leaves nothing open.
func (f *forwarder) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, f.close)
	f.wg.Go(func() { f.tracker.run(ctx) })
	for _, d := range f.doors {
		f.wg.Go(func() { f.accept(ctx, d) })
	}
	shows := f.a.isTerminal(f.a.stderr) && !f.quiet && !f.a.json
	if shows {
		f.wg.Go(func() { f.show(ctx) })
	}
	f.wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repeated()
	if shows {
		f.print(fmt.Sprintf("%d connections, %s to %s, %s from it", f.ended.count, bytesText(uint64(f.ended.up)), title(f.phone), bytesText(uint64(f.ended.down))))
	}
}

func (f *forwarder) close() {
	for _, d := range f.doors {
		d.Close()
	}
}

func (f *forwarder) accept(ctx context.Context, d door) {
	for {
		conn, err := d.Accept()
		switch {
		case err == nil:
			f.wg.Go(func() { f.serve(ctx, conn, d.port) })
		case errors.Is(err, net.ErrClosed):
			return
		default: // no more files, mostly: some will be closed
			f.say(fmt.Sprintf("accept on %s: %v; raise the limit with ulimit -n", d.Addr(), err))
			if !pause(ctx, f.a.lull) {
				return
			}
		}
	}
}

// serve leads one connection to the phone, or resets it.
func (f *forwarder) serve(ctx context.Context, local net.Conn, port uint16) {
	phone, err := f.connect(ctx, port)
	if err != nil {
		if ctx.Err() == nil {
			f.say(f.a.advice(err))
		}
		if t, ok := local.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset: an end of data would look like an empty answer
		}
		local.Close()
		return
	}
	l := &link{local: local, phone: phone}
	f.mu.Lock()
	f.links[l] = struct{}{}
	f.mu.Unlock()
	l.run(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.links, l)
	f.ended.add(l.up.Load(), l.down.Load())
}

func (t *total) add(up, down int64) {
	t.count++
	t.up += up
	t.down += down
}

// sum is all that has gone through, and how many links are open.
func (f *forwarder) sum() (t total, open int) {
	t = f.ended
	for l := range f.links {
		t.add(l.bytes())
	}
	return t, len(f.links)
}

// say prints a line on standard error; what was said last is counted instead.
func (f *forwarder) say(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if text == f.said {
		f.again++
		return
	}
	f.repeated()
	f.said = text
	f.print("muxctl: " + oneLine(text))
}

func (f *forwarder) repeated() {
	if f.again > 0 {
		f.print(fmt.Sprintf("muxctl: the same %d more times", f.again))
	}
	f.said, f.again = "", 0
}

// print prints a line above the status.
func (f *forwarder) print(line string) {
	if f.live {
		fmt.Fprint(f.a.stderr, "\r\x1b[K")
	}
	f.live = false
	fmt.Fprintln(f.a.stderr, line)
}

// show keeps a line on the terminal that tells what goes through, each second.
func (f *forwarder) show(ctx context.Context) {
	tick := time.NewTicker(f.a.beat)
	defer tick.Stop()
	var last total
	for at := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			f.mu.Lock()
			t, open := f.sum()
			span := now.Sub(at)
			at = now
			line := fmt.Sprintf("%s: %d open, %s out, %s in, %s in all", title(f.phone), open,
				rate(t.up-last.up, span), rate(t.down-last.down, span), bytesText(uint64(t.up+t.down)))
			last = t
			f.live = true
			fmt.Fprint(f.a.stderr, "\r\x1b[K"+cut(line, max(20, f.a.columns(f.a.stderr))-1))
			f.mu.Unlock()
		}
	}
}

func rate(n int64, d time.Duration) string {
	return bytesText(uint64(max(0, float64(n)/max(d.Seconds(), 1e-3)))) + "/s"
}
