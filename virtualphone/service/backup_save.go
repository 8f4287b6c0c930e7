package service

import (
	"crypto/rand"
	"fmt"
	"path"
	"slices"
	"time"

	"gomuxd/plist"
)

// Names in the folder of a backup.
const (
	statusName   = "Status.plist"
	propsName    = "Manifest.plist"
	manifestName = "Manifest.mbdb"
	snapshotName = "Snapshot" // holds a backup until it is complete
)

// The states of a backup, in Status.plist.
const (
	stateUploading = "uploading"
	stateFinished  = "finished"
)

// A transfer or a list of names to the host is at most so large.
const (
	batchFiles = 64
	batchBytes = 8 << 20
)

// Versions of what is written, in Manifest.plist and Status.plist.
const (
	propsVersion  = "10.0"
	domainVersion = "24.0"
	statusVersion = "3.3"
)

// backup saves what the phone has to the folder dir of the host, by way of a folder in
// it that takes everything until it is complete, as iOS does it.
func (s *backupSession) backup(dir string, options map[string]any) error {
	if err := s.allow(false); err != nil {
		return err
	}
	full, _ := options["ForceFullBackup"].(bool)
	have, leftover, err := s.lastBackup(dir)
	if err != nil {
		return err
	}
	files := s.b.content()
	fresh := files
	if !full {
		fresh = changed(have, files)
	}
	if err := s.reserve(dir, fresh); err != nil {
		return err
	}
	snapshot := path.Join(dir, snapshotName)
	if leftover {
		if err := s.order(dlRemoveItems, []string{snapshot}, map[string]any{}, 0.0); err != nil {
			return err
		}
	}
	if err := s.makeFolders(dir, fresh); err != nil {
		return err
	}
	full = full || len(have) == 0
	if err := s.save(dir, snapshot, files, fresh, full); err != nil {
		return err
	}
	if err := s.order(dlRemoveItems, []string{snapshot}, map[string]any{}, 100.0); err != nil {
		return err
	}
	if err := s.removeGone(dir, gone(files, have)); err != nil {
		return err
	}
	if err := s.saveStatus(dir, stateFinished, full); err != nil {
		return err
	}
	s.b.count(func(n *BackupStats) { n.Backups++ })
	return nil
}

// save sends fresh and the manifest of files to the snapshot and moves all of it in
// place.
func (s *backupSession) save(dir, snapshot string, files, fresh []backupFile, full bool) error {
	if err := s.saveStatus(snapshot, stateUploading, full); err != nil {
		return err
	}
	var total, done uint64
	for _, f := range fresh {
		total += f.size
	}
	for batch := range batches(fresh) {
		size, err := s.saveFiles(snapshot, batch, float64(done)/float64(max(1, total))*100, total)
		if err != nil {
			return err
		}
		done += size
	}
	props, err := s.properties()
	if err != nil {
		return err
	}
	if err := s.saveBytes(path.Join(snapshot, propsName), props, 100); err != nil {
		return err
	}
	if err := s.saveBytes(path.Join(snapshot, manifestName), appendManifest(nil, files), 100); err != nil {
		return err
	}
	for batch := range batches(fresh) {
		moves := make(map[string]any, len(batch))
		for i := range batch {
			moves[path.Join(snapshot, batch[i].place())] = path.Join(dir, batch[i].place())
		}
		if err := s.order(dlMoveItems, moves, map[string]any{}, 100.0); err != nil {
			return err
		}
	}
	return s.order(dlMoveItems, map[string]any{
		path.Join(snapshot, propsName):    path.Join(dir, propsName),
		path.Join(snapshot, manifestName): path.Join(dir, manifestName),
	}, map[string]any{}, 100.0)
}

// lastBackup looks into the folder: what the last complete backup there has, and
// whether an incomplete one was left.
func (s *backupSession) lastBackup(dir string) (have []backupFile, leftover bool, err error) {
	if err := s.order(dlCreateDirectory, dir, map[string]any{}, 0.0); err != nil {
		return nil, false, err
	}
	st, err := s.link.order(dlContents, dir)
	if err != nil {
		return nil, false, err
	}
	entries, _ := st.value.(map[string]any)
	_, leftover = entries[snapshotName]
	_, complete := entries[manifestName]
	if !complete {
		return nil, leftover, nil
	}
	old, err := s.read(dir)
	if asFailure(err) {
		return nil, leftover, nil // no use, so all is saved anew
	}
	return old.files, leftover, err
}

// reserve makes sure that the host has the space.
func (s *backupSession) reserve(dir string, fresh []backupFile) error {
	need := uint64(maxManifest)
	for _, f := range fresh {
		need += f.size
	}
	st, err := s.link.order(dlFreeDiskSpace, dir)
	if err != nil {
		return err
	}
	if free, ok := st.value.(uint64); st.code == 0 && ok && free < need {
		return failure(backupNoSpace, "Insufficient free disk space on drive to back up: %d bytes of %d", free, need)
	}
	return nil
}

// makeFolders makes the folders for files, in dir and in its snapshot.
func (s *backupSession) makeFolders(dir string, files []backupFile) error {
	snapshot := path.Join(dir, snapshotName)
	names := []string{snapshot}
	made := make(map[string]bool)
	for i := range files {
		sub := path.Dir(files[i].place())
		if !made[sub] {
			made[sub] = true
			names = append(names, path.Join(dir, sub), path.Join(snapshot, sub))
		}
	}
	for _, name := range names {
		if err := s.order(dlCreateDirectory, name, map[string]any{}, 0.0); err != nil {
			return err
		}
	}
	return nil
}

