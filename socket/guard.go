package socket

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"gomuxd/access"
)

// named is the device as access rules name it.
func (e *entry) named() access.Device { return access.Device{UDID: e.Info.UDID, Port: e.Info.Port} }

// named is the device with a UDID as access rules name it, whether it is attached
// or not.
func (r *Registry) named(udid string) access.Device {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if e.Info.UDID == udid && e.Info.Port != "" {
			return e.named()
		}
	}
	return access.Device{UDID: udid}
}

// sees reports whether a client is to know of a device. It may be called under the
// registry's lock.
func (c *client) sees(e *entry) bool {
	return c.guest == nil || c.guest.May(access.List, e.named(), 0) == nil
}

// may reports whether a client may do something, and logs a refusal.
func (c *client) may(v access.Verb, dev access.Device, port uint16) bool {
	if c.guest == nil {
		return true
	}
	err := c.guest.May(v, dev, port)
	if err == nil {
		return true
	}
	fields := append(c.who(), zap.Stringer("verb", v), zap.Error(err))
	if v == access.Connect {
		fields = append(fields, zap.Uint16("port", port))
	}
	c.srv.audit.Warn("refused", append(fields, udidField(dev.UDID)...)...)
	return false
}

// audit logs what became of a request that concerned a record.
func (c *client) audit(r *request, number uint32) {
	what := map[verb]string{cmdReadPairRecord: "pair record read", cmdSavePairRecord: "pair record saved", cmdDeletePairRecord: "pair record deleted"}[r.verb]
	if what == "" || number != resultOK {
		return
	}
	c.srv.audit.Info(what, append(c.who(), udidField(r.recordID)...)...)
}

func udidField(udid string) []zap.Field {
	if udid == "" {
		return nil
	}
	return []zap.Field{zap.String("udid", printable(udid))}
}

// who tells in the log who the client is.
func (c *client) who() []zap.Field {
	fields := []zap.Field{zap.Uint64("conn", c.number)}
	switch p := c.peer; {
	case p.Origin == access.Local:
		fields = append(fields, zap.Uint32("uid", p.UID))
		if p.PID > 0 {
			fields = append(fields, zap.Int32("pid", p.PID), zap.String("program", printable(p.Program())))
		}
	case p.Addr.IsValid():
		if p.Certificate != "" {
			fields = append(fields, zap.String("certificate", printable(p.Certificate)))
		}
		fields = append(fields, zap.Stringer("addr", p.Addr))
	}
	return fields
}

// owner names a process for a message.
func owner(p access.Peer) string {
	switch name := printable(p.Program()); {
	case p.PID <= 0:
		return "another program"
	case name == "":
		return fmt.Sprintf("process %d", p.PID)
	default:
		return fmt.Sprintf("%s (process %d)", name, p.PID)
	}
}

// crowdedTime is how long one client too many has for its request.
const crowdedTime = 2 * time.Second

// tooMany is the log's line about a client that is one too many.
const tooMany = "too many clients, one is turned away"

// turnAway answers one request of a client that is one too many.
func (c *client) turnAway() {
	c.srv.log.Warn(tooMany, c.who()...)
	_ = c.conn.SetReadDeadline(time.Now().Add(crowdedTime))
	c.serve()
}
