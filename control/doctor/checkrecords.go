package doctor

import (
	"fmt"
	"slices"

	"gomuxd/control"
	"gomuxd/lockdown/trust"
)

const (
	fullSpace = 1 << 20  // bytes left: too few to save a record safely
	lowSpace  = 16 << 20 // bytes left: soon too few
)

func (j *judge) recordDir() {
	r, d := &j.f.Records, j.f.Daemon
	dir := path(r.Path)
	if dir == "" {
		j.add(CheckRecordDir, Unknown, CannotTell, "The record directory was not looked at.", "", "")
		return
	}
	const lost = "What a phone's owner allows cannot be kept, so the phone asks again each time."
	found := fmt.Sprintf("%s (%s)", dir, r.permissions("d"))
	if r.FreeKnown {
		found += ", " + sizeText(r.Free) + " free"
	}
	switch {
	case d != nil && d.RecordDirError != "":
		j.add(CheckRecordDir, Problem, Seen, fmt.Sprintf("The daemon cannot use %s: %s.", found, clean(d.RecordDirError, 300)), lost,
			fmt.Sprintf("Make it a directory that user %d may write to.", d.UID))
	case r.Error != "":
		j.add(CheckRecordDir, Unknown, CannotTell, fmt.Sprintf("%s cannot be looked at: %s.", dir, name(r.Error)), "", "Run this as root.")
	case !r.Exists && d == nil:
		j.add(CheckRecordDir, Note, Seen, "There is no "+dir+" yet.", "No phone has been paired here. The daemon makes the directory when it starts.", "")
	case !r.Exists:
		j.add(CheckRecordDir, Problem, Seen, "There is no "+dir+".", lost, fmt.Sprintf("Make it: \"install -d -m 0755 -o %d %s\", then restart the daemon.", d.UID, dir))
	case r.NotDir:
		j.add(CheckRecordDir, Problem, Seen, dir+" is no directory.", lost, "Move it away and restart the daemon, which makes a directory.")
	case r.ReadOnly:
		j.add(CheckRecordDir, Problem, Seen, dir+" is on a file system that is mounted read-only.", lost,
			"Mount it writable (after \"fsck\" if the kernel turned it read-only), or name another directory with --config-dir.")
	case r.FreeKnown && r.Free < fullSpace:
		j.add(CheckRecordDir, Problem, Seen, found+".", lost+" The disk is full.", "Make room on that file system.")
	case d != nil && !r.writes(d.UID, j.f.Groups) && r.ACL:
		j.add(CheckRecordDir, Unknown, CannotTell, fmt.Sprintf("By its mode, the daemon (user %d) may not write to %s. There is an access list, too, which may let it.", d.UID, found),
			"", fmt.Sprintf("See \"getfacl %s\".", dir))
	case d != nil && !r.writes(d.UID, j.f.Groups):
		j.add(CheckRecordDir, Problem, Inferred, fmt.Sprintf("The daemon runs as user %d and may not write to %s.", d.UID, found), lost,
			fmt.Sprintf("Give it to the daemon: \"chown -R %d %s\".", d.UID, dir))
	case r.Mode&0o002 != 0:
		j.add(CheckRecordDir, Note, Seen, found+".", "Everyone may change pair records, and so pass for this computer.", fmt.Sprintf("\"chmod o-w %s\".", dir))
	case r.FreeKnown && r.Free < lowSpace:
		j.add(CheckRecordDir, Note, Seen, found+".", "The disk is nearly full.", "Make room on that file system.")
	default:
		j.add(CheckRecordDir, OK, Seen, found+".", "", "")
	}
}

// writes reports whether a user may make files in a directory, as far as its
// mode tells.
func (n Node) writes(uid int, groups []int) bool {
	const writeSearch = 3
	switch {
	case uid == 0:
		return true
	case uid == n.UID:
		return n.Mode>>6&writeSearch == writeSearch
	case slices.Contains(groups, n.GID):
		return n.Mode>>3&writeSearch == writeSearch
	}
	return n.Mode&writeSearch == writeSearch
}

func (j *judge) keys() {
	r := &j.f.Records
	switch {
	case !r.Exists || r.NotDir || r.Error != "":
	case !r.Listed:
		why := j.unseen(unseenRecords)
		if why == "" {
			why = "not looked at"
		}
		j.add(CheckKeys, Unknown, CannotTell, "The files of "+path(r.Path)+" cannot be listed: "+why+".", "", "Run this as root.")
	case len(r.Wide) > 0:
		j.add(CheckKeys, Note, Seen, fmt.Sprintf("%s may be read by others than the owner: %s.", plural(len(r.Wide), "pair record", "pair records"), list(r.Wide)),
			"A pair record holds private keys: who reads it can read the phone's data as this computer can. The C daemon leaves them like that.",
			fmt.Sprintf("\"chmod 600 %s/*.plist\" (as root).", path(r.Path)))
	case len(r.Files) == 0:
		j.add(CheckKeys, OK, Seen, "There are no pair records yet.", "", "")
	default:
		j.add(CheckKeys, OK, Seen, fmt.Sprintf("%s, readable by the owner only.", plural(len(r.Files), "pair record", "pair records")), "", "")
	}
}

