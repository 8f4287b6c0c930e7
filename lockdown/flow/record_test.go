package flow_test

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"gomuxd/lockdown/trust"
	"gomuxd/pairrecord"
	"gomuxd/plist"
	"gomuxd/virtualphone"
)

// rewrite changes the record on disk behind the daemon's back.
func (r *rig) rewrite(change func(*pairrecord.Record)) {
	r.t.Helper()
	rec, err := r.records.Record(udid)
	r.must(err)
	change(&rec)
	data, err := rec.Marshal()
	r.must(err)
	r.overwrite(udid, data)
}

// overwrite puts data into a file of the record directory.
func (r *rig) overwrite(name string, data []byte) {
	r.t.Helper()
	r.must(os.WriteFile(filepath.Join(r.dir, name+".plist"), data, 0o600))
}

// records is the store, on a disk that may fail.
type records struct {
	*pairrecord.Store
	fails *failures
}

// failures are what the disk cannot do.
type failures struct{ read, save, move atomic.Bool }

func (s records) Record(udid string) (pairrecord.Record, error) {
	if s.fails.read.Load() {
		return pairrecord.Record{}, syscall.EIO
	}
	return s.Store.Record(udid)
}

func (s records) Save(udid string, data []byte) error {
	if s.fails.save.Load() {
		return syscall.ENOSPC
	}
	return s.Store.Save(udid, data)
}

func (s records) SetAside(udid, reason string) error {
	if s.fails.move.Load() {
		return syscall.EROFS
	}
	return s.Store.SetAside(udid, reason)
}

// remove removes the record by hand.
func (r *rig) remove() {
	r.t.Helper()
	r.must(os.Remove(filepath.Join(r.dir, udid+".plist")))
}

// otherBUID makes this another computer than the one that the record was made by.
func otherBUID(r *rig) {
	r.t.Helper()
	data, err := plist.MarshalXML(map[string]any{"SystemBUID": "0C0FFEE0-0000-4000-8000-000000000000"})
	r.must(err)
	r.overwrite("SystemConfiguration", data)
}

