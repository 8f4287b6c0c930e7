// Package address reads the addresses of usbmuxd sockets, as both its ends and
// USBMUXD_SOCKET_ADDRESS write them.
package address

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ErrMalformed is wrapped if an address cannot be read.
var ErrMalformed = errors.New("malformed socket address")

// maxPath is the longest path of a Unix socket in bytes. Source: unix(7).
const maxPath = 107

// Parse splits an address into a network and an address for package net.
// It is one of
//
//	UNIX:/path   unix:///path   /path   name
//	host:port    [v6]:port      tcp://host:port
//	tls:host:port  tls:[v6]:port  tls://host:port
//
// of which the last gives the network "tls", TCP with TLS on it.
func Parse(addr string) (network, address string, err error) {
	rest := addr
	for _, prefix := range []string{"unix://", "unix:"} {
		if len(rest) >= len(prefix) && strings.EqualFold(rest[:len(prefix)], prefix) {
			return unixAddress(addr, rest[len(prefix):])
		}
	}
	network = "tcp"
	if len(rest) >= 4 && strings.EqualFold(rest[:4], "tls:") {
		network, rest = "tls", strings.TrimPrefix(rest[4:], "//")
	} else if len(rest) >= 6 && strings.EqualFold(rest[:6], "tcp://") {
		rest = rest[6:]
	} else if strings.ContainsRune(rest, '/') || !strings.ContainsRune(rest, ':') {
		return unixAddress(addr, rest)
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return "", "", fmt.Errorf("%w %q: no port; write host:port", ErrMalformed, addr)
	}
	host, port := rest[:i], rest[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("%w %q: port %q is no number from 1 to 65535", ErrMalformed, addr, port)
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if strings.ContainsAny(host, "[]") {
		return "", "", fmt.Errorf("%w %q: write an IPv6 address as [address]:port", ErrMalformed, addr)
	}
	if network == "tls" && host == "" {
		return "", "", fmt.Errorf("%w %q: no host; write tls:host:port, as in tls:0.0.0.0:27016", ErrMalformed, addr)
	}
	return network, net.JoinHostPort(host, port), nil
}

func unixAddress(addr, path string) (network, address string, err error) {
	switch {
	case path == "" || strings.ContainsRune(path, 0):
		return "", "", fmt.Errorf("%w %q: no path", ErrMalformed, addr)
	case len(path) > maxPath:
		return "", "", fmt.Errorf("%w %q: a socket's path has at most %d bytes", ErrMalformed, addr, maxPath)
	}
	return "unix", path, nil
}