func (j *judge) buid() {
	r, d := &j.f.Records, j.f.Daemon
	const copied = "Records were copied here from another computer, without its SystemConfiguration.plist. Phones may refuse them."
	const fix = "Copy SystemConfiguration.plist from that computer as well and restart the daemon, or pair these phones anew: \"muxctl untrust UDID\", then \"muxctl trust UDID\"."
	if d == nil {
		if r.Listed && len(r.Files) > 0 && !r.BUIDFile {
			j.add(CheckBUID, Problem, Inferred, fmt.Sprintf("%s has pair records, but no SystemConfiguration.plist.", path(r.Path)),
				"That file holds this computer's identity. A new one will be made, and phones may then refuse the records.", "Restore it from a backup or from the computer that the records came from.")
		}
		return
	}
	var foreign []string
	mine := false
	for _, rec := range d.Records {
		if !rec.BUIDMatches && rec.Problem == "" {
			foreign = append(foreign, rec.UDID)
			mine = mine || slices.ContainsFunc(j.phones, func(p phone) bool { return p.udid() == plain(rec.UDID) && p.state() == trust.BUIDMismatch })
		}
	}
	for _, p := range j.phones {
		mine = mine || p.state() == trust.BUIDMismatch
	}
	switch {
	case d.BUIDError != "":
		j.add(CheckBUID, Problem, Seen, "The daemon has no identity: "+clean(d.BUIDError, 300)+".", "Without it no phone can be paired.",
			"Restore SystemConfiguration.plist from a backup. If there is none, remove it: a new identity is made, and every phone asks for trust again.")
	case mine:
		j.each(func(p phone) {
			if p.state() == trust.BUIDMismatch {
				reason, next := words(p)
				j.add(CheckBUID, Problem, Seen, reason, copied, next)
			}
		})
	case len(foreign) > 0:
		j.add(CheckBUID, Note, Seen, "Pair records of another identity than this computer's: "+list(foreign)+".", copied, fix)
	case d.Records == nil:
		j.add(CheckBUID, OK, Seen, "The daemon has its identity.", "Whether the records fit it is shown to root only.", "")
	default:
		j.add(CheckBUID, OK, Seen, "All pair records fit this computer's identity.", "", "")
	}
}

// record holds a phone's record against the phone.
func (j *judge) record(p phone) {
	d, udid := j.f.Daemon, p.udid()
	if s := p.state(); s == trust.ForgottenByPhone || s == trust.RecordBroken {
		reason, next := words(p)
		j.add(CheckRecord, Problem, Seen, reason, "", next)
		return
	}
	if udid == "" || p.state() == trust.NoLockdown || p.kind() != KindMux && p.kind() != KindCharging {
		return // nothing to hold a record against
	}
	if d == nil || d.Records == nil {
		j.recordFile(p)
		return
	}
	at := slices.IndexFunc(d.Records, func(r control.Record) bool { return plain(r.UDID) == udid })
	if at < 0 {
		j.add(CheckRecord, OK, Seen, "There is no pair record of this phone yet.", "It has not been paired with this computer, so it asks its owner first.", "")
		return
	}
	r := d.Records[at]
	used := "its last use is not known"
	if r.LastUsed != nil {
		used = "last used " + r.LastUsed.UTC().Format("2006-01-02")
	}
	found := fmt.Sprintf("There is a pair record, saved %s, %s.", r.Saved.UTC().Format("2006-01-02"), used)
	switch {
	case r.Problem != "":
		do := "Pair anew: \"muxctl untrust\", then \"muxctl trust\"."
		if len(r.Copies) > 0 {
			do = "An earlier version is kept: see \"muxctl records show\" and \"muxctl records restore\"."
		}
		j.add(CheckRecord, Problem, Seen, "The pair record cannot be used: "+clean(r.Problem, 300)+".", "", do)
	case !r.HasEscrowBag:
		j.add(CheckRecord, Note, Seen, found, "It has no escrow bag: it works only while the phone is unlocked.",
			"Nothing, if that is enough. Pairing anew with the phone unlocked gives one: \"muxctl untrust\", then \"muxctl trust\".")
	default:
		j.add(CheckRecord, OK, Seen, found, "", "")
	}
}

// recordFile judges by the name of the file.
func (j *judge) recordFile(p phone) {
	if j.f.Daemon == nil && !j.f.Records.Listed {
		return // recordDir or keys said so
	}
	switch {
	case slices.ContainsFunc(j.f.Records.Files, func(id string) bool { return plain(id) == p.udid() }):
		j.add(CheckRecord, OK, Inferred, "There is a pair record of this phone.", "Whether the phone still accepts it shows when the daemon tries.", "")
	case j.f.Records.Listed:
		j.add(CheckRecord, OK, Seen, "There is no pair record of this phone yet.", "It has not been paired with this computer, so it asks its owner first.", "")
	case p.state() == trust.Trusted || p.state() == trust.Expiring:
		j.add(CheckRecord, OK, Inferred, "The phone accepts the pair record.", "", "")
	default:
		j.add(CheckRecord, Unknown, CannotTell, "The pair records are shown to root and the group usbmux only.", "", "Run this as root.")
	}
}
