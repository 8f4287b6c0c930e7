package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"go.uber.org/zap"

	"gomuxd/lockdown"
	"gomuxd/pairrecord"
)

// resources are what the daemon takes before it serves, some of it as root.
type resources struct {
	pid       *pidFile
	clients   []net.Listener
	some      []net.Listener // each for some devices, as in settings.Sockets
	operators []net.Listener
	records   *pairrecord.Store
}

// acquire takes everything or nothing. The order is that of what others rely on:
// the lock first, root's rights last.
func (d *muxd) acquire() (*resources, error) {
	r := new(resources)
	if err := d.take(r); err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

func (d *muxd) take(r *resources) (err error) {
	s := d.settings.Load()
	if r.pid, err = lockPidFile(s.PidFile); err != nil {
		return err
	}
	account, err := lookupAccount(s.User)
	if err != nil {
		return err
	}
	if err := raiseLimit(); err != nil {
		d.log.Warn("limit of open files not raised", zap.Error(err))
	}
	if err := d.setAccess(s); err != nil {
		return err
	}
	if d.supervisor, err = s.readSupervisor(); err != nil {
		return err
	}
	if err := d.setCredentials(s); err != nil {
		return err
	}
	passed, err := inherit()
	if err != nil {
		return err
	}
	if r.clients, err = passed.openClients(s, &d.credentials); err != nil {
		return err
	}
	for _, o := range s.Sockets {
		l, err := passed.openOne(o)
		if err != nil {
			return err
		}
		r.some = append(r.some, l)
	}
	if r.operators, err = passed.openControl(s, d.log); err != nil {
		return err
	}
	if err := d.opts.phone.plug(d); err != nil {
		return err
	}
	if err := account.own(s.RecordDir); err != nil {
		return err
	}
	if err := account.become(); err != nil {
		return err
	}
	r.records, err = pairrecord.Open(s.RecordDir, pairrecord.Config{Log: d.log.Named("records")})
	return err
}

// release gives back what was taken. The listeners may be closed already.
func (r *resources) release() {
	if r.records != nil {
		r.records.Close()
	}
	closeAll(r.clients)
	closeAll(r.some)
	closeAll(r.operators)
	r.pid.release()
}

// readSupervisor reads the identity of the supervisor, nil if none is set.
func (s *settings) readSupervisor() (*lockdown.Supervisor, error) {
	if s.Trust.Supervisor == "" {
		return nil, nil
	}
	data, err := os.ReadFile(s.Trust.Supervisor)
	if err != nil {
		return nil, fmt.Errorf("supervisor: %w", err)
	}
	password := ""
	if s.Trust.SupervisorPassword != "" {
		b, err := os.ReadFile(s.Trust.SupervisorPassword)
		if err != nil {
			return nil, fmt.Errorf("supervisor's password: %w", err)
		}
		password = strings.TrimRight(string(b), "\r\n")
	}
	supervisor, err := lockdown.ParseSupervisor(data, password)
	if err != nil {
		return nil, fmt.Errorf("supervisor %s: %w", s.Trust.Supervisor, err)
	}
	return supervisor, nil
}
