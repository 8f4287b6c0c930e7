package main

import (
	"context"
	"errors"
	"io/fs"
	"sync"

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
	c, err := d.session.Dial(ctx, port)
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
}

// Read implements socket.Records.
func (r clientRecords) Read(udid string) ([]byte, error) {
	data, err := r.Store.Read(udid)
	if errors.Is(err, fs.ErrNotExist) {
		r.hear(udid, trust.ClientMissed)
	}
	return data, err
}

// Save implements socket.Records.
func (r clientRecords) Save(udid string, data []byte) error {
	err := r.Store.Save(udid, data)
	if err == nil {
		r.hear(udid, trust.ClientSaved)
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
