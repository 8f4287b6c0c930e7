package main

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"go.uber.org/zap"

	"gomuxd/lockdown"
	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/mux"
	"gomuxd/pairrecord"
	"gomuxd/socket"
)

// dialer shows a session to the socket's clients, and tells the trust flow when
// they talk to lockdownd: they may be pairing by themselves.
type dialer struct {
	session *mux.Session
	flow    *flow.Flow

	mu   sync.Mutex
	open int // connections of clients to lockdownd
}

// Dial implements socket.Device.
func (d *dialer) Dial(ctx context.Context, port uint16) (socket.Conn, error) {
	return d.dial(ctx, port, d.session.Dial)
}

// DialSmall is Dial for one of many clients, see socket.Device.
func (d *dialer) DialSmall(ctx context.Context, port uint16) (socket.Conn, error) {
	return d.dial(ctx, port, d.session.DialSmall)
}

func (d *dialer) dial(ctx context.Context, port uint16, by func(context.Context, uint16) (*mux.Conn, error)) (socket.Conn, error) {
	c, err := by(ctx, port)
	if err != nil {
		return nil, err
	}
	if port != lockdown.Port {
		return c, nil
	}
	d.count(1)
	return &lockdownConn{Conn: c, end: sync.OnceFunc(func() { d.count(-1) })}, nil
}

func (d *dialer) count(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.open
	d.open += n
	switch {
	case before == 0:
		d.flow.Hear(trust.ClientsHere)
	case d.open == 0:
		d.flow.Hear(trust.ClientsGone)
	}
}

// lockdownConn is a client's connection to lockdownd.
type lockdownConn struct {
	*mux.Conn
	end func()
}

func (c *lockdownConn) Close() error {
	defer c.end()
	return c.Conn.Close()
}

func (c *lockdownConn) Abort() {
	defer c.end()
	c.Conn.Abort()
}

// clientRecords is the record store as clients use it. What they do with the
// record of a phone that is here concerns its trust flow.
type clientRecords struct {
	*pairrecord.Store
	hear func(udid string, e trust.Event)
	used func(udid string) // the record was given out, or is new
}

// Read implements socket.Records.
func (r clientRecords) Read(udid string) ([]byte, error) {
	data, err := r.Store.Read(udid)
	switch {
	case err == nil:
		r.used(udid)
	case errors.Is(err, fs.ErrNotExist):
		r.hear(udid, trust.ClientMissed)
	}
	return data, err
}

// Save implements socket.Records.
func (r clientRecords) Save(udid string, data []byte) error {
	err := r.Store.Save(udid, data)
	if err == nil {
		r.hear(udid, trust.ClientSaved)
		r.used(udid)
	}
	return err
}

// Delete implements socket.Records.
func (r clientRecords) Delete(udid string) error {
	err := r.Store.Delete(udid)
	if err == nil {
		r.hear(udid, trust.ClientDeleted)
	}
	return err
}

// usedOften is how old the last use of a record must be to be noted anew because of
// a client.
const usedOften = time.Hour

// used notes that a client works with a phone's record, if the phone is here and left
// to clients. Of others the daemon knows for sure, since it opens sessions itself.
func (d *muxd) used(udid string) {
	if d.shown(udid) == nil || d.settings.Load().policy(udid) != trust.Never {
		return
	}
	if at, err := d.records.Used(udid); err == nil && time.Since(at) < usedOften {
		return
	}
	if err := d.records.Touch(udid); err != nil {
		d.log.Warn("cannot note that the record was used", zap.String("udid", udid), zap.Error(err))
	}
	d.hear(udid, trust.ClientUsed)
}
