package client

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

const (
	// AddressEnv is the environment variable that names another socket.
	AddressEnv = "USBMUXD_SOCKET_ADDRESS"

	// DefaultAddress is where usbmuxd listens.
	DefaultAddress = "/var/run/usbmuxd"
)

// maxPath is the longest path of a Unix socket in bytes. Source: unix(7).
const maxPath = 107

// Address returns addr, or that of AddressEnv, or DefaultAddress.
func Address(addr string) string {
	if addr == "" {
		addr = os.Getenv(AddressEnv)
	}
	if addr == "" {
		addr = DefaultAddress
	}
	return addr
}

// ParseAddress splits an address into a network and an address for package net.
// It is one of
//
//	UNIX:/path   unix:///path   /path
//	host:port    [v6]:port      tcp://host:port
func ParseAddress(addr string) (network, address string, err error) {
	rest := addr
	for _, prefix := range []string{"unix://", "unix:"} {
		if len(rest) >= len(prefix) && strings.EqualFold(rest[:len(prefix)], prefix) {
			return unixAddress(addr, rest[len(prefix):])
		}
	}
	if len(rest) >= 6 && strings.EqualFold(rest[:6], "tcp://") {
		rest = rest[6:]
	} else if strings.ContainsRune(rest, '/') || !strings.ContainsRune(rest, ':') {
		return unixAddress(addr, rest)
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return "", "", fmt.Errorf("%w %q: no port; write host:port", ErrAddress, addr)
	}
	host, port := rest[:i], rest[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("%w %q: port %q is no number from 1 to 65535", ErrAddress, addr, port)
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if strings.ContainsAny(host, "[]") {
		return "", "", fmt.Errorf("%w %q: write an IPv6 address as [address]:port", ErrAddress, addr)
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

func unixAddress(addr, path string) (network, address string, err error) {
	switch {
	case path == "" || strings.ContainsRune(path, 0):
		return "", "", fmt.Errorf("%w %q: no path", ErrAddress, addr)
	case len(path) > maxPath:
		return "", "", fmt.Errorf("%w %q: a socket's path has at most %d bytes", ErrAddress, addr, maxPath)
	}
	return "unix", path, nil
}
