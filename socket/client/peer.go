package client

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of a Unix socket.
type Peer struct {
	PID  int
	UID  int
	Name string // as the kernel has it, at most 15 bytes; "" if it is gone or hidden
}

// PeerOf asks the kernel who listens at the other end of conn, which must be a
// Unix socket.
func PeerOf(conn net.Conn) (Peer, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return Peer{}, fmt.Errorf("peer of a %s connection: %w", conn.RemoteAddr().Network(), syscall.ENOTSUP)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); cerr != nil {
		err = cerr
	}
	if err != nil {
		return Peer{}, fmt.Errorf("peer of the socket: %w", err)
	}
	p := Peer{PID: int(cred.Pid), UID: int(cred.Uid)}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID)); err == nil {
		p.Name = strings.TrimSuffix(string(b), "\n")
	}
	return p, nil
}
