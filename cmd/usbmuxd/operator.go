package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gomuxd/control"
	"gomuxd/lockdown/flow"
	"gomuxd/lockdown/trust"
	"gomuxd/mux"
	"gomuxd/pairrecord"
)

// operator does what operators ask for: the daemon's side of the control API.
type operator struct {
	d       *muxd
	records *pairrecord.Store
	started time.Time
}

// untrustWait is how long an operator waits for a phone to forget us.
const untrustWait = 10 * time.Second

func failure(status int, code, format string, args ...any) error {
	return &control.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Trust implements control.Actions.
func (o *operator) Trust(_ context.Context, key string, req control.TrustRequest) error {
	f := o.d.flowAt(key)
	if f == nil {
		return failure(http.StatusConflict, control.CodeNoMux, "the device at %s cannot be talked to yet; muxctl doctor says why", key)
	}
	event := trust.Told
	if req.Touch {
		event = trust.Touched
	}
	f.Hear(event)
	return nil
}

// Untrust implements control.Actions. The record goes out of use at once; the
// phone is told when it is here and unlocked.
func (o *operator) Untrust(ctx context.Context, udid string) (control.UntrustResult, error) {
	r := control.UntrustResult{UDID: udid}
	err := o.records.Untrust(udid)
	switch {
	case err == nil:
		r.Record = true
	case !errors.Is(err, fs.ErrNotExist):
		return r, err
	default:
		if _, err := o.records.Untrusted(udid); err != nil {
			return r, failure(http.StatusNotFound, control.CodeNoRecord, "there is no pair record for %s: this computer is not trusted by it, as far as is known here; \"muxctl trust\" asks for that", udid)
		}
	}
	if f := o.d.flowOf(udid); f != nil {
		ctx, cancel := context.WithTimeout(ctx, untrustWait)
		defer cancel()
		r.Phone = f.Untrust(ctx)
	}
	r.Pending = !r.Phone
	return r, nil
}

// Records implements control.Actions.
func (o *operator) Records(context.Context) ([]control.Record, error) {
	all, err := o.present()
	if err != nil {
		return nil, err
	}
	kept, _ := o.records.Kept() // each record's problem tells what is wrong with their directory
	for _, id := range kept {
		if !slices.ContainsFunc(all, func(r control.Record) bool { return r.UDID == id }) {
			r := control.Record{UDID: id, SetAside: true}
			o.addCopies(&r)
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b control.Record) int { return strings.Compare(a.UDID, b.UDID) })
	return all, nil
}

// present are the records in use.
func (o *operator) present() ([]control.Record, error) {
	ids, err := o.records.List()
	if err != nil {
		return nil, err
	}
	buid, _ := o.records.BUID() // Daemon tells what is wrong with it
	all := make([]control.Record, 0, len(ids))
	for _, id := range ids {
		all = append(all, o.record(id, buid))
	}
	return all, nil
}

func (o *operator) record(udid, buid string) control.Record {
	r := control.Record{UDID: udid}
	rec, err := o.records.Record(udid)
	if err != nil {
		r.Problem = err.Error()
	} else {
		r.HostID, r.SystemBUID, r.WiFiAddress = rec.HostID, rec.SystemBUID, rec.WiFiMACAddress
		r.BUIDMatches = rec.SystemBUID == buid
		r.HasEscrowBag = len(rec.EscrowBag) > 0
	}
	if fi, err := os.Stat(filepath.Join(o.d.settings.Load().RecordDir, udid+".plist")); err == nil {
		r.Saved = fi.ModTime().UTC()
	}
	if used, err := o.records.Used(udid); err == nil {
		days := flow.DaysLeft(used, time.Now(), o.d.major(udid))
		r.LastUsed, r.ExpiresInDays = &used, &days
	}
	o.addCopies(&r)
	return r
}

// addCopies adds the earlier versions of a record.
func (o *operator) addCopies(r *control.Record) {
	copies, err := o.records.Copies(r.UDID)
	if err != nil && r.Problem == "" {
		r.Problem = err.Error()
	}
	r.Copies = []control.Copy{}
	for _, c := range copies {
		r.Copies = append(r.Copies, control.Copy{ID: c.ID, Replaced: c.Replaced, Reason: c.Reason, HasEscrowBag: c.Complete})
	}
}

// Restore implements control.Actions.
func (o *operator) Restore(_ context.Context, udid, id string) error {
	err := o.records.Restore(udid, id)
	if errors.Is(err, fs.ErrNotExist) {
		return failure(http.StatusNotFound, control.CodeNoRecord, "there is no earlier version %q of the record for %s; muxctl records show lists them", id, udid)
	}
	if err == nil {
		o.d.hear(udid, trust.ClientSaved)
	}
	return err
}

// Watch implements control.Actions.
func (o *operator) Watch(udid string, fn func(control.Packet)) (stop func()) {
	return o.d.tap(udid).Watch(func(p mux.Packet) { fn(control.Packet(p)) })
}

// Daemon implements control.Actions.
func (o *operator) Daemon(context.Context) control.Daemon {
	dir := o.d.settings.Load().RecordDir
	d := control.Daemon{
		Version: version, PID: os.Getpid(), UID: os.Geteuid(), Started: o.started,
		Sockets: slices.Clone(o.d.addresses), Preflight: string(o.d.settings.Load().policy("")),
		RecordDir: dir,
	}
	fi, err := os.Stat(dir)
	if err == nil {
		d.RecordDirMode = fi.Mode().String()
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			d.RecordDirOwner = owner(st.Uid, st.Gid)
		}
		var fs syscall.Statfs_t
		if err = syscall.Statfs(dir, &fs); err == nil {
			d.RecordDirFree = fs.Bavail * uint64(fs.Bsize)
		}
	}
	if err == nil {
		err = o.records.Usable()
	}
	if err != nil {
		d.RecordDirError = err.Error()
	}
	if d.BUID, err = o.records.BUID(); err != nil {
		d.BUIDError = err.Error()
	}
	d.Records, _ = o.present() // what is wrong with the directory is told above
	return d
}

// owner names a file's owner and group, as ls does.
func owner(uid, gid uint32) string {
	u, g := strconv.Itoa(int(uid)), strconv.Itoa(int(gid))
	if known, err := user.LookupId(u); err == nil {
		u = known.Username
	}
	if known, err := user.LookupGroupId(g); err == nil {
		g = known.Name
	}
	return u + ":" + g
}
