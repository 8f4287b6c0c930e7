package access

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Origin is how much is known of a peer.
type Origin uint8

const (
	Network Origin = iota // its certificate at most: it may be on another computer
	Local                 // a process of this computer, whose user is known
)

// Peer is who opened a connection, as the kernel noted it then.
type Peer struct {
	Origin Origin
	PID    int32 // 0 over TCP
	UID    uint32
	GID    uint32   // unknown, not 0, over TCP: see NoID
	Groups []uint32 // supplementary; none before Linux 4.13 and over TCP
	Addr   netip.AddrPort
	// Certificate is the name in the certificate that the peer has proved to be
	// its own; "" without one. See CertificateName.
	Certificate string
}

// NoID is the uid and gid of a peer whose own is not known. The kernel gives it to
// nobody.
const NoID = ^uint32(0)

// stranger is a peer of whom nothing is known.
var stranger = Peer{UID: NoID, GID: NoID}

// PeerOf asks the kernel who opened conn. Who cannot be told from the network is
// taken for it.
func PeerOf(conn net.Conn) Peer {
	switch c := conn.(type) {
	case *net.TCPConn:
		return tcpPeer(c)
	case *tls.Conn:
		return tlsPeer(c)
	case syscall.Conn:
		if _, unix := conn.LocalAddr().(*net.UnixAddr); unix {
			return unixPeer(c)
		}
	}
	return stranger
}

// tlsPeer is who the certificate says, whichever computer it is on: to its user,
// who may only forward for others, it does not matter. Before the handshake it is
// nobody.
func tlsPeer(c *tls.Conn) Peer {
	p := stranger
	if remote, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		p.Addr = unmap(remote.AddrPort())
	}
	if s := c.ConnectionState(); s.HandshakeComplete && len(s.VerifiedChains) > 0 {
		p.Certificate = CertificateName(s.PeerCertificates[0])
	}
	return p
}

// CertificateName is what rules call the holder of a certificate: the common name of
// its subject, or else its first DNS name.
func CertificateName(c *x509.Certificate) string {
	if c.Subject.CommonName == "" && len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return c.Subject.CommonName
}

func unixPeer(c syscall.Conn) Peer {
	raw, err := c.SyscallConn()
	if err != nil {
		return stranger
	}
	p := stranger
	_ = raw.Control(func(fd uintptr) { // fails on a closed socket only: a stranger's
		var cred unix.Ucred
		size := uint32(unsafe.Sizeof(cred))
		if getsockopt(fd, unix.SO_PEERCRED, unsafe.Pointer(&cred), &size) == 0 {
			p = Peer{Origin: Local, PID: cred.Pid, UID: cred.Uid, GID: cred.Gid, Groups: peerGroups(fd)}
		}
	})
	return p
}

// peerGroups asks for the supplementary groups of who opened the socket. A service
// may have some that the user database does not know.
func peerGroups(fd uintptr) []uint32 {
	var few [32]uint32
	for groups := few[:]; ; {
		size := uint32(len(groups)) * 4 // bytes; the kernel says how many there are
		errno := getsockopt(fd, unix.SO_PEERGROUPS, unsafe.Pointer(unsafe.SliceData(groups)), &size)
		switch {
		case errno == 0:
			return slices.Clone(groups[:size/4])
		case errno == unix.ERANGE && int(size/4) > len(groups):
			groups = make([]uint32, size/4)
		default:
			return nil
		}
	}
}

// getsockopt does not wait, so Go's scheduler need not know.
func getsockopt(fd uintptr, name int, value unsafe.Pointer, size *uint32) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, uintptr(name), uintptr(value), uintptr(unsafe.Pointer(size)), 0)
	return errno
}

// tcpPeer finds the user of a peer on this computer: the loopback interface leads
// nowhere else.
func tcpPeer(c *net.TCPConn) Peer {
	p := stranger
	remote, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return p
	}
	p.Addr = unmap(remote.AddrPort())
	local, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok || !p.Addr.Addr().IsLoopback() {
		return p
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if uid, ok := socketOwner(table, p.Addr, unmap(local.AddrPort())); ok {
			p.Origin, p.UID = Local, uid
			break
		}
	}
	return p
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// socketOwner looks for the socket that is bound to local and connected to remote.
// Source: proc_pid_net(5), /proc/net/tcp.
func socketOwner(table string, local, remote netip.AddrPort) (uid uint32, ok bool) {
	f, err := os.Open(table)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local rem st queues timer retrnsmt uid ...
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 {
			continue
		}
		l, lok := hexAddr(fields[1])
		r, rok := hexAddr(fields[2])
		if !lok || !rok || l != local || r != remote {
			continue
		}
		n, err := strconv.ParseUint(fields[7], 10, 32)
		return uint32(n), err == nil
	}
	return 0, false
}

// hexAddr reads "0100007F:1F90": words of the address as this processor keeps them,
// and the port.
func hexAddr(s string) (netip.AddrPort, bool) {
	words, port, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || len(words)%8 != 0 {
		return netip.AddrPort{}, false
	}
	var b []byte
	for i := 0; i < len(words); i += 8 {
		w, err := strconv.ParseUint(words[i:i+8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		b = binary.NativeEndian.AppendUint32(b, uint32(w))
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok
}

// In reports whether the peer is in a group.
func (p Peer) In(gid uint32) bool {
	return p.Origin == Local && gid != NoID && (p.GID == gid || slices.Contains(p.Groups, gid))
}

// Program is the name of the peer's program, at most 15 bytes, "" if it is not
// known or gone. It is what the peer calls itself: for logs only.
func (p Peer) Program() string {
	if p.PID <= 0 {
		return ""
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(name), "\n")
}

// String names the peer, for logs.
func (p Peer) String() string {
	switch {
	case p.PID > 0:
		return fmt.Sprintf("uid %d, process %d", p.UID, p.PID)
	case p.Origin == Local:
		return fmt.Sprintf("uid %d, from %s", p.UID, p.Addr)
	case p.Certificate != "":
		return fmt.Sprintf("the certificate of %q, from %s", p.Certificate, p.Addr)
	case p.Addr.IsValid():
		return p.Addr.String()
	}
	return "an unknown peer"
}