// removeGone removes files, which the phone no longer has.
func (s *backupSession) removeGone(dir string, files []backupFile) error {
	for batch := range batches(files) {
		names := make([]string, len(batch))
		for i := range batch {
			names[i] = path.Join(dir, batch[i].place())
		}
		if err := s.order(dlRemoveItems, names, map[string]any{}, 100.0); err != nil {
			return err
		}
	}
	return nil
}

// saveFiles sends one batch to the folder dir and returns its bytes.
func (s *backupSession) saveFiles(dir string, batch []backupFile, progress float64, total uint64) (size uint64, err error) {
	if err := s.link.send(dlUploadFiles, map[string]any{}, progress, total); err != nil {
		return 0, err
	}
	w := newFileWriter(s.link.w)
	for i := range batch {
		f := &batch[i]
		seed := f.seed()
		w.file("/.b/"+f.domain+"/"+f.path, path.Join(dir, f.place()), f.size, func(off uint64, b []byte) { Fill(seed, off, b) })
		size += f.size
	}
	if err := s.endUpload(w); err != nil {
		return 0, err
	}
	s.b.count(func(n *BackupStats) {
		n.SavedFiles += uint64(len(batch))
		n.SavedBytes += size
	})
	return size, nil
}

// saveBytes sends one small file.
func (s *backupSession) saveBytes(name string, data []byte, progress float64) error {
	if err := s.link.send(dlUploadFiles, map[string]any{}, progress, uint64(len(data))); err != nil {
		return err
	}
	w := newFileWriter(s.link.w)
	w.file("/.b/"+path.Base(name), name, uint64(len(data)), func(off uint64, b []byte) { copy(b, data[off:]) })
	return s.endUpload(w)
}

func (s *backupSession) endUpload(w *fileWriter) error {
	if err := w.close(); err != nil {
		return err
	}
	st, err := s.link.status()
	if err == nil && st.code != 0 {
		err = failure(backupUpload, "Multiple errors uploading files")
	}
	return err
}

// order has the host do something to its files, which must succeed.
func (s *backupSession) order(name string, args ...any) error {
	st, err := s.link.order(name, args...)
	if err == nil && st.code != 0 {
		err = failure(backupInternal, "%s: the host says %d, %q", name, st.code, st.text)
	}
	return err
}

// saveStatus sends the state of the backup to the folder dir.
func (s *backupSession) saveStatus(dir, state string, full bool) error {
	data, err := plist.MarshalBinary(map[string]any{
		"BackupState": "new", "Date": time.Now(), "IsFullBackup": full,
		"SnapshotState": state, "UUID": newUUID(), "Version": statusVersion,
	})
	if err != nil {
		return fmt.Errorf("encode %s: %w", statusName, err)
	}
	progress := 0.0
	if state == stateFinished {
		progress = 100
	}
	return s.saveBytes(path.Join(dir, statusName), data, progress)
}

// properties is the content of Manifest.plist.
func (s *backupSession) properties() ([]byte, error) {
	lockdown := map[string]any{}
	if s.b.cfg.Info != nil {
		info := s.b.cfg.Info()
		for _, key := range []string{"BuildVersion", "DeviceName", "ProductType", "ProductVersion", "SerialNumber", "UniqueDeviceID"} {
			if v, ok := info[key]; ok {
				lockdown[key] = v
			}
		}
	}
	data, err := plist.MarshalBinary(map[string]any{
		"Applications": map[string]any{}, "BackupKeyBag": make([]byte, 16), "Date": time.Now(),
		"IsEncrypted": false, "Lockdown": lockdown, "SystemDomainsVersion": domainVersion,
		"Version": propsVersion,
	})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", propsName, err)
	}
	return data, nil
}

// place is where the file lies in the folder of a backup.
func (f *backupFile) place() string {
	id := f.id()
	return id[:2] + "/" + id
}

// changed returns what of files is not in have, or not of that size and time.
func changed(have, files []backupFile) []backupFile {
	old := make(map[backupFile]struct{}, len(have))
	for _, f := range have {
		old[f] = struct{}{}
	}
	return slices.DeleteFunc(slices.Clone(files), func(f backupFile) bool {
		_, ok := old[f]
		return ok
	})
}

// gone returns what of have is no longer in files, under that name.
func gone(files, have []backupFile) []backupFile {
	type name struct{ domain, path string }
	now := make(map[name]struct{}, len(files))
	for _, f := range files {
		now[name{f.domain, f.path}] = struct{}{}
	}
	return slices.DeleteFunc(slices.Clone(have), func(f backupFile) bool {
		_, ok := now[name{f.domain, f.path}]
		return ok
	})
}

// batches cuts files into pieces that one message can order.
func batches(files []backupFile) func(yield func([]backupFile) bool) {
	return func(yield func([]backupFile) bool) {
		for len(files) > 0 {
			n, size := 1, files[0].size
			for n < min(len(files), batchFiles) && size+files[n].size <= batchBytes {
				size += files[n].size
				n++
			}
			if !yield(files[:n]) {
				return
			}
			files = files[n:]
		}
	}
}

func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
