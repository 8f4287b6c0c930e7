package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"gomuxd/socket"
)

// controlName is the name under which a service manager passes the control
// socket: FileDescriptorName= of systemd.socket(5). All others are for clients.
const controlName = "control"

// passed are the listening sockets that the service manager has opened.
type passed struct {
	clients []net.Listener
	control []net.Listener
}

// activated reports whether sockets are passed to this process.
func activated() bool {
	return os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) && os.Getenv("LISTEN_FDS") != ""
}

// inherit takes the passed sockets over. It can do so once.
func inherit() (p passed, err error) {
	for _, f := range activation.Files(true) {
		l, err := listenerOf(f)
		switch {
		case err != nil:
			return p, fmt.Errorf("socket %q of the service manager: %w", f.Name(), err)
		case f.Name() != controlName:
			p.clients = append(p.clients, l)
		case l.Addr().Network() != "unix":
			return p, fmt.Errorf("socket %q of the service manager: the control socket must be a Unix socket", f.Name())
		default:
			p.control = append(p.control, l)
		}
	}
	return p, nil
}

// listenerOf takes one of them over.
func listenerOf(f *os.File) (net.Listener, error) {
	defer f.Close() // the listener has its own
	if on, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return nil, errors.New("must be a listening stream socket: ListenStream= in the unit")
	}
	return socket.FileListener(f)
}

// openClients opens the sockets of the clients, all or none. Those that were
// passed count as opened, and stand for the default one.
func (p passed) openClients(s *settings, creds *socket.Credentials) ([]net.Listener, error) {
	p.clients = slices.Clone(p.clients)
	for i, l := range p.clients {
		if l.Addr().Network() == "tcp" && slices.Contains(s.Listen, "tls:"+l.Addr().String()) {
			p.clients[i] = creds.Secure(l)
			continue
		}
		if l.Addr().Network() != "tcp" || s.AllowRemote {
			continue
		}
		if err := socket.CheckLoopback(l.Addr().String()); err != nil {
			return nil, fmt.Errorf("socket of the service manager: %w with allow_remote = true in the configuration file", err)
		}
	}
	all := slices.DeleteFunc(slices.Clone(p.clients), func(l net.Listener) bool {
		return slices.ContainsFunc(s.Sockets, func(o socketSettings) bool { return serves(l, o.Listen) })
	})
	if len(all) > 0 && slices.Equal(s.Listen, defaults().Listen) {
		return all, nil
	}
	open := socket.Listen
	if s.AllowRemote {
		open = socket.ListenAnywhere
	}
	for _, address := range s.Listen {
		if slices.ContainsFunc(p.clients, func(l net.Listener) bool { return serves(l, address) }) {
			continue
		}
		var l net.Listener
		var err error
		if socket.OverTLS(address) {
			l, err = socket.ListenTLS(address, creds)
		} else {
			l, err = open(address, 0)
		}
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// openOne opens a socket for some devices. It shows its file to its group, if it
// has one, before anybody can have connected.
func (p passed) openOne(o socketSettings) (net.Listener, error) {
	for _, l := range p.clients {
		if serves(l, o.Listen) {
			return l, nil
		}
	}
	mode, err := o.mode()
	if err != nil {
		return nil, err
	}
	gid := -1
	if o.Group != "" {
		g, err := user.LookupGroup(o.Group)
		if err != nil {
			return nil, fmt.Errorf("socket %s: group %q: %w", o.Listen, o.Group, err)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return nil, fmt.Errorf("socket %s: group %q: %w", o.Listen, o.Group, err)
		}
	}
	first := mode
	if gid >= 0 {
		first = mode &^ 0o077 // until the group is set
	}
	path, _ := socket.UnixPath(o.Listen)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("socket %s: %w", o.Listen, err)
	}
	l, err := socket.Listen(o.Listen, first)
	if err != nil || gid < 0 {
		return l, err
	}
	if err = os.Chown(path, -1, gid); err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("socket %s: %w", o.Listen, err)
	}
	return l, nil
}

// serves reports whether l is the Unix socket or TCP port with this address.
func serves(l net.Listener, address string) bool {
	path, unix := socket.UnixPath(address)
	if !unix {
		return l.Addr().String() == address
	}
	return l.Addr().Network() == "unix" && resolve(l.Addr().String()) == resolve(path)
}

// resolve follows links to the directory of a path: /var/run is one to /run.
func resolve(path string) string {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// openControl opens the control socket, if there is to be one. Only one that was
// asked for is worth failing for.
func (p passed) openControl(s *settings, log *zap.Logger) ([]net.Listener, error) {
	path, asked := s.controlSocket()
	if len(p.control) > 0 || path == "" {
		return p.control, nil
	}
	l, err := socket.Listen(path, 0)
	switch {
	case err == nil:
		return []net.Listener{l}, nil
	case asked:
		return nil, fmt.Errorf("control socket: %w", err)
	}
	log.Warn("no control socket: muxctl will not find this daemon", zap.Error(err))
	return nil, nil
}

func closeAll(all []net.Listener) {
	for _, l := range all {
		l.Close()
	}
}

func addresses(all []net.Listener) (names []string) {
	for _, l := range all {
		names = append(names, l.Addr().String())
	}
	return names
}
