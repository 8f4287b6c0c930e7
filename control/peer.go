package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is who opened a connection, as the kernel noted it then.
type Peer struct {
	PID    int32
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary; nil where the kernel does not tell (before Linux 4.13)
}

// stranger is the uid of a peer of whom nothing is known. The kernel gives it to
// nobody.
const stranger = ^uint32(0)

// kernelPeer asks the kernel who opened conn, which must be a Unix socket.
func kernelPeer(conn net.Conn) (Peer, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return Peer{}, fmt.Errorf("peer of %T: %w", conn, errors.ErrUnsupported)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("peer: %w", err)
	}
	var cred *unix.Ucred
	var groups []uint32
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		cred, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		groups = peerGroups(fd)
	}); err != nil {
		return Peer{}, fmt.Errorf("peer: %w", err)
	}
	if optErr != nil {
		return Peer{}, fmt.Errorf("peer: %w", optErr)
	}
	return Peer{PID: cred.Pid, UID: cred.Uid, GID: cred.Gid, Groups: groups}, nil
}

// peerGroups asks for the supplementary groups of who opened the socket. A
// service may have some that the user database does not know.
func peerGroups(fd uintptr) []uint32 {
	groups := make([]uint32, 32)
	for {
		size := uint32(len(groups)) * 4 // bytes; the kernel says how many there are
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(unsafe.SliceData(groups))), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4]
		case errno == unix.ERANGE && int(size/4) > len(groups):
			groups = make([]uint32, size/4)
		default:
			return nil
		}
	}
}

// privileged reports whether p is root or runs as the daemon does.
func (p Peer) privileged() bool {
	return p.UID == 0 || p.UID == uint32(os.Geteuid())
}

// operator reports whether p may act: root, the daemon's own user and the
// members of group, as the kernel noted them when the connection was opened, or
// as the user database has them by now.
func (p Peer) operator(group string) bool {
	if p.UID == stranger {
		return false
	}
	if p.privileged() {
		return true
	}
	gid, err := groupID(group)
	if err != nil {
		return false
	}
	is := func(id uint32) bool { return strconv.FormatUint(uint64(id), 10) == gid }
	if is(p.GID) || slices.ContainsFunc(p.Groups, is) {
		return true
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(p.UID), 10))
	if err != nil {
		return false
	}
	gids, err := u.GroupIds()
	return err == nil && slices.Contains(gids, gid)
}

// groupID returns the gid of a group given by name or gid.
func groupID(group string) (string, error) {
	g, err := user.LookupGroup(group)
	if err == nil {
		return g.Gid, nil
	}
	if _, nan := strconv.ParseUint(group, 10, 32); nan == nil {
		return group, nil
	}
	return "", fmt.Errorf("group %q: %w", group, err)
}

// refusal tells p why it may not do what, and what to do about it.
func (p Peer) refusal(group string) *Error {
	who, name := "a user unknown to the kernel", "USER"
	if p.UID != stranger {
		who = fmt.Sprintf("uid %d", p.UID)
		if u, err := user.LookupId(strconv.FormatUint(uint64(p.UID), 10)); err == nil {
			who, name = u.Username, u.Username
		}
	}
	join := fmt.Sprintf("or have an administrator run \"usermod -aG %s %s\" and log in again", group, name)
	if _, err := groupID(group); err != nil {
		join = fmt.Sprintf("there is no group %s on this computer to join", group)
	}
	return Errorf(CodeForbidden,
		"only root, the daemon's user and members of group %s may do this, and you are %s: use \"sudo muxctl ...\", %s",
		group, who, join)
}