// spoiled is the story of a phone whose record is of no use at the second plug.
func spoiled(name, state, cause, reason string, spoil func(*rig)) story {
	return story{
		name: name, phone: coded,
		tell: func(r *rig) {
			r.accept()
			spoil(r)
			r.replug()
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted | connecting " + state + "(" + cause + ") dialog-shown(" + cause + ") paired trusted",
		disk: "record used -" + reason, dialogs: 2,
	}
}

// recordStories are about records that this computer cannot use, read or write.
var recordStories = []story{
	spoiled("malformed", "record-broken", "record-unreadable", "record-unreadable", func(r *rig) {
		r.overwrite(udid, []byte("<plist><dict><key>HostID"))
	}),
	spoiled("too large", "record-broken", "record-unreadable", "record-unreadable", func(r *rig) {
		r.overwrite(udid, make([]byte, pairrecord.MaxSize+1))
	}),
	spoiled("without private keys", "record-broken", "record-incomplete", "record-incomplete", func(r *rig) {
		r.rewrite(func(rec *pairrecord.Record) { rec.RootPrivateKey, rec.HostPrivateKey = nil, nil })
	}),
	spoiled("without a HostID", "record-broken", "record-incomplete", "record-incomplete", func(r *rig) {
		r.rewrite(func(rec *pairrecord.Record) { rec.HostID = "" })
	}),
	spoiled("with the keys of another record", "record-broken", "tls-refused", "tls-refused", func(r *rig) {
		c := r.client()
		other, err := c.NewRecord(context.Background(), otherKeys(), "")
		r.must(err)
		c.Close()
		r.rewrite(func(rec *pairrecord.Record) {
			rec.DeviceCertificate, rec.RootCertificate, rec.RootPrivateKey = other.DeviceCertificate, other.RootCertificate, other.RootPrivateKey
		})
	}),
	spoiled("of a phone with another key", "record-broken", "device-key", "device-key", func(r *rig) {
		r.rewrite(func(rec *pairrecord.Record) { rec.DeviceCertificate = rec.HostCertificate })
	}),
	spoiled("restored from another computer", "buid-mismatch", "buid", "buid", otherBUID),
	spoiled("that the phone calls invalid", "record-broken", "InvalidPairRecord", "invalidpairrecord", func(r *rig) {
		r.phone.FailNext("StartSession", "InvalidPairRecord")
	}),
	spoiled("that the phone misses", "record-broken", "MissingPairRecord", "missingpairrecord", func(r *rig) {
		r.phone.FailNext("StartSession", "MissingPairRecord")
	}),
	{
		name: "copied with another BUID in it, yet good",
		tell: func(r *rig) {
			r.accept()
			r.pull()
			r.rewrite(func(rec *pairrecord.Record) { rec.SystemBUID = "0C0FFEE0-0000-4000-8000-000000000000" })
			r.plug()
			r.expect(time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted | connecting trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "the phone gives TLS up once",
		tell: func(r *rig) {
			r.accept()
			r.pull()
			r.phone.RefuseTLS(virtualphone.AbortTLS)
			r.plug()
			time.Sleep(100 * time.Millisecond)
			r.phone.RefuseTLS(virtualphone.AcceptTLS)
			r.expect(2*time.Second, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted | connecting trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "the phone refuses our certificate for good", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.pull()
			r.phone.RefuseTLS(virtualphone.RefuseCertificate)
			r.plug()
			r.tap()
			r.enter()
			r.expect(time.Minute, trust.RecordBroken) // the new one, too
			r.phone.RefuseTLS(virtualphone.AcceptTLS)
			r.expect(time.Minute, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted | connecting record-broken(tls-refused) dialog-shown(tls-refused) paired" +
			" record-broken(tls-refused) paired trusted",
		disk: "record used -tls-refused -tls-refused", dialogs: 2,
	},
	{
		name: "removed by hand",
		tell: func(r *rig) {
			r.accept()
			r.remove()
			r.expect(10*time.Minute, trust.NotAsked)
			time.Sleep(time.Hour)
			r.flow.Hear(trust.Told)
			r.expect(2*time.Second, trust.Trusted) // nobody is asked twice in one plugged period
		},
		seen: "connecting dialog-shown paired trusted not-asked(unpaired-here) paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "cannot be saved",
		tell: func(r *rig) {
			r.fails.save.Store(true)
			r.tap()
			r.expect(2*time.Second, trust.RecordBroken)
			time.Sleep(10 * time.Minute)
			r.fails.save.Store(false)
			r.expect(2*time.Minute, trust.Trusted) // by the pairing of then
		},
		seen: "connecting dialog-shown record-broken(disk) paired trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "cannot be read",
		tell: func(r *rig) {
			r.accept()
			r.fails.read.Store(true)
			r.replug()
			r.expect(2*time.Second, trust.RecordBroken)
			time.Sleep(10 * time.Minute)
			r.fails.read.Store(false)
			r.expect(2*time.Minute, trust.Trusted)
		},
		seen: "connecting dialog-shown paired trusted | connecting record-broken(disk) trusted", disk: "record used", dialogs: 1,
	},
	{
		name: "cannot be put away", phone: coded,
		tell: func(r *rig) {
			r.accept()
			r.phone.ResetLocationAndPrivacy()
			r.fails.move.Store(true)
			r.replug()
			r.expect(2*time.Second, trust.RecordBroken)
			r.fails.move.Store(false)
			r.accept()
		},
		seen: "connecting dialog-shown paired trusted | connecting forgotten-by-phone(InvalidHostID) record-broken(disk)" +
			" dialog-shown(disk) paired trusted",
		disk: "record used -disk", dialogs: 2,
	},
}
