package control

import (
	"fmt"
	"net/http"
	"os/user"
	"strconv"

	"go.uber.org/zap"

	"gomuxd/access"
)

// named is a device as access rules name it.
func (d Device) named() access.Device {
	n := access.Device{Port: d.PortPath}
	if d.UDID != nil {
		n.UDID = *d.UDID
	}
	return n
}

// named is the phone with a UDID as access rules name it, whether it is plugged in
// or not.
func (h *Hub) named(udid string) access.Device {
	for _, e := range h.entries() {
		if e.UDID != nil && *e.UDID == udid {
			return e.named()
		}
	}
	return access.Device{UDID: udid}
}

// sees tells which devices who asks is to know of.
func sees(r *http.Request) func(Device) bool {
	guest := guestOf(r.Context()).peer
	return func(d Device) bool { return guest.May(access.List, d.named(), 0) == nil }
}

// operates returns why who asks may not act on a device, nil if he may.
func (s *Server) operates(r *http.Request, d access.Device) *Error {
	return s.allows(r, access.Operate, d)
}

// allows is operates for any verb; a zero device is any.
func (s *Server) allows(r *http.Request, v access.Verb, d access.Device) *Error {
	guest := guestOf(r.Context()).peer
	err := guest.May(v, d, 0)
	if err == nil {
		return nil
	}
	s.log.Warn("refused", zap.String("request", r.Method+" "+r.URL.Path), zap.Int32("pid", guest.PID), zap.Uint32("uid", guest.UID), zap.Error(err))
	who, name := "unknown to the kernel", "USER"
	if guest.Origin == access.Local {
		who = fmt.Sprintf("uid %d", guest.UID)
		if u, err := user.LookupId(strconv.FormatUint(uint64(guest.UID), 10)); err == nil {
			who, name = u.Username, u.Username
		}
	}
	join := fmt.Sprintf("or have an administrator run \"usermod -aG %s %s\" and log in again", access.Group, name)
	if _, err := user.LookupGroup(access.Group); err != nil {
		join = fmt.Sprintf("there is no group %s on this computer to join", access.Group)
	}
	return Errorf(CodeForbidden,
		"only root, members of group %s and those whom the configuration allows may do this, and you are %s: use \"sudo muxctl ...\", %s",
		access.Group, who, join)
}
