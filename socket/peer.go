package socket

import (
	"fmt"
	"net"
	"os"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// peer is the process at the other end of a Unix socket.
type peer struct {
	pid  int32
	uid  uint32
	name string // as the kernel has it, at most 15 bytes; "" if it is gone
}

// peerOf asks the kernel who is at the other end of conn. It reports false if
// conn is no Unix socket.
func peerOf(conn net.Conn) (peer, bool) {
	if _, ok := conn.(*net.UnixConn); !ok {
		return peer{}, false
	}
	raw := rawConn(conn)
	if raw == nil {
		return peer{}, false
	}
	var (
		cred *unix.Ucred
		err  error
	)
	if cerr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); cerr != nil || err != nil {
		return peer{}, false
	}
	p := peer{pid: cred.Pid, uid: cred.Uid}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid)); err == nil {
		p.name = printable(strings.TrimSuffix(string(name), "\n"))
	}
	return p, true
}

// String names the process for a message.
func (p peer) String() string {
	if p.name == "" {
		return fmt.Sprintf("process %d", p.pid)
	}
	return fmt.Sprintf("%s (process %d)", p.name, p.pid)
}

// peerFields tells in the log who the client is.
func peerFields(conn net.Conn) []zap.Field {
	if p, ok := peerOf(conn); ok {
		return []zap.Field{zap.Int32("pid", p.pid), zap.Uint32("uid", p.uid), zap.String("name", p.name)}
	}
	if addr := conn.RemoteAddr(); addr != nil {
		return []zap.Field{zap.Stringer("addr", addr)}
	}
	return nil
}
