package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gomuxd/access"
	"gomuxd/socket/address"
)

// Errors of Listen that call for an action of the user's.
var (
	ErrInUse       = errors.New("socket is in use")
	ErrNotSocket   = errors.New("not a socket")
	ErrNotLoopback = errors.New("not a loopback address")
	ErrAddress     = address.ErrMalformed
)

// defaultMode is a Unix socket's mode if none is asked for: clients run as
// ordinary users.
const defaultMode = 0o666

// Listen opens a listening socket at addr, which is one of
//
//	UNIX:/path   unix:///path   /path   name
//	host:port    [v6]:port      tcp://host:port
//
// A Unix socket is bound at its final name with the given mode (0666 if 0). A
// stale socket there is removed first; a socket that somebody answers on gives
// ErrInUse, anything else ErrNotSocket, and both are left alone. Closing the
// listener removes the path if it is still this socket. A TCP address must be a
// loopback address, else ErrNotLoopback: whoever reaches the socket has the
// devices and the pair records. See ListenAnywhere, and ListenTLS.
func Listen(addr string, mode fs.FileMode) (net.Listener, error) {
	return listen(addr, mode, true)
}

// ListenAnywhere is Listen without the rule about loopback addresses.
func ListenAnywhere(addr string, mode fs.FileMode) (net.Listener, error) {
	return listen(addr, mode, false)
}

func listen(addr string, mode fs.FileMode, loopbackOnly bool) (net.Listener, error) {
	network, place, err := address.Parse(addr)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		if mode == 0 {
			mode = defaultMode
		}
		l, err := listenUnix(place, mode.Perm())
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", place, err)
		}
		return l, nil
	}
	if network == "tls" {
		return nil, fmt.Errorf("%w %q: this socket is not for TLS", ErrAddress, addr)
	}
	if loopbackOnly {
		if err := loopback(place); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", place, err)
		}
	}
	return listenTCP(place)
}

func listenTCP(place string) (net.Listener, error) {
	network := "tcp"
	if a, err := netip.ParseAddrPort(place); err == nil && a.Addr().Is4() {
		network = "tcp4" // not all of IPv6 as well for 0.0.0.0, under which name rules would not find it
	}
	l, err := net.Listen(network, place)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: %w; choose another port, or stop the program that has it: ss -ltnp 'sport = :%s'",
			place, ErrInUse, place[strings.LastIndexByte(place, ':')+1:])
	}
	return l, err
}

// CheckAddress returns an error that wraps ErrAddress unless addr is an address
// that Listen can read.
func CheckAddress(addr string) error {
	_, _, err := address.Parse(addr)
	return err
}

// CheckLoopback returns an error that wraps ErrNotLoopback if addr is an address
// that other machines may reach without a certificate.
func CheckLoopback(addr string) error {
	network, place, err := address.Parse(addr)
	if err != nil || network != "tcp" {
		return err
	}
	if err := loopback(place); err != nil {
		return fmt.Errorf("listen on %s: %w", place, err)
	}
	return nil
}

// UnixPath is the path of a Unix socket's address; ok is false for another
// address, or none.
func UnixPath(addr string) (path string, ok bool) {
	network, path, err := address.Parse(addr)
	return path, err == nil && network == "unix"
}

// OverTLS reports whether addr is an address for ListenTLS.
func OverTLS(addr string) bool {
	network, _, err := address.Parse(addr)
	return err == nil && network == "tls"
}

// loopback checks that address, a host and port, can be reached from this
// machine only.
func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%w: anyone who reaches it has the devices and their pair records; "+
		"use 127.0.0.1 or [::1], or allow other addresses", ErrNotLoopback)
}

// listenUnix binds path in place: libusbmuxd waits for the creation of the
// name, and does not see a rename.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	unlock, err := lockDirectory(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := makeWay(path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		// The mode of the socket is the mode, less umask, that bind gives the
		// file: it is at no time more open than asked for.
		var err error
		if cerr := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), uint32(mode)) }); cerr != nil {
			return cerr
		}
		return err
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, explainBind(path, err)
	}
	ul, err := takeOver(l.(*net.UnixListener))
	if err != nil {
		return nil, err
	}
	st, err := lstat(path)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		ul.Close()
		return nil, err
	}
	ul.path, ul.dev, ul.ino = path, st.Dev, st.Ino
	return ul, nil
}

// lockWait bounds the wait for another daemon that binds a socket in the same
// directory at this moment.
const lockWait = 2 * time.Second

// lockDirectory keeps two daemons that start at once from both taking a stale
// socket for theirs to remove: the second would remove the first's new one.
func lockDirectory(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, explainBind(dir, err)
	}
	for by := time.Now().Add(lockWait); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return func() { f.Close() }, nil // a file system without locks
		case time.Now().After(by):
			f.Close()
			return nil, fmt.Errorf("%w: another program keeps %s locked; start only one usbmuxd", ErrInUse, dir)
		}
	}
}

// dialWait bounds the look at who answers on a socket that is in the way.
const dialWait = time.Second

// makeWay removes a stale socket at path. It returns nil if path is free.
func makeWay(path string) error {
	st, err := lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return fmt.Errorf("%w; move it away or choose another path", ErrNotSocket)
	}
	conn, err := net.DialTimeout("unix", path, dialWait)
	switch {
	case err == nil:
		defer conn.Close()
		return fmt.Errorf("%w: %s answers on it; stop it first (systemctl stop usbmuxd), or choose another path",
			ErrInUse, owner(access.PeerOf(conn)))
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("stale socket: %w; remove it as its owner", err)
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.EAGAIN), os.IsTimeout(err):
		return fmt.Errorf("%w: somebody has it and does not accept; find out who (ss -xlp src %s) and stop it", ErrInUse, path)
	}
	return fmt.Errorf("%w: %w; remove it if it is not needed", ErrInUse, err)
}

// explainBind says what to do about the usual failures of bind.
func explainBind(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; create the directory first", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run as a user who may write to the directory, or choose another path", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another program has just bound it; start only one", ErrInUse)
	}
	return err
}

func lstat(path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return st, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return st, nil
}
