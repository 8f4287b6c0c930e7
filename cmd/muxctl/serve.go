package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"gomuxd/control/dashboard"
	"gomuxd/control/exporter"
	"gomuxd/control/observer"
)

// defaultListen is where the dashboard is.
const defaultListen = "127.0.0.1:9787"

// serveOptions are the flags of serve.
type serveOptions struct {
	listen    string
	remote    bool
	hosts     []string
	actions   bool
	tokenFile string
}

func (a *app) serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Show all phones on a web page, and to Prometheus",
		Long: `Serve shows every phone on a web page that is live: who has to do something and
what, transfers over the last hour, and what has happened. Prometheus finds metrics
at /metrics, other programs the page's contents at /api/state. It needs no rights, and keeps all in its own memory.

Only this computer can reach it, unless another address is given and --allow-remote
says that whoever can connect may see names and UDIDs. Browsers must call it by an
address or by a name given with --host, as behind a proxy that adds TLS and
passwords.

The page may only look. With --actions serve prints a link whose holder may also
have phones ask for trust, if the daemon lets the user who runs serve do that. The
right is a token in the link; --token-file keeps it over restarts.

A daemon that goes or is not there yet is waited for. Serve ends with SIGINT or
SIGTERM.`,
		Example: `  muxctl serve
  sudo -g usbmux muxctl serve --actions
  muxctl serve --listen 192.0.2.7:9787 --allow-remote
  muxctl serve --host phones.example.org
  systemctl enable --now muxctl-serve.service`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.listen, "listen", "l", defaultListen, "listen at `HOST:PORT`")
	flags.BoolVar(&o.remote, "allow-remote", false, "let other computers connect and see all phones")
	flags.StringArrayVar(&o.hosts, "host", nil, "browsers may call it `NAME`; may be repeated")
	flags.BoolVar(&o.actions, "actions", false, "let the holder of a token act on phones")
	flags.StringVar(&o.tokenFile, "token-file", "", "keep that token in `FILE`, which is made if it is not there")
	return cmd
}

// serve listens until ctx ends.
func (a *app) serve(ctx context.Context, o serveOptions) error {
	loopback := dashboard.Loopback(o.listen)
	switch {
	case !loopback && !o.remote:
		return usagef("other computers could connect to %s and see the names and UDIDs of all phones: say --allow-remote if they may, or listen at %s", o.listen, defaultListen)
	case !loopback && o.actions:
		return usagef("with --actions the token would cross the network in the clear: listen at %s, and put a proxy with TLS before it, named with --host", defaultListen)
	case o.tokenFile != "" && !o.actions:
		return usagef("--token-file is of no use without --actions")
	}
	cfg := dashboard.Config{Hosts: o.hosts}
	c := a.api()
	cfg.Actor = c
	cfg.Observer = observer.New(c)
	cfg.Metrics = exporter.Handler(cfg.Observer)
	if o.actions {
		var err error
		if cfg.Token, err = token(o.tokenFile); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("%w: choose another address with --listen", err)
	}
	link := "http://" + l.Addr().String() + "/"
	if cfg.Token != "" {
		fmt.Fprintf(a.stdout, "%s may look, who opens %s#token=%s may act\n", link, link, cfg.Token)
	} else {
		fmt.Fprintln(a.stdout, link)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { cfg.Observer.Run(ctx) })
	return serveHTTP(ctx, l, dashboard.New(cfg))
}

// serveHTTP serves until ctx ends; streams end with it.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		srv.Close()
	}
	<-done
	return nil
}

// token returns the first line of a file, which is made with a new one in it if it
// is not there. Without a file it is new each time.
func token(file string) (string, error) {
	const least = 16 // characters, which nobody guesses if they are random
	fresh := rand.Text()
	if file == "" {
		return fresh, nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = f.WriteString(fresh + "\n")
		return fresh, errors.Join(err, f.Close())
	}
	if !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSpace(line); len(line) < least {
		return "", usagef("the token in %s has fewer than %d characters: remove the file, and a new one is made", file, least)
	}
	return line, nil
}
